// EngineOptions: how pods run on this machine. Value type; plugins fill it from their
// configuration.
#ifndef INTERLINK_ENGINE_OPTIONS_H_
#define INTERLINK_ENGINE_OPTIONS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace interlink::engine {

// What pods of a handler may take of the site's machine. Default: nothing, because a node's
// certificate must not make it root at the site.
struct Policy {
  // AllowedHostPaths: host folders and files that pods may mount, with everything below them.
  std::vector<std::string> allowed_host_paths;
  bool allow_privileged = false;       // AllowPrivileged
  bool allow_host_namespaces = false;  // AllowHostNamespaces: network, pid and ipc of the host
  bool allow_devices = false;          // AllowDevices: devices named by path
};

struct EngineOptions {
  std::string plugin = "local";
  std::vector<std::string> handlers;
  std::map<std::string, Policy> policies;  // by handler; a handler without one may do nothing
  std::string state_folder;                // absolute; made by the engine (0700)
  std::string shim;                        // absolute path of interlink-shim
  std::string engine = "crun";             // a row of container_engines.h
  std::string runtime = "/usr/bin/crun";   // absolute; that engine's program
  std::string cni_conf_folder = "/etc/cni/net.d";
  std::vector<std::string> cni_bin_folders = {"/opt/cni/bin", "/usr/lib/cni"};
  std::string cgroup_root = "/interlink";  // without kubelet_host: ROOT/node/sandbox/container
  // The site's machine is the node's: host paths are the node's own and containers go under
  // kubelet's cgroup_parent.
  bool kubelet_host = false;
  std::string kubelet_folder = "/var/lib/kubelet";
  // This process is root of a user namespace (`interlink-shim supervise` makes it). Then there are
  // no cgroups (limits are those of whatever holds us), the network is the machine's, and each
  // container has a user namespace of its own. Where ours has one id, an ordinary user's, so has a
  // container's: the user and group that it asked for, who are we outside. Where ours has more it
  // has them all (docs/adr/0010).
  bool rootless = false;
  // rootless: what holds us has so much, for the whole pod. A container that asks for more is
  // refused. 0: not known.
  int64_t allocation_memory_bytes = 0;
  int64_t allocation_cpus = 0;
  uint64_t log_limit = 1ULL << 30U;  // bytes of unacknowledged log of one container
  // How long a container lives on after its engine is gone; 0: for ever.
  int shim_lease_seconds = 0;
  int threads = 8;  // slow parts of pods, in parallel
};

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_OPTIONS_H_
