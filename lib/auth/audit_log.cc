#include "auth/audit_log.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <thread>

#include "auth/audit_files.h"
#include "base/metric_names.h"
#include "base/mutex.h"

namespace interlink::auth {
namespace {

constexpr auto kSealEvery = std::chrono::seconds(60);
constexpr uint64_t kSealRecords = 1000;
constexpr auto kFirstRetry = std::chrono::milliseconds(200);
constexpr auto kLastRetry = std::chrono::seconds(5);
constexpr size_t kBatch = 1024;
constexpr auto kStopLimit = std::chrono::seconds(5);

class FileAuditLog final : public AuditLog {
 public:
  FileAuditLog(AuditOptions options, AuditFiles files, Log& log, Metrics& metrics,
               const Clock& clock)
      : options_(std::move(options)),
        files_(std::move(files)),
        log_(log),
        metrics_(metrics),
        clock_(clock),
        thread_([this] { Run(); }) {
    metrics_.Gauge(kMetricAuditFailing, {}, 0);
  }
  ~FileAuditLog() override { Stop(kStopLimit); }

  void Append(AuditRecord record) override {
    record.wall_nanos = clock_.WallNanos();
    MutexLock lock(mutex_);
    if (waiting_.size() + in_hand_ >= options_.max_waiting || stopped_) {
      ++lost_;
      return;
    }
    waiting_.push_back(std::move(record));
    wake_.NotifyOne();
  }

  Status MayBegin() const override {
    if (!options_.refuse_when_failing) return {};
    if (failing_.load()) {
      return Unavailable(
          "the audit log cannot be written, so nothing new is begun: make room in its folder "
          "(Audit.Folder)");
    }
    MutexLock lock(mutex_);
    // What may always be done needs the other half.
    if (waiting_.size() + in_hand_ <= options_.max_waiting / 2) return {};
    return Unavailable(
        "the disk of the audit log (Audit.Folder) does not keep up, so nothing new is begun until "
        "it does");
  }

  void Stop(Duration limit) override {
    {
      MutexLock lock(mutex_);
      if (stopping_) return;
      stopping_ = true;
      give_up_ = std::chrono::steady_clock::now() + limit;
      wake_.NotifyAll();
    }
    thread_.join();
    size_t left = 0;
    {
      MutexLock lock(mutex_);
      stopped_ = true;
      left = waiting_.size() + in_hand_ + lost_;
    }
    if (left != 0)
      log_.Error("records of the audit log are lost", {{"records", std::to_string(left)}});
  }

 private:
  void Run() {
    while (true) {
      TakeBatch();
      if (!batch_.empty() || lost_here_ != 0) {
        Note(WriteBatch());
      } else if (failing_.load()) {
        if (std::chrono::steady_clock::now() >= retry_at_) Note(Probe());
      }
      // Also while records come without a pause.
      if (!failing_.load() && std::chrono::steady_clock::now() >= sync_at_) {
        sync_at_ = SteadyTime::max();
        Note(files_.Sync());
      }
      if (!failing_.load() && SealDue()) {
        sealed_at_ = std::chrono::steady_clock::now();
        Note(files_.Seal());
      }
      if (Over()) break;
    }
    Note(files_.Close());
  }

  // Whether it can be written again, though nothing waits.
  Status Probe() {
    RETURN_IF_ERROR(files_.Append({}));
    RETURN_IF_ERROR(files_.Seal());
    return files_.Sync();
  }

  bool SealDue() const {
    return files_.unsealed() != 0 &&
           std::chrono::steady_clock::now() >= sealed_at_ + Duration(kSealEvery);
  }

  // When there is something to do though nothing new comes.
  SteadyTime Due() const {
    if (!batch_.empty() || lost_here_ != 0 || failing_.load()) return retry_at_;
    const SteadyTime seal =
        files_.unsealed() != 0 ? sealed_at_ + Duration(kSealEvery) : SteadyTime::max();
    return std::min(sync_at_, seal);
  }

