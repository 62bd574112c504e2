#include "engine/plan_filters.h"

#include <vector>

#include "engine/apparmor.h"
#include "engine/container_engines.h"
#include "engine/host_path.h"
#include "engine/plan_sandbox.h"
#include "engine/seccomp_file.h"
#include "engine/seccomp_profile.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

using runtime::v1::SecurityProfile;

// The file of a Localhost profile: in kubelet's folder of them, or where pods may mount from.
Result<std::string> SeccompFile(const ContainerPlace& place, const std::string& path) {
  if (!place.options.kubelet_host) {
    return Unimplemented(
        "seccomp.localhost_ref names a file of the node, and this site is another machine "
        "(KubeletHost is not set): use RuntimeDefault or Unconfined");
  }
  if (path.empty()) return InvalidArgument("seccomp.localhost_ref names no profile");
  std::vector<std::string> folders = PolicyOf(place.options, place.pod.handler).allowed_host_paths;
  folders.push_back(place.options.kubelet_folder + "/seccomp");
  auto resolved = AllowedHostPath(path, folders);
  if (!resolved.ok()) return resolved.status().WithContext("seccomp.localhost_ref");
  return resolved;
}

Status CheckSeccomp(const ContainerPlace& place,
                    const runtime::v1::LinuxContainerSecurityContext& security) {
  const auto& profile = security.seccomp();
  if (security.privileged()) return {};  // no filter, whatever is asked for: as everywhere
  if (profile.profile_type() == SecurityProfile::Localhost) {
    return SeccompFile(place, profile.localhost_ref()).status();
  }
  if (profile.localhost_ref().empty()) return {};
  return InvalidArgument("seccomp.localhost_ref is set without profile_type Localhost");
}

}  // namespace

Status CheckFilters(const ContainerPlace& place,
                    const runtime::v1::LinuxContainerSecurityContext& security) {
  RETURN_IF_ERROR(CheckSeccomp(place, security));
  ASSIGN_OR_RETURN(const std::string apparmor, AppArmorOf(security));
  const ContainerEngine* engine = FindContainerEngine(place.options.engine);
  if (engine == nullptr || engine->filters) return {};
  // A filter that is asked for and not there would be a promise broken.
  const std::string has_none = ": engine " + place.options.engine + " has no such filter";
  if (!apparmor.empty()) return Unimplemented("linux.security_context.apparmor" + has_none);
  if (security.has_seccomp() && security.seccomp().profile_type() != SecurityProfile::Unconfined) {
    return Unimplemented("linux.security_context.seccomp" + has_none + ": only Unconfined");
  }
  return {};
}

Result<std::string> SeccompOf(const ContainerPlace& place,
                              const runtime::v1::LinuxContainerSecurityContext& security,
                              CapabilitySet bounding) {
  if (!security.has_seccomp() || security.privileged()) return std::string();
  const auto& profile = security.seccomp();
  if (profile.profile_type() == SecurityProfile::RuntimeDefault) {
    return DefaultSeccompProfile(bounding);
  }
  if (profile.profile_type() != SecurityProfile::Localhost) return std::string();
  ASSIGN_OR_RETURN(const std::string path, SeccompFile(place, profile.localhost_ref()));
  auto read = ReadSeccompProfile(path);
  if (!read.ok()) return read.status().WithContext("seccomp.localhost_ref");
  return read;
}

Result<std::string> AppArmorOf(const runtime::v1::LinuxContainerSecurityContext& security) {
  ASSIGN_OR_RETURN(const AppArmorRequest request, AppArmorRequestOf(security));
  if (request.kind == AppArmorRequest::Kind::kUnconfined) return std::string();
  ASSIGN_OR_RETURN(const auto loaded, LoadedAppArmorProfiles("/"));
  return AppArmorProfile(request, security.privileged(), loaded);
}

}  // namespace interlink::engine
