#include "cri_log/cri_log.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/metric_names.h"
#include "base/mutex.h"
#include "cri_log/log_file.h"
#include "cri_log/log_path.h"

namespace interlink::cri_log {
namespace {

using node::LogPosition;

constexpr size_t kBudget = 1U << 20U;  // of one file in one round, so that none starves another
constexpr Duration kFirstPause = std::chrono::milliseconds(100);
constexpr Duration kLongestPause = std::chrono::seconds(5);
constexpr Duration kLongestSleep = std::chrono::minutes(1);

struct Chunk {
  uint64_t offset = 0;
  std::string bytes;
  uint64_t next = 0;
};

// Owners: the table, and the log thread while it works on it.
struct Entry {
  Entry(ContainerId i, LogFile::Start start)
      : id(std::move(i)), path(start.path), file(std::move(start)) {}

  const ContainerId id;
  const std::string path;

  // Guarded by CriLog::mutex_.
  std::deque<Chunk> chunks;
  UniqueFd replacement;
  std::vector<std::function<void()>> done;  // not empty: closing
  bool queued = false;

  // The log thread's.
  LogFile file;
  bool blocked = false;   // the last write failed
  bool unsynced = false;  // a sync has failed: told once
  SteadyTime retry_at;
  Duration pause = kFirstPause;
};
using EntryPointer = std::shared_ptr<Entry>;

class CriLog final : public node::LogFiles {
 public:
  CriLog(Log& log, Metrics& metrics) : log_(log), metrics_(metrics) {
    thread_ = std::jthread([this] { Run(); });
  }

  ~CriLog() override {
    MutexLock lock(mutex_);
    ended_ = true;
    wake_.NotifyAll();
  }

  Status Open(const ContainerId& id, const std::string& path, LogPosition from,
              bool resume) override {
    if (!path.empty()) RETURN_IF_ERROR(CheckPath(path));
    if (const auto known = FindOpen(id, path); known.has_value()) return *known;
    LogFile::Start start{.path = path, .site_offset = from.site_offset};
    if (!path.empty()) start.open = resume ? LogFile::Open::kResume : LogFile::Open::kMake;
    auto entry = std::make_shared<Entry>(id, std::move(start));
    const Status opened = entry->file.OpenFirst();
    if (opened.code() == Code::kInvalidArgument) return opened;
    MutexLock lock(mutex_);
    // A file that is not there yet is tried again by the log thread.
    if (entries_.emplace(id, entry).second && !opened.ok()) Queue(entry);
    return opened;
  }

  void Append(const ContainerId& id, uint64_t offset, std::string bytes, uint64_t next) override {
    MutexLock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) return;  // closed: the site still has what was not acknowledged
    found->second->chunks.push_back({offset, std::move(bytes), next});
    Queue(found->second);
  }

  Status Reopen(const ContainerId& id, bool running) override {
    if (!running) {
      return FailedPrecondition("container \"" + id.str() +
                                "\" is not running: its log file is not made again");
    }
    EntryPointer entry;
    {
      MutexLock lock(mutex_);
      const auto found = entries_.find(id);
      if (found != entries_.end()) entry = found->second;
    }
    if (entry == nullptr) return NotFound("container \"" + id.str() + "\" has no open log");
    if (entry->path.empty()) return {};
    ASSIGN_OR_RETURN(UniqueFd fd, OpenForAppend(entry->path, true));
    MutexLock lock(mutex_);
    entry->replacement = std::move(fd);
    Queue(entry);
    return {};
  }

  void Close(const ContainerId& id, std::function<void()> done) override {
    MutexLock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) {
      calls_.push_back(std::move(done));
      wake_.NotifyAll();
      return;
    }
    found->second->done.push_back(std::move(done));
    Queue(found->second);
  }

  void SetDurable(Durable durable) override {
    MutexLock lock(mutex_);
    durable_ = std::make_shared<const Durable>(std::move(durable));
    if (std::this_thread::get_id() == thread_.get_id()) return;
    called_.WaitFor(mutex_, kLongestSleep, [this]() NO_LOCK_ANALYSIS { return !calling_; });
  }