  void TakeBatch() {
    const SteadyTime idle = std::chrono::steady_clock::now() + Duration(kSealEvery);
    const SteadyTime due = std::min(Due(), idle);
    MutexLock lock(mutex_);
    const bool retrying = !batch_.empty() || lost_here_ != 0;
    const SteadyTime until = stopping_ ? std::min(due, give_up_) : due;
    wake_.WaitUntil(mutex_, until, [&]() NO_LOCK_ANALYSIS {
      return !retrying && (stopping_ || !waiting_.empty() || lost_ != 0);
    });
    if (!batch_.empty()) return;
    const size_t count = std::min(waiting_.size(), kBatch);
    for (size_t i = 0; i < count; ++i) {
      batch_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    in_hand_ = batch_.size();
    // What was lost came behind all that waits.
    if (waiting_.empty()) {
      lost_here_ += lost_;
      lost_ = 0;
    }
  }

  Status WriteBatch() {
    std::vector<AuditFiles::Entry> entries;
    entries.reserve(batch_.size() + 1);
    for (const AuditRecord& record : batch_)
      entries.push_back({record.wall_nanos, EncodeAuditRecord(record)});
    if (lost_here_ != 0) {
      entries.push_back(
          {clock_.WallNanos(), "\"event\":\"lost\",\"records\":" + std::to_string(lost_here_)});
    }
    RETURN_IF_ERROR(files_.Append(entries));
    metrics_.Count(kMetricAuditRecords, {{"result", "written"}},
                   static_cast<double>(batch_.size()));
    if (lost_here_ != 0) {
      metrics_.Count(kMetricAuditRecords, {{"result", "lost"}}, static_cast<double>(lost_here_));
    }
    batch_.clear();
    lost_here_ = 0;
    {
      MutexLock lock(mutex_);
      in_hand_ = 0;
    }
    if (files_.unsealed() >= kSealRecords) {
      RETURN_IF_ERROR(files_.Seal());
      sealed_at_ = std::chrono::steady_clock::now();
    }
    if (options_.flush == Duration::zero()) return files_.Sync();
    sync_at_ = std::min(sync_at_, std::chrono::steady_clock::now() + options_.flush);
    return {};
  }

  // The first failure and the first success are told, and what comes is refused in between.
  void Note(const Status& status) {
    const bool failed = !status.ok();
    if (failed) {
      retry_ = failing_.load() ? std::min<Duration>(retry_ * 2, kLastRetry) : Duration(kFirstRetry);
      retry_at_ = std::chrono::steady_clock::now() + retry_;
    } else {
      retry_at_ = SteadyTime::min();
    }
    if (failing_.exchange(failed) == failed) return;
    metrics_.Gauge(kMetricAuditFailing, {}, failed ? 1 : 0);
    if (!failed) {
      log_.Info("the audit log is written again");
      return;
    }
    log_.Error("the audit log cannot be written",
               {{"reason", status.message()},
                {"new work", options_.refuse_when_failing ? "refused" : "goes on"}});
  }

  bool Over() {
    MutexLock lock(mutex_);
    if (!stopping_) return false;
    const bool done = waiting_.empty() && batch_.empty() && lost_ == 0 && lost_here_ == 0;
    return done || std::chrono::steady_clock::now() >= give_up_;
  }

  const AuditOptions options_;
  AuditFiles files_;  // of the thread
  Log& log_;
  Metrics& metrics_;
  const Clock& clock_;
  std::atomic<bool> failing_ = false;

  mutable Mutex mutex_;
  CondVar wake_;
  std::deque<AuditRecord> waiting_ GUARDED_BY(mutex_);
  size_t in_hand_ GUARDED_BY(mutex_) = 0;  // batch_.size()
  size_t lost_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool stopped_ GUARDED_BY(mutex_) = false;
  SteadyTime give_up_ GUARDED_BY(mutex_) = SteadyTime::max();

  // Of the thread.
  std::vector<AuditRecord> batch_;  // not written yet
  size_t lost_here_ = 0;
  Duration retry_ = Duration(kFirstRetry);
  SteadyTime retry_at_ = SteadyTime::min();
  SteadyTime sync_at_ = SteadyTime::max();
  SteadyTime sealed_at_ = std::chrono::steady_clock::now();
  std::jthread thread_;  // the last one: it uses all of the above
};

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::Open(AuditOptions options, Log& log, Metrics& metrics,
                                                 const Clock& clock) {
  ASSIGN_OR_RETURN(AuditKey key, AuditKey::LoadPrivate(options.signing_key_file));
  AuditFilesOptions files_options{options.folder, options.daemon, options.name,
                                  options.max_file_bytes, options.max_files};
  ASSIGN_OR_RETURN(AuditFiles files,
                   AuditFiles::Open(std::move(files_options), std::move(key), clock));
  return std::unique_ptr<AuditLog>(
      new FileAuditLog(std::move(options), std::move(files), log, metrics, clock));  // NOLINT
}

}  // namespace interlink::auth
