#include "node_store/node_store.h"

#include "sqlite/record_store.h"

namespace interlink::node_store {
namespace {

constexpr int32_t kApplicationId = 0x494c4e31;  // "ILN1"

sqlite::RowBatch ToRows(node::Batch batch) {
  sqlite::RowBatch rows;
  rows.may_use_reserve = !batch.makes_new_work;
  for (auto& put : batch.puts) {
    rows.puts.push_back({static_cast<int>(put.kind), "", std::move(put.key), std::move(put.bytes)});
  }
  for (auto& [kind, key] : batch.erases)
    rows.erases.push_back({static_cast<int>(kind), "", std::move(key), ""});
  return rows;
}

class NodeStore final : public node::Store {
 public:
  explicit NodeStore(std::unique_ptr<sqlite::RecordStore> records) : records_(std::move(records)) {}

  Result<std::vector<node::StoredRecord>> Load() override {
    ASSIGN_OR_RETURN(std::vector<sqlite::Row> rows, records_->Load());
    std::vector<node::StoredRecord> loaded;
    loaded.reserve(rows.size());
    for (auto& row : rows) {
      loaded.push_back(
          {static_cast<node::RecordKind>(row.kind), std::move(row.key), std::move(row.bytes)});
    }
    return loaded;
  }
  void Commit(node::Batch batch, std::function<void(Status)> done) override {
    records_->Commit(ToRows(std::move(batch)), std::move(done));
  }
  Status CommitAndWait(const Call& call, node::Batch batch) override {
    return records_->CommitAndWait(call, ToRows(std::move(batch)));
  }
  const Lineage& lineage() const override { return records_->lineage(); }

 private:
  std::unique_ptr<sqlite::RecordStore> records_;
};

}  // namespace

Result<std::unique_ptr<node::Store>> Open(const std::string& folder) {
  ASSIGN_OR_RETURN(auto records, sqlite::RecordStore::Open({folder, kApplicationId}));
  return std::unique_ptr<node::Store>(std::make_unique<NodeStore>(std::move(records)));
}

}  // namespace interlink::node_store
