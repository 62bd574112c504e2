// Description: what a backend can do, told once. Never accept and ignore: the site walks each CRI
// config by reflection and refuses any set field that is in none of the three lists, by its path,
// before anything starts.
#ifndef INTERLINK_SDK_DESCRIPTION_H_
#define INTERLINK_SDK_DESCRIPTION_H_

#include <string>
#include <vector>

namespace interlink::sdk {

// Dotted field names without indexes or map keys, e.g. "linux.security_context.run_as_user",
// "mounts.host_path". An entry covers itself and everything below it.
struct FieldLists {
  std::vector<std::string> honoured;
  std::vector<std::string>
      bounded;  // enforced for the allocation, not per container; shown in verbose status
  std::vector<std::string> advisory;  // kubelet sends it on every pod and it means nothing here
};

struct HandlerDescription {
  std::string name;
  bool recursive_read_only_mounts = false;
  bool user_namespaces = false;
  bool kubelet_host = false;  // the site is the node's machine: host paths are the node's own
  // Not with kubelet_host: what kubelet keeps for a pod may come as ContainerSpec::contents.
  bool takes_contents = false;
  bool real_memory_stats = true;
  bool queue_at_start = false;  // DESIGN 6.14
};

struct Description {
  std::string plugin;  // its name, as in the descriptor
  std::string version;
  std::vector<HandlerDescription> handlers;
  bool supplemental_groups_policy = false;
  // Pods may run as other users of the site's machines (SandboxSpec::user).
  bool runs_as_users = false;
  // Keys of a node's PluginConfig that it takes (SandboxSpec::node_options), e.g.
  // "SLURM_PARTITION". The site refuses all others; values are the backend's to check.
  std::vector<std::string> node_options = {};
  FieldLists sandbox;    // paths inside runtime.v1.PodSandboxConfig
  FieldLists container;  // paths inside runtime.v1.ContainerConfig
};

}  // namespace interlink::sdk

#endif  // INTERLINK_SDK_DESCRIPTION_H_
