// A site::Store in memory: keeps what a "crashed" process would find again, and fails on request.
// Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_MEMORY_SITE_STORE_H_
#define INTERLINK_TEST_SUPPORT_MEMORY_SITE_STORE_H_

#include <map>
#include <memory>

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
  // From here on nothing becomes durable any more: the moment of a kill -9.
  void Kill() {
    MutexLock lock(mutex_);
    killed_ = true;
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
    if (full_ && batch.makes_new_work) return ResourceExhausted("the disk is full");
    for (const auto& put : batch.puts) disk_.records[put.key] = put.bytes;
    for (const auto& key : batch.erases) disk_.records.erase(key);
    return {};
  }

  Mutex mutex_;
  SiteDisk& disk_;
  bool full_ GUARDED_BY(mutex_) = false;
  bool killed_ GUARDED_BY(mutex_) = false;
  StepPool writer_{"writer", 1, 100'000};
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_MEMORY_SITE_STORE_H_
