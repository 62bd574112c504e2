// Internal: the lines of an audit log and how each holds the one before.
//
//   {"n":7,"prev":"<64 hex>","time":"...","event":"call",...}
//   {"n":8,"prev":"<64 hex>","time":"...","event":"seal",...,"key":"<64 hex>","signature":"<128
//   hex>"}
//
// `n` counts up by one over all files, from 1. `prev` is the SHA-256 of the line before, without
// its newline, also across files; 64 zeros before the first. `signature` is the last member of a
// signed line, over all bytes of it before `,"signature":`. So a signature holds every line before
// it.
#ifndef INTERLINK_AUTH_AUDIT_CHAIN_H_
#define INTERLINK_AUTH_AUDIT_CHAIN_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "auth/audit_key.h"
#include "base/status.h"

namespace interlink::auth {

// SHA-256 in 64 lower-case hex digits.
std::string AuditHash(std::string_view bytes);
std::string AuditHex(std::string_view bytes);

struct AuditChain {
  uint64_t next = 1;
  std::string last = std::string(64, '0');

  // One line, with its newline. `members`: JSON from `"event":` on.
  std::string Add(int64_t wall_nanos, std::string_view members);
  Result<std::string> AddSigned(int64_t wall_nanos, std::string_view members, const AuditKey& key);

 private:
  std::string Begin(int64_t wall_nanos, std::string_view members) const;
  std::string End(std::string line);
};

// "audit-00000007.jsonl"
std::string AuditFileName(uint64_t number);
// 0: it is no name of a file of an audit log.
uint64_t AuditFileNumber(std::string_view name);

// A line that is longer is none of ours.
inline constexpr size_t kMaxAuditLine = 64U << 10U;

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_AUDIT_CHAIN_H_
