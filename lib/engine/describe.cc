// What the engine honours of CRI, field by field. What is in no list is refused by the site; what
// is here and not possible in a combination is refused by plan_*.cc.
#include <algorithm>

#include "engine/container_engines.h"
#include "engine/engine.h"

namespace interlink::engine {
namespace {

constexpr const char* kUserns = "linux.security_context.namespace_options.userns_options";

// Without user namespaces only the machine's can be asked for.
std::string UsernsField(const EngineFeatures& features) {
  return features.user_namespaces ? kUserns : std::string(kUserns) + ".mode";
}

sdk::FieldLists SandboxFields(bool kubelet_host, const EngineFeatures& features) {
  sdk::FieldLists lists;
  lists.honoured = {"metadata",
                    "hostname",
                    "dns_config",
                    "port_mappings",
                    "labels",
                    "annotations",
                    "log_directory",
                    "linux.sysctls",
                    "linux.security_context.namespace_options.network",
                    "linux.security_context.namespace_options.pid",
                    "linux.security_context.namespace_options.ipc",
                    UsernsField(features),
                    "linux.security_context.privileged"};
  // There is no sandbox process that these could apply to; each container has its own.
  lists.advisory = {"linux.overhead",
                    "linux.resources",
                    "linux.security_context.run_as_user",
                    "linux.security_context.run_as_group",
                    "linux.security_context.readonly_rootfs",
                    "linux.security_context.supplemental_groups",
                    "linux.security_context.supplemental_groups_policy",
                    "linux.security_context.seccomp"};
  (kubelet_host ? lists.honoured : lists.advisory).push_back("linux.cgroup_parent");
  return lists;
}

sdk::FieldLists ContainerFields(const EngineFeatures& features, bool rootless) {
  sdk::FieldLists lists;
  lists.honoured = {"metadata",
                    "image",
                    "command",
                    "args",
                    "working_dir",
                    "envs",
                    "mounts.container_path",
                    "mounts.host_path",
                    "mounts.readonly",
                    "mounts.propagation",
                    "mounts.recursive_read_only",
                    "mounts.image",
                    "mounts.image_sub_path",
                    "devices",
                    "labels",
                    "annotations",
                    "log_path",
                    "stdin",
                    "stdin_once",
                    "tty",
                    "stop_signal",
                    "linux.security_context.capabilities.add_capabilities",
                    "linux.security_context.capabilities.drop_capabilities",
                    "linux.security_context.capabilities.add_ambient_capabilities",
                    "linux.security_context.privileged",
                    "linux.security_context.namespace_options.network",
                    "linux.security_context.namespace_options.pid",
                    "linux.security_context.namespace_options.ipc",
                    "linux.security_context.namespace_options.target_id",
                    UsernsField(features),
                    "linux.security_context.run_as_user",
                    "linux.security_context.run_as_group",
                    "linux.security_context.run_as_username",
                    "linux.security_context.readonly_rootfs",
                    "linux.security_context.supplemental_groups",
                    "linux.security_context.supplemental_groups_policy",
                    "linux.security_context.no_new_privs",
                    "linux.security_context.masked_paths",
                    "linux.security_context.readonly_paths",
                    "linux.security_context.seccomp",
                    "linux.security_context.apparmor",
                    "linux.security_context.apparmor_profile"};
  (rootless ? lists.bounded : lists.honoured).emplace_back("linux.resources");
  if (features.user_namespaces) {
    lists.honoured.emplace_back("mounts.uidMappings");
    lists.honoured.emplace_back("mounts.gidMappings");
  }
  // Without SELinux there are no labels to change.
  lists.advisory = {"mounts.selinux_relabel"};
  return lists;
}

// What the container engine cannot do is not honoured.
void TakeOut(const EngineOptions& options, std::vector<std::string>& honoured) {
  const ContainerEngine* engine = FindContainerEngine(options.engine);
  if (engine == nullptr) return;  // Engine::Create says so
  std::erase_if(honoured, [engine](const std::string& path) {
    return std::find(engine->lacks.begin(), engine->lacks.end(), path) != engine->lacks.end();
  });
}

}  // namespace

sdk::Description DescribeEngine(const EngineOptions& options, const EngineFeatures& features) {
  sdk::Description description;
  description.plugin = options.plugin;
  description.version = INTERLINK_VERSION;
  description.supplemental_groups_policy = true;
  for (const std::string& name : options.handlers) {
    sdk::HandlerDescription handler;
    handler.name = name;
    handler.kubelet_host = options.kubelet_host;
    handler.takes_contents = !options.kubelet_host;
    handler.user_namespaces = features.user_namespaces;
    handler.recursive_read_only_mounts = features.recursive_read_only;
    description.handlers.push_back(handler);
  }
  description.sandbox = SandboxFields(options.kubelet_host, features);
  description.container = ContainerFields(features, options.rootless);
  TakeOut(options, description.sandbox.honoured);
  TakeOut(options, description.container.honoured);
  return description;
}

}  // namespace interlink::engine
