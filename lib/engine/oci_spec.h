// The OCI runtime config of a container. Pure: everything that needs the machine was looked up
// before.
#ifndef INTERLINK_ENGINE_OCI_SPEC_H_
#define INTERLINK_ENGINE_OCI_SPEC_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/capabilities.h"
#include "engine/user_namespace.h"
#include "engine/users.h"

namespace runtime::v1 {
class LinuxContainerResources;
}

namespace interlink::engine {

struct SpecMount {
  std::string destination;
  std::string type;
  std::string source;
  std::vector<std::string> options;
};

struct SpecDevice {
  std::string path;  // in the container
  char type = 'c';
  uint32_t major = 0;
  uint32_t minor = 0;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string access = "rwm";
};

struct SpecNamespace {
  std::string type;
  std::string path;  // empty: a new one
};

// What this machine's cgroups can do.
struct CgroupFeatures {
  bool v2 = false;
  bool swap = false;     // memory and swap can be limited together
  bool hugetlb = false;  // for hugepage limits
};

struct SpecInputs {
  std::vector<std::string> args;
  std::vector<std::string> environment;
  std::string working_folder = "/";
  ResolvedUser user;
  ProcessCapabilities capabilities;
  bool tty = false;
  bool no_new_privileges = false;
  int oom_score_adj = 0;
  std::string root;
  IdRange users;  // of the user namespace among `namespaces`; empty: there is none
  // A user namespace of its own, made in ours; no cgroups.
  bool rootless = false;
  // Of `rootless`: ids from 0 on that ours has and the container gets. 1: it gets one, `user`'s.
  uint32_t own_ids = 1;
  // Of a pid namespace that `rootless` joins: its proc file system, mounted. Empty: a new one.
  std::string proc;
  bool read_only_root = false;
  std::string root_propagation;  // linux.rootfsPropagation; empty: the runtime's own
  bool privileged = false;
  std::vector<SpecMount> mounts;  // the pod's own; they replace the standard ones of a destination
  std::vector<SpecDevice> devices;
  std::vector<SpecNamespace> namespaces;  // without mount, which is always new
  // In addition to the standard ones.
  std::vector<std::string> masked_paths;
  std::vector<std::string> read_only_paths;
  bool own_paths_only = false;  // where such paths are given, they replace the standard ones
  std::string seccomp;          // JSON; empty: none
  std::string apparmor;         // name of a loaded profile; empty: none
  std::string cgroup;           // absolute path in each hierarchy
  CgroupFeatures features;
  std::map<std::string, std::string> annotations;
};

// config.json. kInvalidArgument: a limit that cannot be enforced here, or text that is not UTF-8.
Result<std::string> OciSpec(const SpecInputs& inputs,
                            const runtime::v1::LinuxContainerResources& resources);

// The resources section alone, for an update of a living container.
Result<std::string> OciResources(const CgroupFeatures& features,
                                 const runtime::v1::LinuxContainerResources& resources);

// The process section of `config` (a config.json) for an exec: other arguments and terminal, all
// else as the container's.
Result<std::string> ExecProcess(const std::string& config, const std::vector<std::string>& argv,
                                bool tty);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_OCI_SPEC_H_
