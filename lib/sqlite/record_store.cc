#include "sqlite/record_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/unique_fd.h"

namespace interlink::sqlite {
namespace {

constexpr size_t kMaxGroup = 512;

const char kSchema1[] =
    "CREATE TABLE records (kind INTEGER NOT NULL, owner TEXT NOT NULL, key TEXT NOT NULL, bytes "
    "BLOB NOT NULL, "
    "UNIQUE (kind, owner, key)) STRICT;"
    "CREATE TABLE store (lineage TEXT NOT NULL) STRICT";

}  // namespace

Result<std::unique_ptr<RecordStore>> RecordStore::Open(const Options& options) {
  ASSIGN_OR_RETURN(auto database, Database::Open(options.folder + "/store.db",
                                                 {options.application_id, {kSchema1}}));
  std::unique_ptr<RecordStore> store(
      new RecordStore(options, std::move(database)));  // NOLINT: private constructor
  RETURN_IF_ERROR(store->Prepare());
  store->MakeReserve();
  store->writer_ = std::jthread([raw = store.get()] { raw->Run(); });
  return store;
}

RecordStore::RecordStore(Options options, std::unique_ptr<Database> database)
    : options_(std::move(options)), database_(std::move(database)) {}

Status RecordStore::Prepare() {
  ASSIGN_OR_RETURN(
      Statement put,
      database_->Prepare("INSERT INTO records (kind, owner, key, bytes) VALUES (?1, ?2, ?3, ?4) "
                         "ON CONFLICT (kind, owner, key) DO UPDATE SET bytes = excluded.bytes"));
  put_.emplace(std::move(put));
  ASSIGN_OR_RETURN(
      Statement erase,
      database_->Prepare("DELETE FROM records WHERE kind = ?1 AND owner = ?2 AND key = ?3"));
  erase_.emplace(std::move(erase));
  ASSIGN_OR_RETURN(Statement find, database_->Prepare("SELECT lineage FROM store"));
  ASSIGN_OR_RETURN(const bool found, find.Step());
  if (found) {
    lineage_ = Lineage(find.Text(0));
    return {};
  }
  lineage_ = MintLineage();
  ASSIGN_OR_RETURN(Statement insert, database_->Prepare("INSERT INTO store (lineage) VALUES (?1)"));
  RETURN_IF_ERROR(insert.Bind(1, lineage_.str()));
  return insert.Run();
}

RecordStore::~RecordStore() {
  {
    MutexLock lock(mutex_);
    ended_ = true;
    wake_.NotifyAll();
  }
  if (writer_.joinable()) writer_.join();
  put_.reset();
  erase_.reset();
}

Result<std::vector<Row>> RecordStore::Load() {
  ASSIGN_OR_RETURN(Statement all,
                   database_->Prepare("SELECT kind, owner, key, bytes FROM records"));
  std::vector<Row> rows;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, all.Step());
    if (!more) return rows;
    rows.push_back({static_cast<int>(all.Int(0)), all.Text(1), all.Text(2), all.Text(3)});
  }
}

void RecordStore::Commit(RowBatch batch, std::function<void(Status)> done) {
  Status refused;
  {
    MutexLock lock(mutex_);
    if (ended_) {
      refused = Unavailable("the store is closed");
    } else if (queue_.size() >= options_.max_queued) {
      refused = Unavailable("the store is overloaded: " + std::to_string(queue_.size()) +
                            " commits wait");
    } else {
      queue_.push_back({std::move(batch), std::move(done)});
      wake_.NotifyOne();
      return;
    }
  }
  done(refused);
}

