// What `audit verify` and `audit show` of both daemons print. Without a folder
// kFailedPrecondition says what to configure.
#ifndef INTERLINK_AUTH_AUDIT_PRINT_H_
#define INTERLINK_AUTH_AUDIT_PRINT_H_

#include <ostream>
#include <string>
#include <vector>

#include "base/status.h"

namespace interlink::auth {

// kDataLoss: the log is not whole; each thing that is wrong is printed. Others: it or a key cannot
// be read.
Status PrintAuditReport(const std::string& folder, const std::vector<std::string>& key_files,
                        std::ostream& out);

struct AuditFilter {
  std::string node;     // "": all
  std::string id;       // of a sandbox, a container or a request; its beginning is enough
  bool denied = false;  // only what was denied
  std::string since;    // RFC 3339 or its beginning: "2026-11-29T10"
  bool json = false;    // the lines as they are, for programs
};
Status PrintAudit(const std::string& folder, const AuditFilter& filter, std::ostream& out);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_AUDIT_PRINT_H_
