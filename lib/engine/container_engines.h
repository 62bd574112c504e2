// The engines: programs that make containers, one row each, chosen by configuration. What they have
// in common is the command line that interlink-shim speaks (an OCI runtime's: create, start, exec,
// delete); who has another one is brought to it by the shim (`interlink-shim ch-run`).
#ifndef INTERLINK_ENGINE_CONTAINER_ENGINES_H_
#define INTERLINK_ENGINE_CONTAINER_ENGINES_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace interlink::engine {

// What a row's words name.
struct EngineWords {
  std::string shim;
  std::string program;
  std::string root;     // the engine's own state
  bool cgroups = true;  // it makes and limits them
};

struct ContainerEngine {
  std::string_view name;  // in a configuration
  const char* program;    // where it is when a configuration says nothing else
  // In front of create, start, exec and delete.
  std::vector<std::string> (*command)(const EngineWords& words);
  // Ends with 0 when this machine can run containers with it; `root` is an empty folder then.
  std::vector<std::string> (*trial)(const EngineWords& words);
  std::string_view trial_says;  // what is on its stdout then
  const char* no_trial;         // what a program without that is, behind its path
  // What it reads in place of config.json, and of its process section for an exec; nullptr: those.
  Result<std::string> (*launch)(const std::string& config);
  Result<std::string> (*exec_launch)(const std::string& process);
  bool filters;   // it applies profiles of seccomp and AppArmor
  bool all_ids;   // a container may have more ids than one
  bool rootless;  // only that
  // Fields of a pod's or a container's config that it cannot honour.
  std::vector<std::string_view> lacks;
};

// nullptr: there is none of that name.
const ContainerEngine* FindContainerEngine(std::string_view name);
// "crun or ch-run"
std::string ContainerEngineNames();

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_CONTAINER_ENGINES_H_
