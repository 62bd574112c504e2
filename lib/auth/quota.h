// Quotas: how much one account may have at a site, and ask of it. Immutable values, thread-safe.
//
// An account is a tenant, as verified tokens name it, with all its nodes; a node whose token names
// no tenant is an account of its own.
#ifndef INTERLINK_AUTH_QUOTA_H_
#define INTERLINK_AUTH_QUOTA_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace interlink::auth {

// Each account that it speaks of has all of it for itself. Nothing: no limit.
struct Quota {
  std::string name;
  std::string where;  // "file:line"
  // Patterns as in rules (auth/policy.h). Both empty: every account.
  std::vector<std::string> tenants;
  std::vector<std::string> nodes;  // that are accounts of their own
  // What has not ended yet.
  std::optional<uint64_t> sandboxes;
  std::optional<uint64_t> containers;
  std::optional<uint64_t> gpus;
  std::optional<uint64_t> sessions;  // exec, attach and port-forward
  // Of requests that begin something, and of their bodies.
  std::optional<uint64_t> requests_per_second;
  std::optional<uint64_t> bytes_per_second;

  // Anything at all.
  bool Limits() const {
    return sandboxes || containers || gpus || sessions || requests_per_second || bytes_per_second;
  }
};

// The first one that speaks of the account; null: none does. `tenant` empty: the account is `node`.
const Quota* FindQuota(const std::vector<Quota>& quotas, const std::string& tenant,
                       const std::string& node);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_QUOTA_H_
