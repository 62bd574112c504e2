#include "sqlite/database.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <fstream>

#include "folder.h"

namespace interlink::sqlite {
namespace {

const Schema kSchema = {7, {"CREATE TABLE t (a INTEGER NOT NULL, b BLOB NOT NULL) STRICT"}};

bool Says(const Status& status, const std::string& text) {
  INFO(status.ToString());
  const bool says = status.message().find(text) != std::string::npos;
  CHECK(says);
  return says;
}

// Another program's database.
void MakeForeign(const std::string& path, const std::string& sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  REQUIRE(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
}

int64_t Number(Database& database, const std::string& sql) {
  auto statement = database.Prepare(sql);
  REQUIRE(statement.ok());
  REQUIRE(statement->Step().value_or(false));
  return statement->Int(0);
}

TEST_CASE("a new store is private, durable and locked") {
  const Folder folder;
  const mode_t mask = umask(0);
  const auto database = Database::Open(folder.File("new/store.db"), kSchema);
  umask(mask);
  REQUIRE(database.ok());
  REQUIRE((*database)->Execute("INSERT INTO t VALUES (1, x'00')").ok());

  REQUIRE(Number(**database, "PRAGMA synchronous") == 2);
  REQUIRE(Number(**database, "PRAGMA user_version") == 1);
  auto mode = (*database)->Prepare("PRAGMA journal_mode");
  REQUIRE(mode->Step().value());
  REQUIRE(mode->Text(0) == "wal");
  struct stat about {};
  REQUIRE(stat(folder.File("new").c_str(), &about) == 0);
  REQUIRE((about.st_mode & 0777) == 0700);
  for (const auto& entry : std::filesystem::directory_iterator(folder.File("new"))) {
    REQUIRE(stat(entry.path().c_str(), &about) == 0);
    INFO(entry.path());
    REQUIRE((about.st_mode & 0777) == 0600);
  }
}

TEST_CASE("a second daemon is refused while the first lives, and not after") {
  const Folder folder;
  auto first = Database::Open(folder.File("store.db"), kSchema);
  REQUIRE(first.ok());

  const auto second = Database::Open(folder.File("store.db"), kSchema);

  REQUIRE(second.status().code() == Code::kFailedPrecondition);
  REQUIRE(Says(second.status(), "another interlink daemon uses this file"));
  first->reset();
  REQUIRE(Database::Open(folder.File("store.db"), kSchema).ok());
}

TEST_CASE("another program's database is refused and not touched") {
  const Folder folder;
  const std::string sql = GENERATE(
      values<std::string>({"CREATE TABLE theirs (x)", "PRAGMA user_version=1",
                           "PRAGMA application_id=8; CREATE TABLE t (x)",
                           "PRAGMA application_id=8; PRAGMA user_version=1; CREATE TABLE t (x)"}));
  MakeForeign(folder.File("store.db"), sql);
  const std::string before = ReadFile(folder.File("store.db")).value();

  const auto database = Database::Open(folder.File("store.db"), kSchema);

  REQUIRE(database.status().code() == Code::kFailedPrecondition);
  REQUIRE(Says(database.status(), "belongs to another program"));
  REQUIRE(ReadFile(folder.File("store.db")).value() == before);
}

TEST_CASE("a newer schema is refused, an older one is brought up step by step") {
  const Folder folder;
  Schema next = kSchema;
  next.migrations.emplace_back("ALTER TABLE t ADD COLUMN c TEXT");
  next.migrations.emplace_back("INSERT INTO t VALUES (5, x'01', 'moved')");
  { REQUIRE(Database::Open(folder.File("store.db"), kSchema).ok()); }
  {
    const auto newer = Database::Open(folder.File("store.db"), next);
    REQUIRE(newer.ok());
    REQUIRE(Number(**newer, "SELECT a FROM t WHERE c = 'moved'") == 5);
    REQUIRE(Number(**newer, "PRAGMA user_version") == 3);
  }

  const auto older = Database::Open(folder.File("store.db"), kSchema);

  REQUIRE(older.status().code() == Code::kFailedPrecondition);
  REQUIRE(Says(older.status(), "schema version 3 is newer than this build's 1"));
}

TEST_CASE("a migration that fails leaves the version before it") {
  const Folder folder;
  Schema broken = kSchema;
  broken.migrations.emplace_back("CREATE TABLE u (x); INSERT INTO nowhere VALUES (1)");
  { REQUIRE(Database::Open(folder.File("store.db"), kSchema).ok()); }

  REQUIRE(Says(Database::Open(folder.File("store.db"), broken).status(), "migrate to version 2"));

  const auto database = Database::Open(folder.File("store.db"), kSchema);
  REQUIRE(database.ok());
  REQUIRE(Number(**database, "SELECT count(*) FROM sqlite_schema WHERE name = 'u'") == 0);
}

TEST_CASE("a damaged file is data loss, never an empty store") {
  const Folder folder;
  const std::string path = folder.File("store.db");
  {
    const auto database = Database::Open(path, kSchema);
    for (int i = 0; i < 2000; ++i) {
      REQUIRE((*database)->Execute("INSERT INTO t VALUES (1, zeroblob(200))").ok());
    }
  }
  std::string bytes = ReadFile(path).value();
  const std::string how = GENERATE(values<std::string>({"text", "header", "page", "cut"}));
  if (how == "text") bytes = std::string(8192, 'x');
  if (how == "header") bytes.replace(20, 60, std::string(60, '\xff'));
  if (how == "page") bytes.replace(4096, 4096, std::string(4096, '\xff'));
  if (how == "cut") bytes.resize(bytes.size() / 2);
  std::ofstream(path, std::ios::binary) << bytes;

  const auto database = Database::Open(path, kSchema);

  INFO(how << ": " << database.status().ToString());
  REQUIRE(database.status().code() == Code::kDataLoss);
  REQUIRE(Says(database.status(), path));
  REQUIRE(Says(database.status(), "backup"));
}

TEST_CASE("a path that cannot be a database is an error with its name") {
  const Folder folder;
  std::filesystem::create_directory(folder.File("folder"));
  std::filesystem::create_symlink("/nowhere", folder.File("link"));
  std::ofstream(folder.File("file")) << "x";

  for (const std::string name : {"folder", "link", "file/store.db"}) {
    const auto database = Database::Open(folder.File(name), kSchema);
    REQUIRE_FALSE(database.ok());
    REQUIRE(Says(database.status(), folder.File("").substr(0, folder.path().size())));
  }
}

TEST_CASE("bytes come back as they were") {
  const Folder folder;
  const auto database = Database::Open(folder.File("store.db"), kSchema);
  const std::string bytes =
      GENERATE(values<std::string>({"", std::string("\0\xff\0", 3), std::string(3'000'000, 'z')}));
  auto insert = (*database)->Prepare("INSERT INTO t VALUES (?1, ?2)");
  REQUIRE(insert->Bind(1, int64_t{-5}).ok());
  REQUIRE(insert->BindBlob(2, bytes).ok());
  REQUIRE(insert->Run().ok());

  auto select = (*database)->Prepare("SELECT a, b FROM t");

  REQUIRE(select->Step().value());
  REQUIRE(select->Int(0) == -5);
  REQUIRE(select->Text(1) == bytes);
  REQUIRE_FALSE(select->Step().value());
}

TEST_CASE("an error has SQLite's own words") {
  const Folder folder;
  const auto database = Database::Open(folder.File("store.db"), kSchema);

  REQUIRE(Says((*database)->Prepare("SELECT * FROM absent").status(), "no such table: absent"));
  REQUIRE(Says((*database)->Execute("INSERT INTO t VALUES ('x', 1)"), "cannot store"));
}

}  // namespace
}  // namespace interlink::sqlite
