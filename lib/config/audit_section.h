// The section Audit of both daemons: where it is kept what was asked of them. Values.
#ifndef INTERLINK_CONFIG_AUDIT_SECTION_H_
#define INTERLINK_CONFIG_AUDIT_SECTION_H_

#include <cstdint>
#include <string>

#include "auth/audit_log.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/schema.h"

namespace interlink::config {

// Members are the keys of the section (AuditKeys documents them).
struct AuditConfig {
  std::string folder;  // "": no audit log
  std::string signing_key_file;
  uint64_t max_file_size = 64U << 20U;
  int64_t max_files = 0;  // 0: all are kept
  Duration flush_interval = std::chrono::seconds(1);
  size_t on_failure = 0;  // index into refuse, continue
  bool refuses() const { return on_failure == 0; }
};

// `who`: whose calls are recorded, for the reference. `example`: a folder.
Keys AuditKeys(AuditConfig* audit, const std::string& who, const std::string& example);

// The rules that span keys. kInvalidArgument with file:line; `file` is the main file.
Status CheckAudit(const AuditConfig& audit, const Sources& sources, const std::string& file);

// REQUIRES: audit.folder. `name`: of the site or node.
auth::AuditOptions AuditOptionsOf(const AuditConfig& audit, const std::string& daemon,
                                  const std::string& name);

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_AUDIT_SECTION_H_
