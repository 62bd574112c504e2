// Logs: joins the site's log stream with kubelet's files, and decides when an exit may be shown
// (DESIGN 6.11).
#include <algorithm>
#include <utility>

#include "node/live_node.h"
#include "node/views.h"

namespace interlink::node {
namespace {

constexpr uint64_t kCredit = 4U << 20U;  // bytes in flight per container
constexpr Duration kNoProgress = std::chrono::seconds(2);
constexpr Duration kOverdue = std::chrono::seconds(10);
constexpr auto kUncommitted = std::chrono::milliseconds(50);
constexpr auto kFirstRetry = std::chrono::seconds(1);
constexpr int kMaxRetryShift = 5;

}  // namespace

Status LiveNode::OpenLog(const ContainerId& id, bool resume) {
  std::string path;
  LogPosition from;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr) return NotFound("the container is gone");
    const Sandbox* sandbox = tables_.Find(container->sandbox());
    if (sandbox == nullptr) return NotFound("the sandbox is gone");
    path = LogPath(*sandbox, *container);
    from = container->log;
  }
  Status status = ports_.log_files.Open(id, path, from, resume);
  // An output that can never be kept must not hold up the container: it is read and dropped. One
  // that cannot be kept now (a full disk, too many files) is tried again by LogFiles.
  if (status.code() == Code::kInvalidArgument) {
    const Status discarded = ports_.log_files.Open(id, "", from, resume);
    if (!discarded.ok()) return discarded;
  }
  MutexLock lock(mutex_);
  if (Container* container = tables_.Find(id)) container->log_open = true;
  return status;
}

void LiveNode::ReadLog(const ContainerId& id) {
  bool open = false;
  {
    MutexLock lock(mutex_);
    const Container* container = tables_.Find(id);
    if (container == nullptr) return;
    open = container->log_open || container->stored.fact().seen() != interlink::v1::SEEN_UP;
  }
  if (!open) {
    if (const Status opened = OpenLog(id, true); !opened.ok()) {
      ports_.log.Warning("cannot open a log file",
                         {{"container", id.str()}, {"error", opened.message()}});
    }
  }
  SubscribeLog(id);
}

void LiveNode::SubscribeLog(const ContainerId& id) {
  SandboxId sandbox;
  uint64_t offset = 0;
  {
    MutexLock lock(mutex_);
    const Container* container = tables_.Find(id);
    // Before its start there is no log that could be read.
    if (container == nullptr || !container->log_open || LogCompleteLocked(*container) ||
        container->stored.fact().seen() < interlink::v1::SEEN_UP)
      return;
    // After a crash a file is made anew or resumed by what is stored: no byte before that.
    if (container->uncommitted > 0) {
      timer_.After(kUncommitted, [this, id] { SubscribeLog(id); });
      return;
    }
    sandbox = container->sandbox();
    offset = container->log.site_offset;
  }
  if (auto* logs = LogStream()) logs->Subscribe(sandbox, id, offset, kCredit);
}

Site::LogStream* LiveNode::LogStream() {
  MutexLock lock(mutex_);
  return log_stream_.get();
}

void LiveNode::OnLogStreamOpen() {
  std::vector<ContainerId> ids;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, container] : tables_.containers) {
      if (container.log_open) ids.push_back(id);
    }
  }
  for (const ContainerId& id : ids) SubscribeLog(id);
}

void LiveNode::OnLogStreamLost(const Status& why) {
  ports_.log.Debug("the log stream is lost", {{"why", why.message()}});
}

void LiveNode::OnLogChunk(const ContainerId& id, uint64_t offset, std::string bytes,
                          uint64_t next) {
  ports_.log_files.Append(id, offset, std::move(bytes), next);
}

void LiveNode::OnLogEnd(const ContainerId& id, uint64_t offset) {
  MutexLock lock(mutex_);
  Container* container = tables_.Find(id);
  if (container == nullptr) return;
  container->log_end = offset;
  ShowExitLocked(id);
}

