#include "auth/mapped_user.h"

#include <algorithm>

#include "auth/pattern.h"
#include "auth/policy.h"

namespace interlink::auth {

const MappedUser* FindUser(const std::vector<MappedUser>& users, const PolicyRequest& pod) {
  const auto found = std::find_if(users.begin(), users.end(), [&pod](const MappedUser& user) {
    const bool handler = user.handlers.empty() || MatchesOneOf(user.handlers, pod.handler);
    return handler && WhyNotWho(user, pod).empty();
  });
  return found == users.end() ? nullptr : &*found;
}

}  // namespace interlink::auth
