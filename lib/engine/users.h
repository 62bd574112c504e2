// Users and groups of a container, resolved in the image's own /etc/passwd and /etc/group. Pure:
// the files come as bytes and are hostile.
#ifndef INTERLINK_ENGINE_USERS_H_
#define INTERLINK_ENGINE_USERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace interlink::engine {

struct PasswdEntry {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

struct GroupEntry {
  std::string name;
  uint32_t gid = 0;
  std::vector<std::string> members;
};

// Lines that are not entries are skipped, as every libc does.
std::vector<PasswdEntry> ParsePasswd(std::string_view bytes);
std::vector<GroupEntry> ParseGroup(std::string_view bytes);

struct UserRequest {
  std::optional<int64_t> run_as_user;
  std::string run_as_username;
  std::optional<int64_t> run_as_group;
  std::vector<int64_t> supplemental_groups;
  bool strict = false;     // SupplementalGroupsPolicy: the image's groups do not count
  std::string image_user;  // "", "uid", "name", "uid:gid", "name:group"
};

struct ResolvedUser {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;  // with `gid` first, no repetition
};

// run_as_user, else run_as_username, else the image's user, else 0:0. A user without an entry has
// group 0. kInvalidArgument: an unknown name, a number that is no id, a group without a user.
Result<ResolvedUser> ResolveUser(const UserRequest& request, std::string_view passwd,
                                 std::string_view group);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_USERS_H_
