// Internal: the files of an audit log as their one writer sees them. Not thread-safe.
#ifndef INTERLINK_AUTH_AUDIT_FILES_H_
#define INTERLINK_AUTH_AUDIT_FILES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "auth/audit_chain.h"
#include "auth/audit_key.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink::auth {

struct AuditFilesOptions {
  std::string folder;
  std::string daemon;  // "interlink-api"
  std::string name;    // of the site or node
  uint64_t max_file_bytes = 64U << 20U;
  size_t max_files = 0;  // 0: all are kept
};

// A file begins with the signed line "open" and ends with the signed line "close". What a writer
// that died has left is not touched: the next file's "open" holds its last whole line, and says how
// many bytes of an unfinished one stand behind it.
class AuditFiles {
 public:
  // Opens a new file behind those that are there. kFailedPrecondition: another process writes here.
  // kDataLoss: the last line there is none of an audit log.
  static Result<AuditFiles> Open(AuditFilesOptions options, AuditKey key, const Clock& clock);

  struct Entry {
    int64_t wall_nanos = 0;
    std::string members;
  };
  // All of them, in the page cache, or none. Opens the next file when this one is full.
  Status Append(const std::vector<Entry>& entries);
  // On the disk.
  Status Sync();
  // A signed line that holds all before it; nothing when no line came since the last one.
  Status Seal();
  // The last line; nothing can be appended afterwards.
  Status Close();
  uint64_t unsealed() const { return unsealed_; }

 private:
  AuditFiles(AuditFilesOptions options, AuditKey key, const Clock& clock)
      : options_(std::move(options)), key_(std::move(key)), clock_(&clock) {}
  Status Recover();
  Status OpenNext();
  Status RemoveOldest();
  // Writes at the end of the file, whole or not at all; then `chain` is where the log is.
  Status Write(std::string_view bytes, const AuditChain& chain);
  Status WriteSigned(std::string_view members);

  AuditFilesOptions options_;
  AuditKey key_;
  const Clock* clock_;
  UniqueFd folder_;   // locked
  UniqueFd file_;     // not valid: the next one is still to be opened
  std::string path_;  // of the file, for messages
  uint64_t number_ = 0;
  uint64_t size_ = 0;
  uint64_t torn_ = 0;  // bytes behind the last whole line of the file before
  uint64_t unsealed_ = 0;
  bool dirty_ = false;
  AuditChain chain_;
};

// The numbers of the files in `folder`, upwards.
Result<std::vector<uint64_t>> ListAuditFiles(const std::string& folder);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_AUDIT_FILES_H_
