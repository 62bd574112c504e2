#include "config/policy_users.h"

#include <algorithm>
#include <memory>

#include "config/policy_keys.h"

namespace interlink::config {
namespace {

using auth::MappedUser;

constexpr size_t kLongestUserName = 255;

Keys UserKeys(MappedUser* u) {
  return NameAndWho(
      &u->name, u,
      {
          PatternsKey("Handlers", &u->handlers,
                      "Handlers that can run pods as other users. Default: any."),
          TextKey("User", &u->user,
                  "A name of the site's user database, never root. It is looked up when a pod is "
                  "asked for. Must be set."),
      });
}

bool IsUserName(const std::string& name) {
  if (name.empty() || name.size() > kLongestUserName || name[0] == '-') return false;
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '@' || c == '\\';
  });
  // A number would be read as one by some tools, as a name by others.
  return plain && name.find_first_not_of("0123456789") != std::string::npos;
}

Result<MappedUser> ReadUser(const Value& item, const std::string& path) {
  if (item.kind != Value::Kind::kMap)
    return MustBe(item, path, "a map with the keys Name and User");
  MappedUser user;
  user.where = item.where;
  Sources sources;
  RETURN_IF_ERROR(ReadKeys(item, UserKeys(&user), path + ".", &sources));
  if (user.name.empty()) return InvalidArgument(user.where + ": " + path + ".Name must be set");
  if (!sources.contains("User"))
    return InvalidArgument(user.where + ": " + path + ".User must be set");
  if (!IsUserName(user.user) || user.user == "root")
    return InvalidArgument(sources.at("User") + ": " + path +
                           ".User must be the name of a user that is not root, not a number: " +
                           Quoted(user.user) + " is none");
  return user;
}

bool SpeaksOfAll(const MappedUser& user) { return user.IsAnybody() && user.handlers.empty(); }

// One behind another that speaks of every pod is never the first.
Status CheckReach(const std::vector<MappedUser>& users) {
  for (size_t i = 0; i + 1 < users.size(); ++i) {
    if (!SpeaksOfAll(users[i])) continue;
    return InvalidArgument(users[i + 1].where + ": user " + Quoted(users[i + 1].name) +
                           " is never chosen: " + Quoted(users[i].name) + " at " + users[i].where +
                           " speaks of every pod already; put that one last");
  }
  return {};
}

}  // namespace

Key UsersKey(std::vector<MappedUser>* target) {
  Key key;
  key.path = "Users";
  key.takes = "a list of maps";
  key.doc =
      "As which user of the site's machines a pod runs, where a plugin can do that (slurm with "
      "JobUser: mapped). The first one that speaks of the pod holds for its life. One that names "
      "no "
      "Nodes, Tenants, Groups or Subjects trusts the word of every node.";
  key.read = [target](const Value& value, const std::string& path) -> Status {
    RETURN_IF_ERROR(ReadNamedItems(value, path, ReadUser, target));
    return CheckReach(*target);
  };
  key.item_keys = [defaults = std::make_shared<MappedUser>()] { return UserKeys(defaults.get()); };
  return key;
}

}  // namespace interlink::config
