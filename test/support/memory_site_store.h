// A site::Store in memory: keeps what a "crashed" process would find again, and fails on request.
// Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_MEMORY_SITE_STORE_H_
#define INTERLINK_TEST_SUPPORT_MEMORY_SITE_STORE_H_

#include <map>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "base/step_pool.h"
#include "site/store.h"

namespace interlink::test {

// What outlives the process. Copy it to take a backup.
struct SiteDisk {
  std::map<site::RecordKey, std::string> records;
  Lineage lineage = MintLineage();
};

class MemorySiteStore final : public site::Store {
 public:
  explicit MemorySiteStore(SiteDisk& disk) : disk_(disk) {}

  Result<std::vector<site::StoredRecord>> Load() override {
    MutexLock lock(mutex_);
    std::vector<site::StoredRecord> records;
    for (const auto& [key, bytes] : disk_.records) records.push_back({key, bytes});
    return records;
  }
  void Commit(site::Batch batch, std::function<void(Status)> done) override {
    // The site commits under its lock and expects `done` from another thread.
    const Status posted = writer_.PostAlways(
        "commit", [this, batch = std::move(batch), done] { done(Apply(batch)); });
    if (!posted.ok()) done(posted);
  }
  Status CommitAndWait(const Call&, site::Batch batch) override { return Apply(batch); }
  const Lineage& lineage() const override { return disk_.lineage; }

  SiteDisk Backup() {
    MutexLock lock(mutex_);
    return disk_;
  }
  // The next `commits` are taken as ever. Of the one after them nobody hears, whether it became
  // durable (`stored`) or not, and nothing comes after it: with Kill, a kill -9 between a commit
  // and its effect, or just before the commit.
  void HangAfter(int commits, bool stored) {
    MutexLock lock(mutex_);
    hang_after_ = commits;
    hang_stored_ = stored;
  }
  bool hung() {
    MutexLock lock(mutex_);
    return hung_;
  }
  // From here on nothing becomes durable any more: the moment of a kill -9.
  void Kill() {
    MutexLock lock(mutex_);
    killed_ = true;
    wake_.NotifyAll();
  }
  // New work fails as on a full disk.
  void SetFull(bool full) {
    MutexLock lock(mutex_);
    full_ = full;
  }

 private:
  Status Apply(const site::Batch& batch) {
    MutexLock lock(mutex_);
    if (killed_) return Unavailable("the process is dead");
    if (hang_after_ && (*hang_after_)-- == 0) {
      if (hang_stored_) StoreLocked(batch);
      hung_ = true;
      wake_.WaitFor(mutex_, std::chrono::seconds(60),
                    [this]() NO_LOCK_ANALYSIS { return killed_; });
      return Unavailable("the process is dead");
    }
    if (full_ && batch.makes_new_work) return ResourceExhausted("the disk is full");
    StoreLocked(batch);
    return {};
  }
  void StoreLocked(const site::Batch& batch) REQUIRES_LOCK(mutex_) {
    for (const auto& put : batch.puts) disk_.records[put.key] = put.bytes;
    for (const auto& key : batch.erases) disk_.records.erase(key);
  }

  Mutex mutex_;
  CondVar wake_;
  SiteDisk& disk_;
  bool full_ GUARDED_BY(mutex_) = false;
  std::optional<int> hang_after_ GUARDED_BY(mutex_);
  bool hang_stored_ GUARDED_BY(mutex_) = false;
  bool hung_ GUARDED_BY(mutex_) = false;
  bool killed_ GUARDED_BY(mutex_) = false;
  StepPool writer_{"writer", 1, 100'000};
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_MEMORY_SITE_STORE_H_
