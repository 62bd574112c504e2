// AuditRecord: who asked a daemon for what, and how it ended. A value.
//
// No field ever holds a secret: names, ids and numbers only, never a body, an environment value, a
// token, more of a command than its program, or the text of an error that quotes any of them.
#ifndef INTERLINK_AUTH_AUDIT_RECORD_H_
#define INTERLINK_AUTH_AUDIT_RECORD_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace interlink::auth {

enum class AuditResult {
  kOk,
  kDenied,  // whoever asked may not: not known, not allowed, over its quota
  kFailed,  // everything else; it may have happened in part
};
// "ok", "denied", "failed".
std::string_view NameOf(AuditResult result);

// Empty fields are left out of the record.
struct AuditRecord {
  int64_t wall_nanos = 0;   // when it ended
  std::string event;        // "call"; "session": what a call has opened has ended
  std::string request;      // its id, the same at the node and at the site
  std::string traceparent;  // W3C trace context as it came in

  // Who.
  std::string node;         // as it was verified; at the node itself: empty
  std::string certificate;  // common name of the verified certificate
  std::string issuer;       // of the verified token
  std::string subject;
  std::string tenant;
  std::string from;  // the address of its connection
  struct Process {
    pid_t pid = 0;
    uid_t uid = 0;
    gid_t gid = 0;
    std::string executable;
  };
  std::optional<Process> process;  // at the node: the peer of the CRI socket when it connected

  // What.
  std::string call;                                        // the route's or RPC's name
  std::vector<std::pair<std::string, std::string>> about;  // {"sandbox", id}, {"image", name}, ...

  // How it ended.
  AuditResult result = AuditResult::kOk;
  std::string code;  // "PERMISSION_DENIED"
  int http_status = 0;
  std::string rule;  // of the policy, that let it through
  std::string why;   // of a denial; a text of ours
  Duration took = Duration::zero();
};

inline constexpr size_t kMaxAuditText = 1024;
inline constexpr size_t kMaxAuditAbout = 12;

// Its members as JSON, from `"event":` on, without braces. Every text is cut at kMaxAuditText bytes
// (one that JSON makes more than twice as long: sooner) and then ends with "..."; what is no UTF-8
// is replaced. Of `about` the first kMaxAuditAbout are told. So it always fits into a line of an
// audit log (kMaxAuditLine), whoever made the call.
std::string EncodeAuditRecord(const AuditRecord& record);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_AUDIT_RECORD_H_
