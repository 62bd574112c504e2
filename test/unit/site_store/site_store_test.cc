#include "site_store/site_store.h"

#include <stdlib.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "sqlite/record_store.h"

namespace interlink::site_store {
namespace {

using site::Batch;
using site::RecordKey;
using site::RecordKind;
using Table = std::map<RecordKey, std::string>;

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "site-store-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { CHECK(RemoveTree(path_).ok()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Table LoadAll(site::Store& store) {
  auto records = store.Load();
  REQUIRE(records.ok());
  Table table;
  for (auto& record : *records) REQUIRE(table.emplace(record.key, record.bytes).second);
  return table;
}

Status Commit(site::Store& store, Batch batch) {
  return store.CommitAndWait(Call::WithTimeout(std::chrono::seconds(30)), std::move(batch));
}

TEST_CASE("the same id of two nodes is two records, also after a restart") {
  const Folder folder;
  const RecordKey one{RecordKind::kSandbox, NodeId("n1"), "id"};
  const RecordKey two{RecordKind::kSandbox, NodeId("n2"), "id"};
  const RecordKey node{RecordKind::kNode, NodeId("n1"), ""};
  const RecordKey meta{RecordKind::kMeta, NodeId(), "site"};
  {
    auto store = Open(folder.path());
    REQUIRE(store.ok());
    REQUIRE(Commit(**store, {{{one, "1"}, {two, "2"}, {node, "n"}, {meta, "m"}}, {}, true}).ok());
    REQUIRE(Commit(**store, {{{two, "2b"}}, {one}}).ok());
  }

  auto store = Open(folder.path());

  REQUIRE(store.ok());
  REQUIRE(LoadAll(**store) == Table{{two, "2b"}, {node, "n"}, {meta, "m"}});
}

TEST_CASE("a node's name is data: hostile ones stay apart") {
  const Folder folder;
  const RecordKey quoted{RecordKind::kSandbox, NodeId("a'; DROP TABLE records; --"), "k"};
  const RecordKey with_nul{RecordKind::kSandbox, NodeId(std::string("a\0b", 3)), "k"};
  const RecordKey plain{RecordKind::kSandbox, NodeId("a"), "k"};
  {
    auto store = Open(folder.path());
    REQUIRE(Commit(**store, {{{quoted, "1"}, {with_nul, "2"}, {plain, "3"}}, {}}).ok());
  }

  auto store = Open(folder.path());

  REQUIRE(LoadAll(**store) == Table{{quoted, "1"}, {with_nul, "2"}, {plain, "3"}});
}

TEST_CASE("a copy that was restored keeps the lineage, a new store has its own") {
  const Folder first;
  const Folder copy;
  const Folder fresh;
  Lineage lineage;
  {
    auto store = Open(first.path());
    lineage = (*store)->lineage();
  }
  std::filesystem::copy(first.path() + "/store.db", copy.path() + "/store.db");

  REQUIRE((*Open(copy.path()))->lineage() == lineage);
  REQUIRE((*Open(fresh.path()))->lineage() != lineage);
}

TEST_CASE("the node's store is not the site's") {
  const Folder folder;
  // "ILN1", as lib/node_store has it.
  { REQUIRE(sqlite::RecordStore::Open({folder.path(), 0x494c4e31}).ok()); }

  const auto store = Open(folder.path());

  REQUIRE(store.status().code() == Code::kFailedPrecondition);
  REQUIRE(store.status().message().find("another program") != std::string::npos);
}

}  // namespace
}  // namespace interlink::site_store
