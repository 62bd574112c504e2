#include "node_store/node_store.h"

#include <stdlib.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <tuple>

#include "base/file.h"

namespace interlink::node_store {
namespace {

using node::Batch;
using node::RecordKind;
using Row = std::tuple<RecordKind, std::string, std::string>;

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "node-store-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { CHECK(RemoveTree(path_).ok()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::vector<Row> LoadAll(node::Store& store) {
  auto records = store.Load();
  REQUIRE(records.ok());
  std::vector<Row> rows;
  for (auto& record : *records) rows.emplace_back(record.kind, record.key, record.bytes);
  std::sort(rows.begin(), rows.end());
  return rows;
}

Status Commit(node::Store& store, Batch batch) {
  return store.CommitAndWait(Call::WithTimeout(std::chrono::seconds(30)), std::move(batch));
}

TEST_CASE("every kind of record comes back after a restart, with its bytes") {
  const Folder folder;
  const std::string bytes("\0\x01\xff", 3);
  Lineage lineage;
  {
    auto store = Open(folder.path());
    REQUIRE(store.ok());
    lineage = (*store)->lineage();
    REQUIRE(LoadAll(**store).empty());
    REQUIRE(Commit(**store, {{{RecordKind::kMeta, "link", "1"},
                              {RecordKind::kSandbox, "id", bytes},
                              {RecordKind::kContainer, "id", "c"},
                              {RecordKind::kImage, "id", "i"},
                              {RecordKind::kLogPosition, "id", ""}},
                             {},
                             true})
                .ok());
    REQUIRE(Commit(**store, {{{RecordKind::kMeta, "link", "2"}},
                             {{RecordKind::kImage, "id"}, {RecordKind::kImage, "absent"}}})
                .ok());
  }

  auto store = Open(folder.path());

  REQUIRE(store.ok());
  REQUIRE(LoadAll(**store) == std::vector<Row>{{RecordKind::kMeta, "link", "2"},
                                               {RecordKind::kSandbox, "id", bytes},
                                               {RecordKind::kContainer, "id", "c"},
                                               {RecordKind::kLogPosition, "id", ""}});
  REQUIRE((*store)->lineage() == lineage);
}

TEST_CASE("commits end in call order") {
  const Folder folder;
  auto store = Open(folder.path());
  std::vector<int> order;
  for (int i = 0; i < 50; ++i) {
    (*store)->Commit({{{RecordKind::kMeta, "k", std::to_string(i)}}, {}},
                     [&order, i](Status status) {
                       if (status.ok()) order.push_back(i);
                     });
  }

  REQUIRE(Commit(**store, {}).ok());

  REQUIRE(order.size() == 50);
  REQUIRE(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("a store in use and a damaged one are refused with what to do") {
  const Folder folder;
  {
    auto first = Open(folder.path());
    REQUIRE(first.ok());
    const auto second = Open(folder.path());
    REQUIRE(second.status().code() == Code::kFailedPrecondition);
    REQUIRE(second.status().message().find("another interlink daemon") != std::string::npos);
  }
  std::ofstream(folder.path() + "/store.db") << std::string(5000, 'x');

  const auto damaged = Open(folder.path());

  REQUIRE(damaged.status().code() == Code::kDataLoss);
  REQUIRE(damaged.status().message().find("restore") != std::string::npos);
}

}  // namespace
}  // namespace interlink::node_store
