// MappedUser: as which user of a site's machines a pod's processes run there, where the site's
// plugin can run each pod as another one. Immutable values, thread-safe.
#ifndef INTERLINK_AUTH_MAPPED_USER_H_
#define INTERLINK_AUTH_MAPPED_USER_H_

#include <string>
#include <vector>

#include "auth/who.h"

namespace interlink::auth {

struct MappedUser : WhoAsks {
  std::string name;
  std::string where;                  // "file:line"
  std::vector<std::string> handlers;  // patterns; empty: any
  std::string user;                   // a name of the site's user database
};

// The first one that speaks of the pod; null: none does.
const MappedUser* FindUser(const std::vector<MappedUser>& users, const PolicyRequest& pod);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_MAPPED_USER_H_
