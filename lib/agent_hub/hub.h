// AgentHub: where the agents of this site's allocations call in (proto/interlink/agent/v1). It
// knows no scheduler: who starts an agent gives it the address, the site's CA and a token.
// Thread-safe.
//
// What is durable: the term and the bindings (hub_files.h). All else is in the agents, and comes
// back with their first report.
#ifndef INTERLINK_AGENT_HUB_HUB_H_
#define INTERLINK_AGENT_HUB_HUB_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent_hub/agent_slot.h"
#include "agent_hub/hub_files.h"
#include "agent_hub/server.h"
#include "agent_hub/stream.h"
#include "base/call.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/step_pool.h"
#include "base/timer.h"
#include "base/unique_fd.h"
#include "net/io.h"
#include "sdk/observation.h"

namespace interlink::agent_hub {

// Who an agent says it is. The token has proven the sandbox, nothing else.
struct AgentPlace {
  std::string nonce;
  std::string allocation;
  std::string host;
  std::string boot_id;
  std::string build_id;
};

// What the hub tells the site. Methods of one sandbox never run at once; they run on the hub's
// steps and must not wait for an agent.
class AgentEvents {
 public:
  virtual ~AgentEvents() = default;
  // Asked before the sandbox is bound. Not OK: the site does not want this agent (now); the agent
  // is told why.
  virtual Status MayCome(const SandboxId& id, const AgentPlace& place) = 0;
  // Commands reach it from now on.
  virtual void CameIn(const SandboxId& id, const AgentPlace& place) = 0;
  // Nothing follows from what is lost: the agent may come back.
  virtual void WentAway(const SandboxId& id, const Status& why) = 0;
  // `complete`: everything there is. OK: they are taken; the agent does not send them again unless
  // its stream is lost.
  virtual Status Reported(const SandboxId& id, std::vector<sdk::Observation> facts,
                          bool complete) = 0;
  virtual void LogGrew(const SandboxId& id, const ContainerId& container) = 0;
};

struct HubOptions {
  std::string folder;  // HubFiles; the hub's own
  std::string address = "0.0.0.0";
  uint16_t port = 0;      // 0: any free one
  std::string cert_file;  // of the site
  std::string key_file;
  std::string site;                             // its name
  std::chrono::milliseconds heartbeat{10'000};  // REQUIRES: > 0
  std::chrono::milliseconds lease{0};           // 0: none
  size_t max_agents = 10'000;
  size_t max_streams = 64;    // sessions of one agent
  size_t max_commands = 256;  // of one agent, unanswered
};

class QueuedLine;

class AgentHub final : private StreamSink {
 public:
  // `events`, `io`, `log` and `clock` outlive it. Raises the term.
  static Result<std::unique_ptr<AgentHub>> Start(HubOptions options, AgentEvents& events,
                                                 net::Io& io, Log& log, const Clock& clock);
  ~AgentHub() override;
  // Ends every stream; no event comes afterwards, and whatever is asked is kUnavailable. The agents
  // go on and look for another hub. Idempotent. REQUIRES: `io` still runs.
  void Stop();

  // Reads certificate and key again: agents that call in a second later see the new one, streams
  // that stand go on. Errors as net::TlsContext::Server: nothing changes. Blocks on a disk; calls
  // must not overlap.
  Status RenewCertificate();

  uint16_t port() const { return server_->port(); }
  uint64_t term() const { return files_.term(); }
  std::string TokenOf(const SandboxId& id) const;

  // Binds the sandbox to nobody unless it is bound. Answers who may speak for it: a nonce, or
  // kNobody: nothing of it can ever start.
  Result<std::string> Close(const SandboxId& id);
  // Who may speak for the sandbox: a nonce, kNobody, or empty: nobody yet.
  Result<std::string> BoundTo(const SandboxId& id) const { return files_.BoundTo(id); }
  // As sdk::AgentDesk::HasLeft.
  Result<bool> HasLeft(const SandboxId& id) const { return files_.HasLeft(id); }
  // REQUIRES: it is proven that no agent of it can come any more.
  Status Forget(const SandboxId& id);

  // Sends the command and waits for its answer: what the answer says, with its code as the status.
  // kUnavailable: no agent, or its stream was lost: unknown whether it happened.
  // kResourceExhausted: it is larger than a message may be, or the agent owes too many answers.
  Result<agent::v1::Answer> Ask(const Call& call, const SandboxId& id, agent::v1::Command command);
  // Asks the agent for a stream and answers its end: frames of lib/shim (exec, attach) or bare
  // bytes (dial, put_layer), as sdk::Backend's OpenSession and Dial. kResourceExhausted: too many.
  Result<UniqueFd> Open(const Call& call, const SandboxId& id, agent::v1::OpenStream request);

  // Carries an agent's connection between `relay`, a SOCK_STREAM socket whose other end the agent
  // has by detours, and the hub's own port. As sdk::AgentDesk::Carry.
  Status Carry(UniqueFd relay, std::function<void()> over);

  // Since when nothing was heard of the agent; nothing: it never came in since this start.
  std::optional<Duration> Silence(const SandboxId& id);

 private:
  class SlotEntry;
  struct Expected {
    SandboxId sandbox;
    UniqueFd end;
    bool frames = false;
    std::shared_ptr<void> counted;
  };

  AgentHub(HubOptions options, HubFiles files, AgentEvents& events, net::Io& io, Log& log,
           const Clock& clock);

  // StreamSink.
  void OnControl(const SandboxId& id, StreamPtr stream) override;
  void OnStream(const SandboxId& id, const std::string& stream_id, StreamPtr stream) override;

  // In the sandbox's lane.
  void TakeMessage(const std::shared_ptr<QueuedLine>& line, const std::string& bytes);
  void TakeHello(const std::shared_ptr<QueuedLine>& line, const agent::v1::Hello& hello);
  void Refuse(const std::shared_ptr<QueuedLine>& line, agent::v1::Refused::Reason reason,
              const std::string& why);

  void ReadNext(const std::shared_ptr<QueuedLine>& line);
  void Post(const SandboxId& id, std::function<void()> step);
  // Null: there is none. `make`: kResourceExhausted beyond max_agents.
  Result<std::shared_ptr<SlotEntry>> SlotOf(const SandboxId& id, bool make);
  void Tick();
  void DropExpected(const std::string& stream_id);

  const HubOptions options_;
  const HubFiles files_;
  const SlotTerms terms_;
  AgentEvents& events_;
  net::Io& io_;
  Log& log_;
  const Clock& clock_;

  Mutex mutex_;
  // Owners: the table, and steps that work with it.
  std::map<SandboxId, std::shared_ptr<SlotEntry>> slots_ GUARDED_BY(mutex_);
  std::map<std::string, Expected> expected_ GUARDED_BY(mutex_);  // by stream id
  std::atomic<bool> stopping_ = false;
  // Owners: the hub and each relay.
  const std::shared_ptr<std::atomic<size_t>> relays_ = std::make_shared<std::atomic<size_t>>(0);

  Timer timer_;
  StepPool steps_;
  std::unique_ptr<HubServer> server_;
};

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_HUB_H_
