// The options of the slurm plugin, as README.md lists them. Pure.
#ifndef INTERLINK_PLUGINS_SLURM_OPTIONS_H_
#define INTERLINK_PLUGINS_SLURM_OPTIONS_H_

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "sdk/descriptor.h"
#include "slurm/job_options.h"

namespace interlink::slurm {

// What a handler's jobs ask for unless a node or a pod may say otherwise.
struct Profile {
  Values values;  // keys of kOptionKeys
  std::vector<std::string> flags;
};

struct SlurmOptions {
  std::vector<std::string> handlers;
  std::string conf;                       // SLURM_CONF of the commands
  std::string commands_folder;            // empty: they are found in PATH
  std::string job_folder;                 // absolute; the same on the site and on all compute nodes
  std::string agent;                      // absolute, on the site
  std::string runtime = "/usr/bin/crun";  // on compute nodes
  std::string state_folder = "/tmp";      // on compute nodes, of a local file system
  std::chrono::seconds leave_within{25};
  std::chrono::seconds message_timeout{10};
  bool allow_root_agents = false;
  std::map<std::string, Profile> profiles;  // by handler
  Rules rules;
};

// `daemon`: the path of this program, whose folder has the agent. kInvalidArgument with the
// option's place: unknown, malformed or missing.
Result<SlurmOptions> ParseOptions(const sdk::PluginOptions& options, const std::string& daemon);

// kPermissionDenied: jobs of this user would be root's, and nobody has allowed that.
Status CheckUser(const SlurmOptions& options, unsigned uid);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_OPTIONS_H_
