#include "parts.h"

#include <filesystem>
#include <system_error>

#include "net/tls.h"

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

Status CheckAgents(const config::ApiConfig& config) {
  const config::AgentsConfig& agents = config.agents;
  if (agents.port == 0) return {};
  return net::CheckServerCertificate(config.tls.files.cert_file, agents.ca_cert_file,
                                     agents.server_name)
      .WithContext("agents would refuse this site (Agents.ServerName, Agents.CACertFile)");
}

Status NeedsAgents() {
  return InvalidArgument(
      "a scheduler's plugin runs pods by agents that call in: set Agents.Port and "
      "Agents.PublicAddress");
}

}  // namespace interlink::cmd_api
