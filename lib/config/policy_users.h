// Internal: the list Users of a policy file.
#ifndef INTERLINK_CONFIG_POLICY_USERS_H_
#define INTERLINK_CONFIG_POLICY_USERS_H_

#include <vector>

#include "auth/mapped_user.h"
#include "config/schema.h"

namespace interlink::config {

Key UsersKey(std::vector<auth::MappedUser>* target);

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_POLICY_USERS_H_
