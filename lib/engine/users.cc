#include "engine/users.h"

#include <algorithm>
#include <charconv>

namespace interlink::engine {
namespace {

// The kernel's "no id" is the last number.
constexpr int64_t kMaxId = 4294967294;

std::optional<uint32_t> ParseId(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  if (number > static_cast<uint64_t>(kMaxId)) return {};
  return static_cast<uint32_t>(number);
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

Result<uint32_t> CheckId(int64_t id, const char* field) {
  if (id < 0 || id > kMaxId) {
    return InvalidArgument(std::string(field) + " " + std::to_string(id) + " is not an id");
  }
  return static_cast<uint32_t>(id);
}

class Resolver {
 public:
  Resolver(std::string_view passwd, std::string_view group)
      : passwd_(ParsePasswd(passwd)), groups_(ParseGroup(group)) {}

  const PasswdEntry* ByUid(uint32_t uid) const {
    const auto found = std::find_if(passwd_.begin(), passwd_.end(),
                                    [uid](const PasswdEntry& entry) { return entry.uid == uid; });
    return found == passwd_.end() ? nullptr : &*found;
  }
  // A name, or a number that is no name.
  Status TakeUser(std::string_view text) {
    for (const PasswdEntry& entry : passwd_) {
      if (entry.name != text) continue;
      Take(entry);
      return {};
    }
    const auto uid = ParseId(text);
    if (!uid) {
      return InvalidArgument("user \"" + std::string(text) +
                             "\" is not in the image's /etc/passwd");
    }
    TakeUid(*uid);
    return {};
  }
  void TakeUid(uint32_t uid) {
    user.uid = uid;
    if (const PasswdEntry* entry = ByUid(uid)) Take(*entry);
  }
  Status TakeGroup(std::string_view text) {
    for (const GroupEntry& entry : groups_) {
      if (entry.name != text) continue;
      user.gid = entry.gid;
      return {};
    }
    const auto gid = ParseId(text);
    if (!gid) {
      return InvalidArgument("group \"" + std::string(text) +
                             "\" is not in the image's /etc/group");
    }
    user.gid = *gid;
    return {};
  }
  void AddGroup(uint32_t gid) {
    if (std::find(user.groups.begin(), user.groups.end(), gid) == user.groups.end()) {
      user.groups.push_back(gid);
    }
  }
  void AddImageGroups() {
    if (name_.empty()) return;
    for (const GroupEntry& entry : groups_) {
      if (std::find(entry.members.begin(), entry.members.end(), name_) != entry.members.end()) {
        AddGroup(entry.gid);
      }
    }
  }

  ResolvedUser user;

 private:
  void Take(const PasswdEntry& entry) {
    user.uid = entry.uid;
    user.gid = entry.gid;
    name_ = entry.name;
  }

  const std::vector<PasswdEntry> passwd_;
  const std::vector<GroupEntry> groups_;
  std::string name_;
};

Status TakeImageUser(const std::string& text, Resolver& resolver) {
  const size_t colon = text.find(':');
  const std::string_view all = text;
  const std::string_view user = all.substr(0, colon);
  if (!user.empty()) RETURN_IF_ERROR(resolver.TakeUser(user));
  if (colon == std::string::npos || colon + 1 == text.size()) return {};
  return resolver.TakeGroup(all.substr(colon + 1));
}

}  // namespace

std::vector<PasswdEntry> ParsePasswd(std::string_view bytes) {
  std::vector<PasswdEntry> entries;
  for (const std::string_view line : Split(bytes, '\n')) {
    const auto parts = Split(line, ':');
    if (parts.size() < 4 || parts[0].empty()) continue;
    const auto uid = ParseId(parts[2]);
    const auto gid = ParseId(parts[3]);
    if (uid && gid) entries.push_back({std::string(parts[0]), *uid, *gid});
  }
  return entries;
}

std::vector<GroupEntry> ParseGroup(std::string_view bytes) {
  std::vector<GroupEntry> entries;
  for (const std::string_view line : Split(bytes, '\n')) {
    const auto parts = Split(line, ':');
    if (parts.size() < 3 || parts[0].empty()) continue;
    const auto gid = ParseId(parts[2]);
    if (!gid) continue;
    GroupEntry entry{std::string(parts[0]), *gid, {}};
    if (parts.size() > 3) {
      for (const std::string_view member : Split(parts[3], ',')) {
        if (!member.empty()) entry.members.emplace_back(member);
      }
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<ResolvedUser> ResolveUser(const UserRequest& request, std::string_view passwd,
                                 std::string_view group) {
  Resolver resolver(passwd, group);
  if (request.run_as_user) {
    ASSIGN_OR_RETURN(const uint32_t uid, CheckId(*request.run_as_user, "run_as_user"));
    resolver.TakeUid(uid);
  } else if (!request.run_as_username.empty()) {
    RETURN_IF_ERROR(resolver.TakeUser(request.run_as_username));
  } else if (request.run_as_group) {
    return InvalidArgument("run_as_group is set without run_as_user and run_as_username");
  } else if (!request.image_user.empty()) {
    RETURN_IF_ERROR(TakeImageUser(request.image_user, resolver).WithContext("the image's user"));
  } else {
    resolver.TakeUid(0);
  }
  if (request.run_as_group) {
    ASSIGN_OR_RETURN(resolver.user.gid, CheckId(*request.run_as_group, "run_as_group"));
  }
  resolver.AddGroup(resolver.user.gid);
  for (const int64_t id : request.supplemental_groups) {
    ASSIGN_OR_RETURN(const uint32_t gid, CheckId(id, "supplemental_groups"));
    resolver.AddGroup(gid);
  }
  if (!request.strict) resolver.AddImageGroups();
  return resolver.user;
}

}  // namespace interlink::engine
