// A node::Store in memory: keeps what a "crashed" process would find again, and fails on request.
// Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_MEMORY_NODE_STORE_H_
#define INTERLINK_TEST_SUPPORT_MEMORY_NODE_STORE_H_

#include <future>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "base/step_pool.h"
#include "node/store.h"

namespace interlink::test {

// What outlives the process. Copy it to take a backup.
struct NodeDisk {
  std::map<std::pair<node::RecordKind, std::string>, std::string> records;
  Lineage lineage = MintLineage();
};

class MemoryNodeStore final : public node::Store {
 public:
  explicit MemoryNodeStore(NodeDisk& disk) : disk_(disk) {}

  Result<std::vector<node::StoredRecord>> Load() override {
    MutexLock lock(mutex_);
    std::vector<node::StoredRecord> records;
    for (const auto& [key, bytes] : disk_.records)
      records.push_back({key.first, key.second, bytes});
    return records;
  }
  void Commit(node::Batch batch, std::function<void(Status)> done) override {
    bool queue_full = false;
    {
      MutexLock lock(mutex_);
      queue_full = queue_full_;
    }
    if (queue_full) return done(Unavailable("the store is overloaded"));
    const Status posted = writer_.PostAlways("commit", [this, batch = std::move(batch), done] {
      WaitWhileHeld();
      done(Apply(batch));
    });
    if (!posted.ok()) done(posted);
  }
  Status CommitAndWait(const Call&, node::Batch batch) override {
    auto promise = std::make_shared<std::promise<Status>>();
    auto future = promise->get_future();
    Commit(std::move(batch), [promise](const Status& status) { promise->set_value(status); });
    return future.get();
  }
  const Lineage& lineage() const override { return disk_.lineage; }

  NodeDisk Backup() {
    MutexLock lock(mutex_);
    return disk_;
  }
  // What makes new work fails, as on a full disk.
  void SetFull(bool full) {
    MutexLock lock(mutex_);
    full_ = full;
  }
  // Commits are refused at once, on the thread that asks.
  void SetQueueFull(bool full) {
    MutexLock lock(mutex_);
    queue_full_ = full;
  }
  // Commits wait, neither done nor failed.
  void Hold(bool hold) {
    MutexLock lock(mutex_);
    held_ = hold;
    wake_.NotifyAll();
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
  // From here on nothing becomes durable any more: the moment of a kill -9. Commits that were held
  // are lost.
  void Kill() {
    MutexLock lock(mutex_);
    killed_ = true;
    held_ = false;
    wake_.NotifyAll();
  }

 private:
  void WaitWhileHeld() {
    MutexLock lock(mutex_);
    wake_.WaitFor(mutex_, std::chrono::seconds(60), [this]() NO_LOCK_ANALYSIS { return !held_; });
  }
  Status Apply(const node::Batch& batch) {
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
  void StoreLocked(const node::Batch& batch) REQUIRES_LOCK(mutex_) {
    for (const auto& put : batch.puts) disk_.records[{put.kind, put.key}] = put.bytes;
    for (const auto& key : batch.erases) disk_.records.erase(key);
  }

  Mutex mutex_;
  CondVar wake_;
  NodeDisk& disk_;
  bool full_ GUARDED_BY(mutex_) = false;
  std::optional<int> hang_after_ GUARDED_BY(mutex_);
  bool hang_stored_ GUARDED_BY(mutex_) = false;
  bool hung_ GUARDED_BY(mutex_) = false;
  bool queue_full_ GUARDED_BY(mutex_) = false;
  bool held_ GUARDED_BY(mutex_) = false;
  bool killed_ GUARDED_BY(mutex_) = false;
  StepPool writer_{"writer", 1, 100'000};
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_MEMORY_NODE_STORE_H_
