// What the site asks of an agent, and of the hub about one.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "agent_hub/hub.h"
#include "agent_hub/relay_pump.h"
#include "agent_hub/slot_entry.h"
#include "agent_hub/stream_pump.h"

namespace interlink::agent_hub {
namespace {

constexpr auto kStreamWithin = std::chrono::seconds(10);
// A larger message would end the agent's stream, not the call.
constexpr size_t kMaxCommand = (16U << 20U) - (64U << 10U);
constexpr int kLastCode = static_cast<int>(Code::kUnauthenticated);

// How an answer reaches the thread that waits for it.
struct Asked {
  Mutex mutex;
  CondVar changed;
  std::optional<Result<agent::v1::Answer>> answer GUARDED_BY(mutex);
  bool cancelled GUARDED_BY(mutex) = false;
  bool given_up GUARDED_BY(mutex) = false;
  uint64_t number = 0;  // the lane's
};

Status StatusOf(const agent::v1::Answer& answer) {
  if (answer.code() == 0) return {};
  if (answer.code() < 0 || answer.code() > kLastCode) {
    return InternalError("the agent answers with the unknown code " +
                         std::to_string(answer.code()) + ": " + answer.message());
  }
  return {static_cast<Code>(answer.code()), answer.message()};
}

}  // namespace

Result<agent::v1::Answer> AgentHub::Ask(const Call& call, const SandboxId& id,
                                        agent::v1::Command command) {
  if (stopping_) return Unavailable("the site is shutting down");
  ASSIGN_OR_RETURN(const auto entry, SlotOf(id, false));
  if (command.ByteSizeLong() > kMaxCommand) {
    return ResourceExhausted("what is asked of the agent has " +
                             std::to_string(command.ByteSizeLong()) + " bytes, the limit is " +
                             std::to_string(kMaxCommand));
  }
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(call.remaining()).count();
  command.set_timeout_ms(static_cast<uint32_t>(std::clamp<int64_t>(left, 1, 24 * 3600 * 1000)));
  const auto asked = std::make_shared<Asked>();  // owners: this thread and the slot
  const auto cancelled = call.OnCancel([asked] {
    MutexLock lock(asked->mutex);
    asked->cancelled = true;
    asked->changed.NotifyAll();
  });
  Post(id, [entry, asked, command = std::move(command)] {
    {
      MutexLock lock(asked->mutex);
      if (asked->given_up) return;
    }
    asked->number = entry->slot.Ask(command, [asked](Result<agent::v1::Answer> answer) {
      MutexLock lock(asked->mutex);
      asked->answer = std::move(answer);
      asked->changed.NotifyAll();
    });
  });
  MutexLock lock(asked->mutex);
  asked->changed.WaitUntil(asked->mutex, call.deadline(), [&]() NO_LOCK_ANALYSIS {
    return asked->answer.has_value() || asked->cancelled;
  });
  if (asked->answer) {
    if (!asked->answer->ok()) return asked->answer->status();
    RETURN_IF_ERROR(StatusOf(**asked->answer));
    return **asked->answer;
  }
  asked->given_up = true;
  Post(id, [entry, asked] {
    if (asked->number != 0) entry->slot.Forget(asked->number);
  });
  if (asked->cancelled) return CancelledError("nobody waits for the agent's answer any more");
  return Unavailable("the agent did not answer in time, it is not known whether it happened");
}

Result<UniqueFd> AgentHub::Open(const Call& call, const SandboxId& id,
                                agent::v1::OpenStream request) {
  ASSIGN_OR_RETURN(const auto entry, SlotOf(id, false));
  const auto streams = entry->streams;
  const std::shared_ptr<void> counted(nullptr, [streams](void*) { --*streams; });
  if (++*streams > options_.max_streams) {
    return ResourceExhausted("the agent has " + std::to_string(options_.max_streams) +
                             " sessions already");
  }
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "make a pair of sockets");
  }
  Expected expected;
  expected.sandbox = id;
  expected.end = UniqueFd(ends[0]);
  expected.frames = request.has_exec() || request.has_attach();
  expected.counted = counted;
  UniqueFd ours(ends[1]);
  const std::string stream_id = RandomHex(32);
  request.set_stream_id(stream_id);
  {
    MutexLock lock(mutex_);
    expected_.emplace(stream_id, std::move(expected));
  }
  agent::v1::Command command;
  *command.mutable_open_stream() = std::move(request);
  const auto answer = Ask(call, id, std::move(command));
  if (!answer.ok()) {
    DropExpected(stream_id);
    return answer.status();
  }
  // The session is open at the agent. A stream that never comes is a lost connection: our end is
  // closed.
  timer_.After(kStreamWithin, [this, stream_id] { DropExpected(stream_id); });
  return ours;
}

void AgentHub::DropExpected(const std::string& stream_id) {
  Expected dropped;  // closed without the lock
  MutexLock lock(mutex_);
  const auto found = expected_.find(stream_id);
  if (found == expected_.end()) return;
  dropped = std::move(found->second);
  expected_.erase(found);
}

void AgentHub::OnStream(const SandboxId& id, const std::string& stream_id, StreamPtr stream) {
  Expected expected;
  {
    MutexLock lock(mutex_);
    const auto found = expected_.find(stream_id);
    // Of another sandbox: as if there were none.
    if (found != expected_.end() && found->second.sandbox == id) {
      expected = std::move(found->second);
      expected_.erase(found);
    }
  }
  if (!expected.end) {
    return stream->End(NotFound("nobody waits for this stream: it was used, or came too late"));
  }
  PumpStream(io_, std::move(stream), std::move(expected.end), expected.frames,
             std::move(expected.counted));
}

Result<std::string> AgentHub::Close(const SandboxId& id) { return files_.Bind(id, kNobody); }

Status AgentHub::Forget(const SandboxId& id) {
  std::shared_ptr<SlotEntry> entry;
  {
    MutexLock lock(mutex_);
    const auto found = slots_.find(id);
    if (found != slots_.end()) {
      entry = found->second;
      slots_.erase(found);
    }
  }
  if (entry) Post(id, [entry] { entry->slot.EndAll(NotFound("the sandbox was removed")); });
  return files_.Forget(id);
}

Status AgentHub::Carry(UniqueFd relay, std::function<void()> over) {
  if (stopping_) return Unavailable("the site is shutting down");
  const auto relays = relays_;
  const std::shared_ptr<void> counted(nullptr, [relays](void*) { --*relays; });
  if (++*relays > options_.max_agents) {
    return ResourceExhausted("the site has " + std::to_string(options_.max_agents) +
                             " relays already");
  }
  return CarryRelay(io_, std::move(relay), LoopbackOf(options_.address, port()),
                    [counted, over = std::move(over)] { over(); });
}

std::optional<Duration> AgentHub::Silence(const SandboxId& id) {
  const auto entry = SlotOf(id, false);
  if (!entry.ok()) return {};
  return clock_.Steady().time_since_epoch() - Duration((*entry)->heard_ns.load());
}

}  // namespace interlink::agent_hub
