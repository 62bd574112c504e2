#include "auth/who.h"

#include <array>
#include <tuple>

#include "auth/of_caller.h"
#include "auth/pattern.h"
#include "auth/policy.h"

namespace interlink::auth {

bool WhoAsks::IsAnybody() const {
  return nodes.empty() && issuers.empty() && subjects.empty() && groups.empty() &&
         tenants.empty() && namespaces.empty() && service_accounts.empty();
}

std::string WhyNotWho(const WhoAsks& who, const PolicyRequest& request) {
  const std::array<std::tuple<const char*, const std::vector<std::string>*, const std::string*>, 6>
      texts = {{{"node", &who.nodes, &request.node},
                {"issuer", &who.issuers, &request.issuer},
                {"subject", &who.subjects, &request.subject},
                {"tenant", &who.tenants, &request.tenant},
                {"namespace", &who.namespaces, &request.pod_namespace},
                {"service account", &who.service_accounts, &request.service_account}}};
  for (const auto& [what, patterns, text] : texts) {
    if (patterns->empty()) continue;
    // Before any pattern: `*` would stand for an empty text too. That is wanted of what a pod may
    // have none of, and a pull be for none; but who leaves out the token is not let in by it.
    const bool of_pod = text == &request.pod_namespace || text == &request.service_account;
    if ((of_pod || !text->empty()) && MatchesOneOf(*patterns, *text)) continue;
    return text->empty() ? std::string("it names ") + what + "s, and the request has none"
                         : std::string("it does not name ") + what + " " + OfCaller(*text);
  }
  if (!who.groups.empty() && !MatchesOneOf(who.groups, request.groups))
    return "it names groups, and the request has " + AllOfCaller(request.groups);
  return "";
}

}  // namespace interlink::auth
