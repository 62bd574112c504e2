// WhoAsks: whom an entry of a policy speaks of. Immutable values, thread-safe.
#ifndef INTERLINK_AUTH_WHO_H_
#define INTERLINK_AUTH_WHO_H_

#include <string>
#include <vector>

namespace interlink::auth {

struct PolicyRequest;

// Lists of patterns: `*` is any run of characters, `/` too, `?` one character, `[ab]` one of them;
// a pattern stands for the whole text. An empty list says nothing, so anybody. What is of the token
// or certificate fits no other list when it is absent: `*` of tenants is every tenant, and no
// request without one. An absent namespace or service account is an empty text, which "" and `*`
// stand for.
struct WhoAsks {
  std::vector<std::string> nodes;
  std::vector<std::string> issuers;
  std::vector<std::string> subjects;
  std::vector<std::string> groups;  // one of the token's groups
  std::vector<std::string> tenants;
  std::vector<std::string> namespaces;
  std::vector<std::string> service_accounts;

  bool IsAnybody() const;
};

// Why it does not speak of whoever asks, for a person; "": it does.
std::string WhyNotWho(const WhoAsks& who, const PolicyRequest& request);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_WHO_H_
