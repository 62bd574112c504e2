// AuditLog: what was asked of a daemon and how it ended, as lines of JSON that cannot be changed
// afterwards without that being seen. Thread-safe.
//
// Files `audit-NNNNNNNN.jsonl` in one folder; every line holds the hash of the one before, and
// signed lines (Ed25519) hold all before them: the first and the last of a file, and at least every
// minute. What nobody can tell: whether the newest files are gone altogether. Whoever needs that
// copies them away (docs/security.md).
//
// A record reaches the file within milliseconds, so the daemon's own death loses at most those; it
// is on the disk after `flush`.
#ifndef INTERLINK_AUTH_AUDIT_LOG_H_
#define INTERLINK_AUTH_AUDIT_LOG_H_

#include <memory>
#include <string>

#include "auth/audit_record.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/status.h"

namespace interlink::auth {

struct AuditOptions {
  std::string folder;  // made with mode 0700
  std::string signing_key_file;
  std::string daemon;  // "interlink-api"
  std::string name;    // of the site or node
  uint64_t max_file_bytes = 64U << 20U;
  size_t max_files = 0;  // 0: all are kept
  // How long a power failure may take back. Zero: none, as soon as the disk has it; no answer waits
  // for that.
  Duration flush = std::chrono::seconds(1);
  size_t max_waiting = 65536;  // records that wait for the disk; more are lost, and counted
  // While records cannot be written: true refuses what is new, false goes on.
  bool refuse_when_failing = true;
};

class AuditLog {
 public:
  // Errors of AuditKey::LoadPrivate; kFailedPrecondition: another process writes there; kDataLoss.
  // `log`, `metrics` and `clock` outlive the result.
  static Result<std::unique_ptr<AuditLog>> Open(AuditOptions options, Log& log, Metrics& metrics,
                                                const Clock& clock);
  // Stops.
  virtual ~AuditLog() = default;

  // Never blocks and never fails: what cannot be written waits. `wall_nanos` is set here.
  virtual void Append(AuditRecord record) = 0;
  // Before something new is begun. kUnavailable: records cannot be written now, and the options
  // refuse then. Never asked for what stops, removes or observes a caller's own work.
  virtual Status MayBegin() const = 0;
  // Writes what waits, within `limit`, and signs the end. Idempotent.
  virtual void Stop(Duration limit) = 0;
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_AUDIT_LOG_H_
