#include "auth/mapped_user.h"

#include <algorithm>

#include "auth/pattern.h"
#include "auth/policy.h"

namespace interlink::auth {
namespace {

bool Speaks(const std::vector<std::string>& patterns, const std::string& text) {
  return patterns.empty() || MatchesOneOf(patterns, text);
}

bool SpeaksOf(const MappedUser& user, const PolicyRequest& pod) {
  const bool in_group = user.groups.empty() ||
                        std::any_of(pod.groups.begin(), pod.groups.end(), [&](const auto& group) {
                          return MatchesOneOf(user.groups, group);
                        });
  return in_group && Speaks(user.nodes, pod.node) && Speaks(user.issuers, pod.issuer) &&
         Speaks(user.subjects, pod.subject) && Speaks(user.tenants, pod.tenant) &&
         Speaks(user.namespaces, pod.pod_namespace) &&
         Speaks(user.service_accounts, pod.service_account) && Speaks(user.handlers, pod.handler);
}

}  // namespace

const MappedUser* FindUser(const std::vector<MappedUser>& users, const PolicyRequest& pod) {
  const auto found = std::find_if(users.begin(), users.end(),
                                  [&pod](const MappedUser& user) { return SpeaksOf(user, pod); });
  return found == users.end() ? nullptr : &*found;
}

}  // namespace interlink::auth
