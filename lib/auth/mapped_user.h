// MappedUser: as which user of a site's machines a pod's processes run there, where the site's
// plugin can run each pod as another one. Immutable values, thread-safe.
#ifndef INTERLINK_AUTH_MAPPED_USER_H_
#define INTERLINK_AUTH_MAPPED_USER_H_

#include <string>
#include <vector>

namespace interlink::auth {

struct PolicyRequest;

// Patterns as in rules (auth/policy.h); an empty list says nothing.
struct MappedUser {
  std::string name;
  std::string where;  // "file:line"
  std::vector<std::string> nodes;
  std::vector<std::string> issuers;
  std::vector<std::string> subjects;
  std::vector<std::string> groups;  // one of the token's groups
  std::vector<std::string> tenants;
  std::vector<std::string> namespaces;
  std::vector<std::string> service_accounts;
  std::vector<std::string> handlers;
  std::string user;  // a name of the site's user database
};

// The first one that speaks of the pod; null: none does.
const MappedUser* FindUser(const std::vector<MappedUser>& users, const PolicyRequest& pod);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_MAPPED_USER_H_
