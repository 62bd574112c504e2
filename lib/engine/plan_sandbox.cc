#include "engine/plan_sandbox.h"

#include <algorithm>
#include <cctype>

#include "engine/cgroup.h"
#include "runtime/v1/api.pb.h"

namespace interlink::engine {
namespace {

using runtime::v1::NamespaceMode;
using runtime::v1::NamespaceOption;

constexpr size_t kMaxHostname = 64;

// What one id in a user namespace can have.
Status CheckRootless(const NamespaceOption& options) {
  if (options.pid() == runtime::v1::NODE) {
    return Unimplemented("namespace_options.pid must be CONTAINER or POD in an allocation");
  }
  if (options.has_userns_options() && options.userns_options().mode() != runtime::v1::NODE) {
    return Unimplemented(
        "namespace_options.userns_options: a pod in an allocation has no range of ids of its own");
  }
  return {};
}

Status CheckNamespaces(const NamespaceOption& options, const Policy& policy, bool rootless) {
  if (options.network() != runtime::v1::POD && options.network() != runtime::v1::NODE) {
    return InvalidArgument("namespace_options.network must be POD or NODE");
  }
  if (options.pid() == runtime::v1::TARGET) {
    return InvalidArgument("namespace_options.pid of a sandbox must be POD, CONTAINER or NODE");
  }
  if (options.ipc() == runtime::v1::TARGET) {
    return InvalidArgument("namespace_options.ipc must be POD, CONTAINER or NODE");
  }
  if (rootless) RETURN_IF_ERROR(CheckRootless(options));
  // Without root every pod has the machine's network.
  const bool host = (options.network() == runtime::v1::NODE && !rootless) ||
                    options.pid() == runtime::v1::NODE || options.ipc() == runtime::v1::NODE;
  if (host && !policy.allow_host_namespaces) {
    return PermissionDenied(
        "namespace_options with NODE: AllowHostNamespaces of this handler is not set");
  }
  return {};
}

// Its root has no rights over what is the machine's.
Status CheckUserNamespace(const NamespaceOption& options, const IdRange& users) {
  if (users.empty()) return {};
  for (const auto& [name, mode] :
       {std::pair{"network", options.network()}, {"pid", options.pid()}, {"ipc", options.ipc()}}) {
    if (mode != runtime::v1::NODE) continue;
    return InvalidArgument(std::string("namespace_options.") + name +
                           " NODE cannot be had with userns_options of mode POD");
  }
  return {};
}

Result<std::vector<HostPort>> Ports(const runtime::v1::PodSandboxConfig& config) {
  std::vector<HostPort> ports;
  for (const auto& mapping : config.port_mappings()) {
    if (mapping.host_port() == 0) continue;  // declared only
    const auto fits = [](int32_t port) { return port >= 1 && port <= 65535; };
    if (!fits(mapping.host_port()) || !fits(mapping.container_port())) {
      return InvalidArgument("port_mappings has a port that is not in 1..65535");
    }
    HostPort port;
    port.host_port = static_cast<uint16_t>(mapping.host_port());
    port.container_port = static_cast<uint16_t>(mapping.container_port());
    port.protocol = runtime::v1::Protocol_Name(mapping.protocol());
    std::transform(port.protocol.begin(), port.protocol.end(), port.protocol.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    port.host_ip = mapping.host_ip();
    ports.push_back(port);
  }
  return ports;
}

// On the machine's network a port is the same outside and inside.
Status CheckOwnPorts(const runtime::v1::PodSandboxConfig& config) {
  for (const auto& mapping : config.port_mappings()) {
    if (mapping.host_port() == 0 || mapping.host_port() == mapping.container_port()) continue;
    return Unimplemented(
        "port_mappings: a pod in an allocation has its machine's network, and cannot map host "
        "port " +
        std::to_string(mapping.host_port()) + " to another port, " +
        std::to_string(mapping.container_port()));
  }
  return {};
}

Status CheckHostname(const std::string& hostname) {
  const bool plain = std::all_of(hostname.begin(), hostname.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
  });
  if (!plain || hostname.size() > kMaxHostname) {
    return InvalidArgument("hostname \"" + hostname + "\" is not a host name");
  }
  return {};
}

Status CheckSysctls(const runtime::v1::LinuxPodSandboxConfig& config) {
  for (const auto& [name, value] : config.sysctls()) {
    if (name.find('=') != std::string::npos || value.find('\n') != std::string::npos) {
      return InvalidArgument("sysctl \"" + name + "\" is malformed");
    }
  }
  return {};
}

}  // namespace

Policy PolicyOf(const EngineOptions& options, const std::string& handler) {
  const auto found = options.policies.find(handler);
  return found == options.policies.end() ? Policy() : found->second;
}

Result<PodRecord> PlanSandbox(const EngineOptions& options, const sdk::SandboxSpec& spec) {
  if (!IsFullId(spec.id.str())) return InvalidArgument("the sandbox id is not 64 hex digits");
  if (spec.node.empty()) return InvalidArgument("the sandbox has no node");
  const Policy policy = PolicyOf(options, spec.handler);
  const auto& security = spec.config.linux().security_context();
  const auto& namespaces = security.namespace_options();
  RETURN_IF_ERROR(CheckNamespaces(namespaces, policy, options.rootless));
  ASSIGN_OR_RETURN(const IdRange users, UserNamespaceOf(namespaces));
  RETURN_IF_ERROR(CheckUserNamespace(namespaces, users));
  if (security.privileged() && !policy.allow_privileged) {
    return PermissionDenied("privileged: AllowPrivileged of this handler is not set");
  }
  RETURN_IF_ERROR(CheckHostname(spec.config.hostname()));
  RETURN_IF_ERROR(CheckSysctls(spec.config.linux()));
  PodRecord record;
  record.id = spec.id;
  record.node = spec.node;
  record.handler = spec.handler;
  record.config = spec.config.SerializeAsString();
  record.own_network = namespaces.network() == runtime::v1::POD && !options.rootless;
  record.own_ipc = namespaces.ipc() != runtime::v1::NODE;
  record.users = users;
  record.shared_pid = namespaces.pid() == runtime::v1::POD;
  if (record.own_network) {
    // On the host's network a host port is the container's own.
    ASSIGN_OR_RETURN(record.ports, Ports(spec.config));
  }
  if (options.rootless) RETURN_IF_ERROR(CheckOwnPorts(spec.config));
  const std::string& parent = spec.config.linux().cgroup_parent();
  if (options.kubelet_host && !parent.empty()) {
    ASSIGN_OR_RETURN(record.cgroup, CgroupParentPath(parent));
    record.init_cgroup = record.cgroup + "/" + spec.id.str();
  } else {
    record.cgroup =
        options.cgroup_root + "/" + PathComponent(spec.node.str()) + "/" + spec.id.str();
    record.init_cgroup = record.cgroup + "/init";
  }
  ASSIGN_OR_RETURN(record.boot_id, BootId());
  return record;
}

std::string ResolvConf(const runtime::v1::PodSandboxConfig& config, const std::string& fallback) {
  const auto& dns = config.dns_config();
  if (dns.servers().empty() && dns.searches().empty() && dns.options().empty()) return fallback;
  const auto line = [](const char* key, const auto& words) {
    std::string text;
    for (const std::string& word : words) text += " " + word;
    return text.empty() ? text : key + text + "\n";
  };
  std::string text = line("search", dns.searches());
  for (const std::string& server : dns.servers()) text += "nameserver " + server + "\n";
  return text + line("options", dns.options());
}

std::string PathComponent(const std::string& name) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || (c == '.' && !text.empty())) {
      text += c;
    } else {
      text += '%';
      text += kDigits[byte >> 4U];
      text += kDigits[byte & 15U];
    }
  }
  return text;
}

}  // namespace interlink::engine
