#include "engine/mount_rules.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/file.h"
#include "engine/image_volumes.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

using runtime::v1::Mount;
using runtime::v1::MountPropagation;

std::string NameOf(const Mount& mount) { return "mount \"" + mount.container_path() + "\""; }

// The words of a line that are separated by single spaces: the kernel escapes those in paths.
std::vector<std::string_view> MountWords(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

}  // namespace

Status CheckMountRules(const Mount& mount, bool privileged_container) {
  const std::string name = NameOf(mount);
  if (mount.container_path().empty() || mount.container_path()[0] != '/') {
    return InvalidArgument(name + ": container_path is not absolute");
  }
  if (IsImageVolume(mount)) return CheckImageVolume(mount);
  if (mount.host_path().empty())
    return InvalidArgument(name + ": neither host_path nor image is set");
  if (!mount.image_sub_path().empty()) {
    return InvalidArgument(name + ": image_sub_path is set without image");
  }
  const bool connected = mount.propagation() != runtime::v1::PROPAGATION_PRIVATE;
  if (mount.propagation() == runtime::v1::PROPAGATION_BIDIRECTIONAL && !privileged_container) {
    return InvalidArgument(name + ": PROPAGATION_BIDIRECTIONAL needs a privileged container");
  }
  if (mount.recursive_read_only() && !mount.readonly()) {
    return InvalidArgument(name + ": recursive_read_only needs readonly");
  }
  if (mount.recursive_read_only() && connected) {
    return InvalidArgument(name + ": recursive_read_only needs PROPAGATION_PRIVATE, not " +
                           runtime::v1::MountPropagation_Name(mount.propagation()));
  }
  return {};
}

std::vector<std::string> BindOptions(const Mount& mount) {
  const char* propagation = "rprivate";
  if (mount.propagation() == runtime::v1::PROPAGATION_HOST_TO_CONTAINER) propagation = "rslave";
  if (mount.propagation() == runtime::v1::PROPAGATION_BIDIRECTIONAL) propagation = "rshared";
  std::vector<std::string> options = {"rbind", propagation, mount.readonly() ? "ro" : "rw"};
  // As it is mounted: the runtime would take away what it is not told.
  if (IsImageVolume(mount)) options.insert(options.end(), {"nosuid", "nodev"});
  return options;
}

std::string RootPropagation(const runtime::v1::ContainerConfig& config) {
  const auto any = [&config](MountPropagation propagation) {
    return std::any_of(config.mounts().begin(), config.mounts().end(),
                       [&](const Mount& mount) { return mount.propagation() == propagation; });
  };
  if (any(runtime::v1::PROPAGATION_BIDIRECTIONAL)) return "rshared";
  return any(runtime::v1::PROPAGATION_HOST_TO_CONTAINER) ? "rslave" : "";
}

// 36 35 98:0 /root /mount/point options shared:1 master:2 - ext4 /dev/sda rw
std::optional<MountInfo> FindMount(std::string_view mountinfo, uint64_t id) {
  while (!mountinfo.empty()) {
    const size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
    const auto words = MountWords(mountinfo.substr(0, end));
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    uint64_t number = 0;
    if (words.size() < 7) continue;
    const char* last = words[0].data() + words[0].size();
    if (std::from_chars(words[0].data(), last, number).ptr != last || number != id) continue;
    MountInfo found;
    found.mount_point = std::string(words[4]);
    for (size_t i = 6; i < words.size() && words[i] != "-"; ++i) {
      found.shared = found.shared || words[i].starts_with("shared:");
      found.slave = found.slave || words[i].starts_with("master:");
    }
    return found;
  }
  return {};
}

Status CheckSourcePropagation(int source, const Mount& mount) {
  if (mount.propagation() == runtime::v1::PROPAGATION_PRIVATE) return {};
  struct statx about {};
  if (statx(source, "", AT_EMPTY_PATH, STATX_MNT_ID, &about) != 0) {
    return ErrnoStatus(errno, "stat host path \"" + mount.host_path() + "\"");
  }
  ASSIGN_OR_RETURN(const std::string table, ReadFile("/proc/thread-self/mountinfo"));
  const auto found = FindMount(table, about.stx_mnt_id);
  if (!found) {
    return Unavailable("the mount of host path \"" + mount.host_path() + "\" has just gone");
  }
  const bool two_ways = mount.propagation() == runtime::v1::PROPAGATION_BIDIRECTIONAL;
  if (found->shared || (found->slave && !two_ways)) return {};
  return FailedPrecondition(
      NameOf(mount) + ": " + runtime::v1::MountPropagation_Name(mount.propagation()) +
      " needs host path \"" + mount.host_path() + "\" on a shared" + (two_ways ? "" : " or slave") +
      " mount, and \"" + found->mount_point + "\" is " +
      (found->slave ? "only a slave" : "private") + ": \"mount --make-rshared " +
      found->mount_point + "\" on the site's machine changes that");
}

}  // namespace interlink::engine
