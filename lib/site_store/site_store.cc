#include "site_store/site_store.h"

#include "sqlite/record_store.h"

namespace interlink::site_store {
namespace {

constexpr int32_t kApplicationId = 0x494c5331;  // "ILS1"

sqlite::RowBatch ToRows(site::Batch batch) {
  sqlite::RowBatch rows;
  rows.may_use_reserve = !batch.makes_new_work;
  for (auto& put : batch.puts) {
    rows.puts.push_back({static_cast<int>(put.key.kind), put.key.node.str(), std::move(put.key.key),
                         std::move(put.bytes)});
  }
  for (auto& erase : batch.erases) {
    rows.erases.push_back(
        {static_cast<int>(erase.kind), erase.node.str(), std::move(erase.key), ""});
  }
  return rows;
}

class SiteStore final : public site::Store {
 public:
  explicit SiteStore(std::unique_ptr<sqlite::RecordStore> records) : records_(std::move(records)) {}

  Result<std::vector<site::StoredRecord>> Load() override {
    ASSIGN_OR_RETURN(std::vector<sqlite::Row> rows, records_->Load());
    std::vector<site::StoredRecord> loaded;
    loaded.reserve(rows.size());
    for (auto& row : rows) {
      loaded.push_back({{static_cast<site::RecordKind>(row.kind), NodeId(std::move(row.owner)),
                         std::move(row.key)},
                        std::move(row.bytes)});
    }
    return loaded;
  }
  void Commit(site::Batch batch, std::function<void(Status)> done) override {
    records_->Commit(ToRows(std::move(batch)), std::move(done));
  }
  Status CommitAndWait(const Call& call, site::Batch batch) override {
    return records_->CommitAndWait(call, ToRows(std::move(batch)));
  }
  const Lineage& lineage() const override { return records_->lineage(); }

 private:
  std::unique_ptr<sqlite::RecordStore> records_;
};

}  // namespace

Result<std::unique_ptr<site::Store>> Open(const std::string& folder) {
  ASSIGN_OR_RETURN(auto records, sqlite::RecordStore::Open({folder, kApplicationId}));
  return std::unique_ptr<site::Store>(std::make_unique<SiteStore>(std::move(records)));
}

}  // namespace interlink::site_store
