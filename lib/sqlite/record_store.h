// RecordStore: durable (kind, owner, key) -> bytes, with one writer thread that commits what is
// queued together. Thread-safe. Both daemons' stores are thin adapters over it.
//
//   DIR/store.db   the database (0600)      DIR/reserve   room kept for ends when the disk is full
//   (DESIGN 6.1)
#ifndef INTERLINK_SQLITE_RECORD_STORE_H_
#define INTERLINK_SQLITE_RECORD_STORE_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/call.h"
#include "base/id.h"
#include "base/mutex.h"
#include "base/status.h"
#include "sqlite/database.h"

namespace interlink::sqlite {

struct Row {
  int kind = 0;
  std::string owner;
  std::string key;
  std::string bytes;
};

// All or nothing.
struct RowBatch {
  std::vector<Row> puts;
  std::vector<Row> erases;  // bytes unused
  bool may_use_reserve = true;
};

class RecordStore {
 public:
  struct Options {
    std::string folder;
    int32_t application_id = 0;
    size_t max_queued = 65536;
    size_t reserve_bytes = 4U << 20U;
  };
  static Result<std::unique_ptr<RecordStore>> Open(const Options& options);
  // Commits what is queued.
  ~RecordStore();
  RecordStore(const RecordStore&) = delete;
  RecordStore& operator=(const RecordStore&) = delete;

  // Before the first Commit.
  Result<std::vector<Row>> Load();
  // In call order; `done` runs on the writer's thread.
  void Commit(RowBatch batch, std::function<void(Status)> done);
  Status CommitAndWait(const Call& call, RowBatch batch);
  const Lineage& lineage() const { return lineage_; }

 private:
  struct Work {
    RowBatch batch;
    std::function<void(Status)> done;
  };
  RecordStore(Options options, std::unique_ptr<Database> database);
  Status Prepare();
  void Run();
  // One status per work.
  std::vector<Status> CommitGroup(const std::vector<Work>& group);
  Status Apply(const RowBatch& batch);
  Status TryGroup(const std::vector<Work>& group, std::vector<Status>& results);
  void MakeReserve();
  bool SpendReserve();

  const Options options_;
  std::unique_ptr<Database> database_;  // the writer's, once it runs
  std::optional<Statement> put_;
  std::optional<Statement> erase_;
  Lineage lineage_;
  bool reserve_spent_ = false;  // the writer's

  Mutex mutex_;
  CondVar wake_;
  std::deque<Work> queue_ GUARDED_BY(mutex_);
  bool ended_ GUARDED_BY(mutex_) = false;
  std::jthread writer_;
};

}  // namespace interlink::sqlite

#endif  // INTERLINK_SQLITE_RECORD_STORE_H_