Status RecordStore::CommitAndWait(const Call& call, RowBatch batch) {
  struct Waiting {
    Mutex mutex;
    CondVar wake;
    std::optional<Status> status;
  };
  const auto waiting = std::make_shared<Waiting>();  // owners: this caller and the writer
  Commit(std::move(batch), [waiting](Status status) {
    MutexLock lock(waiting->mutex);
    waiting->status = std::move(status);
    waiting->wake.NotifyAll();
  });
  MutexLock lock(waiting->mutex);
  const bool answered = waiting->wake.WaitUntil(
      waiting->mutex, call.deadline(),
      [&waiting]() NO_LOCK_ANALYSIS { return waiting->status.has_value(); });
  if (!answered)
    return Unavailable("the store has not answered in time, the commit may still happen");
  return *waiting->status;
}

void RecordStore::Run() {
  while (true) {
    std::vector<Work> group;
    {
      MutexLock lock(mutex_);
      wake_.WaitFor(mutex_, std::chrono::seconds(60),
                    [this]() NO_LOCK_ANALYSIS { return ended_ || !queue_.empty(); });
      if (queue_.empty() && ended_) return;
      while (!queue_.empty() && group.size() < kMaxGroup) {
        group.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
    }
    if (group.empty()) continue;
    if (reserve_spent_) MakeReserve();
    const std::vector<Status> results = CommitGroup(group);
    for (size_t i = 0; i < group.size(); ++i) group[i].done(results[i]);
  }
}

std::vector<Status> RecordStore::CommitGroup(const std::vector<Work>& group) {
  std::vector<Status> results(group.size());
  Status status = TryGroup(group, results);
  if (status.code() == Code::kResourceExhausted && SpendReserve()) {
    // There is room again, for what ends work; TryGroup refuses the rest.
    status = TryGroup(group, results);
  }
  if (!status.ok()) results.assign(group.size(), status);
  return results;
}

Status RecordStore::TryGroup(const std::vector<Work>& group, std::vector<Status>& results) {
  RETURN_IF_ERROR(database_->Execute("BEGIN IMMEDIATE"));
  Status status;
  for (size_t i = 0; i < group.size() && status.ok(); ++i) {
    results[i] = {};
    if (reserve_spent_ && !group[i].batch.may_use_reserve) {
      results[i] =
          ResourceExhausted("the disk is full: nothing new is taken until there is room in \"" +
                            options_.folder + "\"");
      continue;
    }
    status = Apply(group[i].batch);
  }
  if (status.ok()) status = database_->Execute("COMMIT");
  // After an error SQLite may have rolled back by itself: then this says so and nothing else.
  if (!status.ok() && !database_->Execute("ROLLBACK").ok()) return status;
  return status;
}

Status RecordStore::Apply(const RowBatch& batch) {
  for (const Row& row : batch.puts) {
    RETURN_IF_ERROR(put_->Bind(1, static_cast<int64_t>(row.kind)));
    RETURN_IF_ERROR(put_->Bind(2, std::string_view(row.owner)));
    RETURN_IF_ERROR(put_->Bind(3, std::string_view(row.key)));
    RETURN_IF_ERROR(put_->BindBlob(4, row.bytes));
    RETURN_IF_ERROR(put_->Run());
  }
  for (const Row& row : batch.erases) {
    RETURN_IF_ERROR(erase_->Bind(1, static_cast<int64_t>(row.kind)));
    RETURN_IF_ERROR(erase_->Bind(2, std::string_view(row.owner)));
    RETURN_IF_ERROR(erase_->Bind(3, std::string_view(row.key)));
    RETURN_IF_ERROR(erase_->Run());
  }
  return {};
}

void RecordStore::MakeReserve() {
  const std::string path = options_.folder + "/reserve";
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  // As long as there is no room the reserve stays spent, and new work is refused.
  reserve_spent_ =
      !fd || posix_fallocate(fd.get(), 0, static_cast<off_t>(options_.reserve_bytes)) != 0;
  if (reserve_spent_ && fd) ::unlink(path.c_str());
}

bool RecordStore::SpendReserve() {
  if (reserve_spent_) return false;
  reserve_spent_ = true;
  return ::unlink((options_.folder + "/reserve").c_str()) == 0;
}

}  // namespace interlink::sqlite
