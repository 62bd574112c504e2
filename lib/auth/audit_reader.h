// Reads an audit log (audit_log.h): whether it is whole, and what it says. It may be read while a
// daemon writes it. Pure functions over files.
#ifndef INTERLINK_AUTH_AUDIT_READER_H_
#define INTERLINK_AUTH_AUDIT_READER_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "auth/audit_key.h"
#include "base/status.h"

namespace interlink::auth {

struct AuditReport {
  uint64_t files = 0;
  uint64_t first_file = 0;
  uint64_t lines = 0;
  uint64_t records = 0;  // of calls and sessions
  uint64_t lost = 0;     // that the writer says it could not keep
  uint64_t signatures = 0;
  uint64_t unsealed = 0;  // lines behind the last signature: only the chain holds them
  bool closed = false;    // the last file has its end; else a daemon writes it, or died
  std::string first_time;
  std::string last_time;
  std::vector<std::string> problems;  // "FILE:LINE: what is wrong"; at most 100. Empty: it is whole
};

// Checks every line. With several keys each signature needs one of them; without any, signatures
// are not looked at, and only the chain is checked. kNotFound: there is no log.
Result<AuditReport> VerifyAudit(const std::string& folder, const std::vector<AuditKey>& keys);

// Hands out each line and its JSON, oldest first, without checking the chain. Lines that are none
// are left out. `take` returns false to end.
using TakeAuditLine = std::function<bool(const std::string& text, const nlohmann::json& line)>;
Status ReadAudit(const std::string& folder, const TakeAuditLine& take);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_AUDIT_READER_H_
