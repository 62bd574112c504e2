#include "engine/apparmor.h"

#include <sstream>

#include "base/file.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

using runtime::v1::SecurityProfile;
using Kind = AppArmorRequest::Kind;

constexpr std::string_view kLocalhost = "localhost/";
constexpr size_t kMaxProfiles = 4U << 20U;

Result<AppArmorRequest> Named(std::string_view name, const std::string& field) {
  if (name.rfind(kLocalhost, 0) == 0) name.remove_prefix(kLocalhost.size());
  if (name.empty()) return InvalidArgument(field + " names no profile");
  return AppArmorRequest{Kind::kLocalhost, std::string(name)};
}

Result<AppArmorRequest> FromOlderField(const std::string& text) {
  if (text.empty() || text == "unconfined") return AppArmorRequest();
  if (text == "runtime/default") return AppArmorRequest{Kind::kRuntimeDefault, ""};
  if (text.rfind(kLocalhost, 0) == 0) return Named(text, "apparmor_profile");
  return InvalidArgument(
      "apparmor_profile is not \"runtime/default\", \"unconfined\" or \"localhost/NAME\"");
}

}  // namespace

Result<AppArmorRequest> AppArmorRequestOf(
    const runtime::v1::LinuxContainerSecurityContext& security) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  // Deprecated, and what older kubelets and crictl send.
  if (!security.has_apparmor()) return FromOlderField(security.apparmor_profile());
#pragma GCC diagnostic pop
  const auto& asked = security.apparmor();
  if (asked.profile_type() == SecurityProfile::Localhost) {
    return Named(asked.localhost_ref(), "apparmor.localhost_ref");
  }
  if (!asked.localhost_ref().empty()) {
    return InvalidArgument("apparmor.localhost_ref is set without profile_type Localhost");
  }
  const bool unconfined = asked.profile_type() == SecurityProfile::Unconfined;
  return AppArmorRequest{unconfined ? Kind::kUnconfined : Kind::kRuntimeDefault, ""};
}

Result<std::optional<std::set<std::string>>> LoadedAppArmorProfiles(const std::string& root) {
  std::optional<std::set<std::string>> loaded;
  const auto enabled = ReadFile(root + "sys/module/apparmor/parameters/enabled", 64);
  if (enabled.status().code() == Code::kNotFound) return loaded;
  if (!enabled.ok()) return enabled.status();
  if (enabled->rfind('Y', 0) != 0) return loaded;
  ASSIGN_OR_RETURN(const std::string bytes,
                   ReadFile(root + "sys/kernel/security/apparmor/profiles", kMaxProfiles));
  loaded.emplace();
  std::istringstream lines(bytes);
  for (std::string line; std::getline(lines, line);) {
    // "NAME (MODE)"; a name may have spaces and parentheses.
    const size_t mode = line.rfind(" (");
    loaded->insert(line.substr(0, mode));
  }
  return loaded;
}

Result<std::string> AppArmorProfile(const AppArmorRequest& request, bool privileged,
                                    const std::optional<std::set<std::string>>& loaded) {
  const bool by_default = request.kind == Kind::kRuntimeDefault;
  if (request.kind == Kind::kUnconfined || (by_default && (privileged || !loaded))) {
    return std::string();
  }
  if (!loaded) {
    return Unimplemented("AppArmor profile \"" + request.name +
                         "\": the site's machine has no AppArmor");
  }
  const std::string name = by_default ? kDefaultAppArmorProfile : request.name;
  if (loaded->count(name) > 0) return name;
  return InvalidArgument("AppArmor profile \"" + name + "\"" +
                         (by_default ? ", which stands for RuntimeDefault," : "") +
                         " is not loaded on the site's machine");
}

}  // namespace interlink::engine
