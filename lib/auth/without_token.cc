#include "auth/without_token.h"

#include <algorithm>

namespace interlink::auth {
namespace {

std::string Escaped(const std::string& what, const std::string& also) {
  if (what.empty()) return "";
  return what +
         ": only a token tells whom they mean, and here a certificate alone is enough: set " +
         "Auth.RequireToken: true" + also;
}

bool NeedsToken(const WhoAsks& who) {
  return !who.issuers.empty() || !who.subjects.empty() || !who.groups.empty() ||
         !who.tenants.empty();
}

void AddNamed(const std::string& kind, const std::string& name, std::string& list) {
  list += (list.empty() ? "" : ", ") + kind + " \"" + name + "\"";
}

}  // namespace

std::string EscapedWithoutToken(const DenyList::Names& names) {
  std::string what = names.subjects.empty() ? "" : "lines \"subject\"";
  if (!names.tenants.empty()) what += what.empty() ? "lines \"tenant\"" : " and \"tenant\"";
  return Escaped(what, ", or deny the nodes too");
}

std::string EscapedWithoutToken(const Policy& policy) {
  std::string what;
  for (const Quota& quota : policy.quotas()) {
    if (!quota.tenants.empty() && quota.Limits()) AddNamed("Quotas", quota.name, what);
  }
  const auto& users = policy.users();
  for (auto user = users.begin(); user != users.end(); ++user) {
    if (NeedsToken(*user) && !std::all_of(user + 1, users.end(), NeedsToken))
      AddNamed("Users", user->name, what);
  }
  return Escaped(what, "");
}

}  // namespace interlink::auth