void LiveNode::OnLogFailed(const ContainerId& id, const Status& why) {
  MutexLock lock(mutex_);
  Container* container = tables_.Find(id);
  if (container == nullptr) return;
  ports_.log.Info("a log cannot be read at the site, it is tried again",
                  {{"container", id.str()}, {"why", why.message()}});
  ShowExitLocked(id);
  // The site has ended the subscription. It may not have found its work again yet: no answer of it
  // proves that nothing is left to read.
  if (container->log_retry || stopping_) return;
  container->log_retry = true;
  const int tries = std::min(container->log_tries++, kMaxRetryShift);
  timer_.After(kFirstRetry * (1 << tries), [this, id] {
    {
      MutexLock again(mutex_);
      Container* same = tables_.Find(id);
      if (same == nullptr) return;
      same->log_retry = false;
    }
    SubscribeLog(id);
  });
}

void LiveNode::OnLogDurable(const ContainerId& id, LogPosition position) {
  uint64_t grown = 0;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr || stopping_) return;
    grown = position.site_offset - std::min(position.site_offset, container->log.site_offset);
    container->log = position;
    container->log_progress_at = Steady();
    container->log_tries = 0;
    interlink::v1::StoredNodeLog stored;
    stored.set_version(1);
    stored.set_site_offset(position.site_offset);
    stored.set_file_offset(position.file_offset);
    Batch batch;
    batch.puts.push_back({RecordKind::kLogPosition, id.str(), stored.SerializeAsString()});
    StoreLocked(std::move(batch), [this, id, grown, position](const Status& status) {
      const auto tell = [this, id, grown, position, stored = status.ok()] {
        auto* logs = LogStream();
        if (logs == nullptr) return;
        // Not acknowledged what is not remembered: the site keeps it. It may send more all the
        // same.
        if (stored) logs->Acknowledge(id, position.site_offset);
        logs->Credit(id, grown);
      };
      // Not here when the store refuses: the lock may be held.
      status.ok() ? tell() : static_cast<void>(timer_.After(Duration::zero(), tell));
    });
    ShowExitLocked(id);
  }
}

bool LiveNode::LogCompleteLocked(const Container& container) const {
  if (!container.log_open) return true;
  if (container.log_end) return container.log.site_offset >= *container.log_end;
  const auto& fact = container.stored.fact();
  return fact.seen() >= interlink::v1::SEEN_DOWN && container.log.site_offset >= fact.log_end();
}

void LiveNode::ShowExitLocked(const ContainerId& id) {
  Container* container = tables_.Find(id);
  if (container == nullptr || container->stored.exit_shown() || container->exit_telling ||
      stopping_)
    return;
  if (container->stored.fact().seen() != interlink::v1::SEEN_DOWN) return;
  const SteadyTime now = Steady();
  const bool stuck =
      now - container->log_progress_at >= kNoProgress || now - container->exit_seen_at >= kOverdue;
  if (!LogCompleteLocked(*container) && !stuck) {
    if (std::exchange(container->exit_look, true)) return;
    timer_.After(kNoProgress / 4, [this, id] {
      MutexLock lock(mutex_);
      if (Container* same = tables_.Find(id)) same->exit_look = false;
      ShowExitLocked(id);
    });
    return;
  }
  container->exit_telling = true;
  timer_.After(Duration::zero(), [this, id] { TellExit(id); });
}

void LiveNode::TellExit(const ContainerId& id) {
  // Kubelet reads the message when it sees EXITED: it is there before.
  WriteTerminationMessage(id);
  MutexLock lock(mutex_);
  Container* ended = tables_.Find(id);
  if (ended == nullptr || stopping_) return;
  ended->stored.set_exit_shown(true);
  CommitLocked({{}, {id}, {}, false, {ended->sandbox()}}, false, {});
}

}  // namespace interlink::node
