#include "sqlite/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "base/file.h"
#include "base/unique_fd.h"

namespace interlink::sqlite {
namespace {

// A quota and a file size limit are told as an I/O error; only ENOSPC is SQLITE_FULL.
bool IsNoRoom(sqlite3* database) {
  const int error = database == nullptr ? 0 : sqlite3_system_errno(database);
  return error == EDQUOT || error == EFBIG || error == ENOSPC;
}

Status ErrorOf(sqlite3* database, int result, const std::string& what) {
  const std::string text =
      what + ": " + (database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(result));
  switch (result & 0xff) {
    case SQLITE_FULL:
      return ResourceExhausted(text + " (the disk is full)");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return DataLoss(text + ": restore the file from a backup");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return FailedPrecondition(text + ": another interlink daemon uses this file");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return PermissionDenied(text);
    case SQLITE_IOERR:
      return IsNoRoom(database) ? ResourceExhausted(text + " (no room is left)")
                                : Unavailable(text);
    default:
      return InternalError(text);
  }
}

// SQLite creates files with the umask's rights: ours must never be readable by others, not for a
// moment.
Status CreatePrivate(const std::string& path) {
  RETURN_IF_ERROR(MakeDirectories(std::filesystem::path(path).parent_path().string(), 0700));
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return ErrnoStatus(errno, "open \"" + path + "\"");
  if (fchmod(fd.get(), 0600) != 0) return ErrnoStatus(errno, "chmod \"" + path + "\"");
  return {};
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}

Statement::~Statement() { sqlite3_finalize(statement_); }

Status Statement::Bind(int position, int64_t value) {
  const int result = sqlite3_bind_int64(statement_, position, value);
  return result == SQLITE_OK ? Status::Ok() : ErrorOf(database_, result, "bind");
}

Status Statement::Bind(int position, std::string_view text) {
  const int result = sqlite3_bind_text(statement_, position, text.data(),
                                       static_cast<int>(text.size()), SQLITE_TRANSIENT);
  return result == SQLITE_OK ? Status::Ok() : ErrorOf(database_, result, "bind");
}

Status Statement::BindBlob(int position, std::string_view bytes) {
  const int result =
      sqlite3_bind_blob64(statement_, position, bytes.data(), bytes.size(), SQLITE_STATIC);
  return result == SQLITE_OK ? Status::Ok() : ErrorOf(database_, result, "bind");
}

Result<bool> Statement::Step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return ErrorOf(database_, result, "step");
}

Status Statement::Run() {
  Status status;
  while (true) {
    auto row = Step();
    if (!row.ok()) status = row.status();
    if (!row.ok() || !*row) break;
  }
  Reset();
  return status;
}

void Statement::Reset() {
  // Repeats the error of the last step, which was told.
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Statement::Text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string() : std::string(bytes, static_cast<size_t>(size));
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path, const Schema& schema) {
  RETURN_IF_ERROR(CreatePrivate(path));
  sqlite3* raw = nullptr;
  const int result =
      sqlite3_open_v2(path.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  std::unique_ptr<Database> database(new Database(raw));  // NOLINT: the constructor is private
  if (result != SQLITE_OK) return ErrorOf(raw, result, "open \"" + path + "\"");
  RETURN_IF_ERROR(database->Configure(schema).WithContext("\"" + path + "\""));
  return database;
}

Database::~Database() { sqlite3_close_v2(database_); }

Status Database::Configure(const Schema& schema) {
  sqlite3_busy_timeout(database_, 0);
  RETURN_IF_ERROR(Execute("PRAGMA trusted_schema=OFF"));
  RETURN_IF_ERROR(Execute("PRAGMA locking_mode=EXCLUSIVE"));
  // Before anything is changed in a file that may be another program's.
  RETURN_IF_ERROR(Identify(schema));
  RETURN_IF_ERROR(Execute("PRAGMA journal_mode=WAL"));
  RETURN_IF_ERROR(Execute("PRAGMA synchronous=FULL"));
  // Takes the exclusive lock now, so that a second daemon fails here and not at its first commit.
  RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  RETURN_IF_ERROR(Execute("COMMIT"));
  {
    ASSIGN_OR_RETURN(Statement check, Prepare("PRAGMA quick_check(1)"));
    ASSIGN_OR_RETURN(const bool row, check.Step());
    if (!row || check.Text(0) != "ok") {
      return DataLoss("the store is damaged (" + (row ? check.Text(0) : "no answer") +
                      "): restore it from a backup");
    }
  }
  return Migrate(schema);
}

Result<int64_t> Database::Number(const std::string& sql) {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return InternalError("no answer to " + sql);
  return statement.Int(0);
}

Status Database::Identify(const Schema& schema) {
  ASSIGN_OR_RETURN(const int64_t version, Number("PRAGMA user_version"));
  ASSIGN_OR_RETURN(const int64_t application, Number("PRAGMA application_id"));
  ASSIGN_OR_RETURN(const int64_t objects, Number("SELECT count(*) FROM sqlite_schema"));
  const auto newest = static_cast<int64_t>(schema.migrations.size());
  const bool fresh = version == 0 && application == 0 && objects == 0;
  if (!fresh && application != schema.application_id) {
    return FailedPrecondition("the file belongs to another program");
  }
  if (version < 0 || version > newest) {
    return FailedPrecondition("schema version " + std::to_string(version) +
                              " is newer than this build's " + std::to_string(newest) +
                              ": use the build that wrote it");
  }
  return {};
}

Status Database::Migrate(const Schema& schema) {
  ASSIGN_OR_RETURN(const int64_t version, Number("PRAGMA user_version"));
  const auto newest = static_cast<int64_t>(schema.migrations.size());
  for (int64_t from = version; from < newest; ++from) {
    RETURN_IF_ERROR(
        Execute("BEGIN IMMEDIATE; PRAGMA application_id=" + std::to_string(schema.application_id) +
                "; " + schema.migrations[static_cast<size_t>(from)] +
                "; PRAGMA user_version=" + std::to_string(from + 1) + "; COMMIT")
            .WithContext("migrate to version " + std::to_string(from + 1)));
  }
  return {};
}

Result<Statement> Database::Prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(database_, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT,
                                        &statement, nullptr);
  if (result != SQLITE_OK) return ErrorOf(database_, result, "prepare");
  return Statement(database_, statement);
}

Status Database::Execute(const std::string& sql) {
  const int result = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? Status::Ok() : ErrorOf(database_, result, "execute");
}

}  // namespace interlink::sqlite
