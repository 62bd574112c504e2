// Database: RAII over SQLite's C API, with the settings that our stores rely on: WAL,
// synchronous=FULL, exclusive locking (one daemon per file), a checked application id and schema
// version. Not thread-safe.
#ifndef INTERLINK_SQLITE_DATABASE_H_
#define INTERLINK_SQLITE_DATABASE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace interlink::sqlite {

// A prepared statement. Bind positions count from 1, columns from 0. Outlived by its Database.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Status Bind(int position, int64_t value);
  Status Bind(int position, std::string_view text);
  // `bytes` must stay until Reset.
  Status BindBlob(int position, std::string_view bytes);
  // True: a row is there. False: done.
  Result<bool> Step();
  // Steps to the end and resets.
  Status Run();
  void Reset();
  int64_t Int(int column) const;
  std::string Text(int column) const;

 private:
  friend class Database;
  Statement(sqlite3* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}
  sqlite3* database_;
  sqlite3_stmt* statement_;
};

struct Schema {
  int32_t application_id = 0;
  // migrations[i] brings version i to i + 1. Never edited once released.
  std::vector<std::string> migrations;
};

class Database {
 public:
  // Opens or creates `path` (0600, its folder 0700). kFailedPrecondition: another daemon uses it,
  // it is another program's, or of a newer version; kDataLoss: it is damaged; kResourceExhausted:
  // the disk is full.
  static Result<std::unique_ptr<Database>> Open(const std::string& path, const Schema& schema);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Result<Statement> Prepare(const std::string& sql);
  Status Execute(const std::string& sql);

 private:
  explicit Database(sqlite3* database) : database_(database) {}
  Status Configure(const Schema& schema);
  Status Identify(const Schema& schema);
  Status Migrate(const Schema& schema);
  Result<int64_t> Number(const std::string& sql);
  sqlite3* database_;
};

}  // namespace interlink::sqlite

#endif  // INTERLINK_SQLITE_DATABASE_H_
