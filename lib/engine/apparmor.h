// AppArmor profiles of containers: those that the machine's kernel has loaded, by name.
#ifndef INTERLINK_ENGINE_APPARMOR_H_
#define INTERLINK_ENGINE_APPARMOR_H_

#include <optional>
#include <set>
#include <string>

#include "base/status.h"

namespace runtime::v1 {
class LinuxContainerSecurityContext;
}

namespace interlink::engine {

// The profile that stands for RuntimeDefault: the administrator's, since none is built in.
inline constexpr const char* kDefaultAppArmorProfile = "interlink-default";

// What a container asks for.
struct AppArmorRequest {
  enum class Kind { kUnconfined, kRuntimeDefault, kLocalhost };
  Kind kind = Kind::kUnconfined;
  std::string name;  // kLocalhost: without "localhost/"
};

// The field `apparmor`, else the older `apparmor_profile`, else unconfined. kInvalidArgument names
// the field. Pure.
Result<AppArmorRequest> AppArmorRequestOf(
    const runtime::v1::LinuxContainerSecurityContext& security);

// The names of the profiles that are loaded; nothing: this kernel has no AppArmor. `root` is "/",
// but for tests.
Result<std::optional<std::set<std::string>>> LoadedAppArmorProfiles(const std::string& root);

// process.apparmorProfile of an OCI config; "" for none. Where there is no AppArmor RuntimeDefault
// is none, as everywhere, and a profile by name is kUnimplemented. kInvalidArgument: not
// loaded. Pure.
Result<std::string> AppArmorProfile(const AppArmorRequest& request, bool privileged,
                                    const std::optional<std::set<std::string>>& loaded);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_APPARMOR_H_
