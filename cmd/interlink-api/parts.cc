#include "parts.h"

#include <filesystem>
#include <system_error>

namespace interlink::cmd_api {

// bin/ and lib/ stand beside each other.
std::string PluginPath(const config::PluginConfig& plugin) {
  if (!plugin.path.empty()) return plugin.path;
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path().parent_path() / "lib/interlink/plugins" /
          (plugin.options.name + ".so"))
      .string();
}

}  // namespace interlink::cmd_api
