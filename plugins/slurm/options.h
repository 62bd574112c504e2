// The options of the slurm plugin, as README.md lists them. Pure.
#ifndef INTERLINK_PLUGINS_SLURM_OPTIONS_H_
#define INTERLINK_PLUGINS_SLURM_OPTIONS_H_

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "sdk/descriptor.h"
#include "slurm/job_options.h"

namespace interlink::slurm {

// What a handler's jobs ask for unless a node or a pod may say otherwise.
struct Profile {
  Values values;  // keys of slurm_wishes::kOptionKeys
  std::vector<std::string> flags;
  // Of compute nodes: what pods may mount, with everything below. Absolute.
  std::vector<std::string> allowed_host_paths;
  std::optional<bool> at_start;  // Queue: at-start; ParseOptions sets it
};

// How agents reach the site's hub.
enum class Transport {
  kDirect,  // by the network
  kSrun,    // by the stdio of a step that the site starts in their job
  kAuto,    // by such a step where an agent is not heard of otherwise
};

// As it is written in the configuration.
const char* NameOf(Transport transport);

struct SlurmOptions {
  std::vector<std::string> handlers;
  std::string conf;             // SLURM_CONF of the commands
  std::string commands_folder;  // empty: they are found in PATH
  std::string job_folder;       // absolute; see shared_folder
  // Compute nodes have it too, under the same path. False: they see nothing of it, and a job gets
  // what it needs through srun.
  bool shared_folder = true;
  std::string agent;                  // absolute, on the site
  std::string engine = "crun";        // what makes containers: engine/container_engines.h
  std::string runtime;                // its program, on compute nodes
  std::string state_folder = "/tmp";  // on compute nodes, of a local file system
  std::chrono::seconds leave_within{25};
  std::chrono::seconds message_timeout{10};
  // From when SLURM says that a job runs to its first act, prologs included.
  std::chrono::seconds begin_within{600};
  bool allow_root_agents = false;
  // Each job runs as the user that the site names for its pod; the daemon is root.
  bool mapped_users = false;
  bool at_start = false;  // of handlers that do not say
  Transport transport = Transport::kDirect;
  std::map<std::string, Profile> profiles;  // by handler
  Rules rules;
};

// `daemon`: the path of this program, whose folder has the agent. kInvalidArgument with the
// option's place: unknown, malformed or missing.
Result<SlurmOptions> ParseOptions(const sdk::PluginOptions& options, const std::string& daemon);

// kPermissionDenied: jobs of this user would be root's, and nobody has allowed that; or this user
// cannot run jobs of others.
Status CheckUser(const SlurmOptions& options, unsigned uid);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_OPTIONS_H_
