// What of a deny list or a policy does not bind a node that leaves its token out, where its
// certificate alone is enough: without a token it is of no tenant, subject, issuer or group.
#ifndef INTERLINK_AUTH_WITHOUT_TOKEN_H_
#define INTERLINK_AUTH_WITHOUT_TOKEN_H_

#include <string>

#include "auth/deny_list.h"
#include "auth/policy.h"

namespace interlink::auth {

// For a person, one line with what it is and what to do; "": all of it binds everybody.
std::string EscapedWithoutToken(const DenyList::Names& names);
// Quotas of tenants that limit something, and users by what only a token says before one that fits
// without. Rules are none: they only let through, so a token left out never gives more.
std::string EscapedWithoutToken(const Policy& policy);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_WITHOUT_TOKEN_H_