 private:
  // What Open answers when the log is open already.
  std::optional<Status> FindOpen(const ContainerId& id, const std::string& path) {
    MutexLock lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) return std::nullopt;
    if (!found->second->done.empty()) {
      return Unavailable("the log of container \"" + id.str() + "\" is being closed");
    }
    if (found->second->path != path) {
      return FailedPrecondition("the log of container \"" + id.str() + "\" is open at \"" +
                                found->second->path + "\"");
    }
    return Status::Ok();
  }

  void Queue(const EntryPointer& entry) REQUIRES_LOCK(mutex_) {
    if (entry->queued) return;
    entry->queued = true;
    queue_.push_back(entry);
    wake_.NotifyAll();
  }

  void Run() {
    bool ended = false;
    while (!ended) {
      std::vector<EntryPointer> round;
      std::vector<std::function<void()>> calls;
      {
        MutexLock lock(mutex_);
        wake_.WaitUntil(mutex_, NextRetry(), [this]() NO_LOCK_ANALYSIS {
          return ended_ || !queue_.empty() || !calls_.empty();
        });
        ended = ended_;
        round.swap(queue_);
        for (const auto& entry : round) entry->queued = false;
        calls.swap(calls_);
      }
      AddBlocked(round, ended);
      uint64_t bytes = 0;
      for (const auto& entry : round) bytes += WriteOut(*entry, ended);
      for (const auto& entry : round) Settle(entry);
      for (const auto& call : calls) call();
      KeepBlocked(round);
      if (bytes > 0) metrics_.Count(kMetricLogBytes, {}, static_cast<double>(bytes));
    }
  }

  SteadyTime NextRetry() const {
    SteadyTime next = std::chrono::steady_clock::now() + kLongestSleep;
    for (const auto& entry : blocked_) next = std::min(next, entry->retry_at);
    return next;
  }

  // Those whose pause is over; at the end all.
  void AddBlocked(std::vector<EntryPointer>& round, bool ended) {
    const SteadyTime now = std::chrono::steady_clock::now();
    for (const auto& entry : blocked_) {
      const bool there = std::find(round.begin(), round.end(), entry) != round.end();
      if (!there && (ended || entry->retry_at <= now)) round.push_back(entry);
    }
  }

  void KeepBlocked(const std::vector<EntryPointer>& round) {
    const size_t before = blocked_.size();
    for (const auto& entry : round) {
      const auto at = std::find(blocked_.begin(), blocked_.end(), entry);
      const bool kept = at != blocked_.end();
      if (entry->blocked && !kept) blocked_.push_back(entry);
      if (!entry->blocked && kept) blocked_.erase(at);
    }
    if (blocked_.size() != before) {
      metrics_.Gauge(kMetricLogBlocked, {}, static_cast<double>(blocked_.size()));
    }
  }

  // Returns the bytes that were written.
  uint64_t WriteOut(Entry& entry, bool ended) {
    std::deque<Chunk> chunks;
    UniqueFd replacement;
    {
      MutexLock lock(mutex_);
      chunks.swap(entry.chunks);
      replacement = std::move(entry.replacement);
    }
    const bool now = ended || replacement.valid() || !entry.blocked ||
                     entry.retry_at <= std::chrono::steady_clock::now();
    if (replacement.valid())
      Tell(entry, entry.file.Replace(std::move(replacement)), "the old file");
    for (Chunk& chunk : chunks) {
      Tell(entry, entry.file.Take(chunk.offset, std::move(chunk.bytes), chunk.next), "the site");
    }
    if (!now) return 0;
    const uint64_t before = entry.file.written_bytes();
    const Status status = entry.file.Write(ended ? SIZE_MAX : kBudget);
    if (status.ok()) {
      Written(entry);
    } else {
      Blocked(entry, status);
    }
    return entry.file.written_bytes() - before;
  }

  void Tell(const Entry& entry, const Status& status, const char* where) {
    if (status.ok()) return;
    metrics_.Count(kMetricLogErrors, {}, 1);
    log_.Error("a container's log is damaged", {{"container", entry.id.str()},
                                                {"file", entry.path},
                                                {"at", where},
                                                {"error", status.message()}});
  }

  void Written(Entry& entry) {
    if (entry.blocked) {
      log_.Info("a container's log is written again",
                {{"container", entry.id.str()}, {"file", entry.path}});
    }
    entry.blocked = false;
    entry.pause = kFirstPause;
  }

  void Blocked(Entry& entry, const Status& status) {
    metrics_.Count(kMetricLogErrors, {}, 1);
    if (!entry.blocked) {
      log_.Warning(
          "a container's log cannot be written, it is tried again",
          {{"container", entry.id.str()}, {"file", entry.path}, {"error", status.message()}});
    }
    entry.blocked = true;
    entry.retry_at = std::chrono::steady_clock::now() + entry.pause;
    entry.pause = std::min(2 * entry.pause, kLongestPause);
  }

  // Syncs, tells what is durable, and closes what is to be closed.
  void Settle(const EntryPointer& entry) {
    if (entry->file.Dirty()) SyncAndTell(*entry);
    const bool gone = entry->file.Gone();
    std::vector<std::function<void()>> done;
    {
      MutexLock lock(mutex_);
      const bool more = !entry->chunks.empty() || !entry->file.Idle();
      if (entry->done.empty() || (more && !gone)) {
        if (more && !entry->blocked) Queue(entry);
        return;
      }
      done.swap(entry->done);
      entries_.erase(entry->id);
    }
    entry->blocked = false;
    for (const auto& call : done) call();
  }

  void SyncAndTell(Entry& entry) {
    const auto position = entry.file.Sync();
    if (!position.ok()) {
      // Never acknowledged: after a restart the site sends it again.
      if (!entry.unsynced) Tell(entry, position.status(), "the disk");
      entry.unsynced = true;
      return;
    }
    std::shared_ptr<const Durable> durable;
    {
      MutexLock lock(mutex_);
      durable = durable_;
      calling_ = true;
    }
    if (durable != nullptr && *durable) (*durable)(entry.id, *position);
    MutexLock lock(mutex_);
    calling_ = false;
    called_.NotifyAll();
  }

  Log& log_;
  Metrics& metrics_;
  std::vector<EntryPointer> blocked_;  // the log thread's

  Mutex mutex_;
  CondVar wake_;
  CondVar called_;
  std::map<ContainerId, EntryPointer> entries_ GUARDED_BY(mutex_);
  std::vector<EntryPointer> queue_ GUARDED_BY(mutex_);
  std::vector<std::function<void()>> calls_ GUARDED_BY(mutex_);  // done of what was not open
  std::shared_ptr<const Durable> durable_ GUARDED_BY(mutex_);
  bool calling_ GUARDED_BY(mutex_) = false;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace

std::unique_ptr<node::LogFiles> Open(Log& log, Metrics& metrics) {
  return std::make_unique<CriLog>(log, metrics);
}

}  // namespace interlink::cri_log
