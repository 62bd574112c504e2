#include "engine/user_namespace.h"

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

// The kernel's "no id" is the last number.
constexpr uint64_t kIds = 4294967295;

template <typename Mappings>
Result<IdRange> OneRange(const Mappings& mappings, const std::string& field) {
  if (mappings.size() != 1) {
    return InvalidArgument(field + " has " + std::to_string(mappings.size()) +
                           " mappings: one is supported, and needed");
  }
  const auto& mapping = mappings.Get(0);
  if (mapping.container_id() != 0) {
    return InvalidArgument(field + " does not map the id 0: container_id must be 0");
  }
  if (mapping.length() == 0 || uint64_t{mapping.host_id()} + mapping.length() > kIds) {
    return InvalidArgument(field + " is not a range of ids: host_id " +
                           std::to_string(mapping.host_id()) + ", length " +
                           std::to_string(mapping.length()));
  }
  return IdRange{mapping.host_id(), mapping.length()};
}

template <typename Mappings>
Result<IdRange> SameRange(const Mappings& uids, const Mappings& gids, const std::string& uid_field,
                          const std::string& gid_field) {
  ASSIGN_OR_RETURN(const IdRange users, OneRange(uids, uid_field));
  ASSIGN_OR_RETURN(const IdRange groups, OneRange(gids, gid_field));
  if (users == groups) return users;
  return InvalidArgument(uid_field + " and " + gid_field + " must be the same mapping");
}

}  // namespace

uint32_t CountIds(std::string_view map) {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  std::istringstream lines{std::string(map)};
  uint64_t first = 0;
  uint64_t outside = 0;
  uint64_t count = 0;
  while (lines >> first >> outside >> count) ranges.emplace_back(first, count);
  std::sort(ranges.begin(), ranges.end());
  uint64_t ids = 0;
  for (const auto& [begin, length] : ranges) {
    if (begin == ids) ids += length;
  }
  return static_cast<uint32_t>(std::min(ids, kIds));
}

uint32_t OwnIds() {
  constexpr size_t kMaxMap = 1U << 16U;
  const auto users = ReadFile("/proc/self/uid_map", kMaxMap);
  const auto groups = ReadFile("/proc/self/gid_map", kMaxMap);
  return std::min(CountIds(users.value_or("")), CountIds(groups.value_or("")));
}

Result<IdRange> UserNamespaceOf(const runtime::v1::NamespaceOption& options) {
  const std::string field = "namespace_options.userns_options";
  if (!options.has_userns_options()) return IdRange();
  const auto& asked = options.userns_options();
  if (asked.mode() == runtime::v1::NODE) {
    if (asked.uids_size() + asked.gids_size() == 0) return IdRange();
    return InvalidArgument(field + " has mappings with mode NODE, which has none");
  }
  if (asked.mode() != runtime::v1::POD) {
    return InvalidArgument(field + ".mode must be POD or NODE");
  }
  return SameRange(asked.uids(), asked.gids(), field + ".uids", field + ".gids");
}

Result<bool> IsMapped(const runtime::v1::Mount& mount, const IdRange& pod) {
  if (mount.uidmappings_size() + mount.gidmappings_size() == 0) return false;
  ASSIGN_OR_RETURN(const IdRange asked, SameRange(mount.uidmappings(), mount.gidmappings(),
                                                  "uidMappings", "gidMappings"));
  if (asked == pod) return true;
  return InvalidArgument("uidMappings and gidMappings are not those of the pod's user namespace");
}

}  // namespace interlink::engine
