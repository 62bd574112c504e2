// What a container runs, merged from the image's config and the CRI config. Pure.
#ifndef INTERLINK_ENGINE_COMMAND_H_
#define INTERLINK_ENGINE_COMMAND_H_

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "sdk/host.h"

namespace interlink::engine {

// `command` replaces the image's Entrypoint, and its Cmd too; `args` replaces its Cmd.
// kInvalidArgument: nothing is left to run.
Result<std::vector<std::string>> MergeCommand(const sdk::ImageConfig& image,
                                              const std::vector<std::string>& command,
                                              const std::vector<std::string>& args);

struct EnvironmentRequest {
  std::vector<std::string> image;  // "NAME=value"
  std::string hostname;
  bool tty = false;
  std::vector<std::pair<std::string, std::string>> pod;
};

// The image's, with a PATH if it has none, HOSTNAME and TERM; the pod's own replace equal names.
// kInvalidArgument: a name that is empty or has "=" or NUL, a value with NUL.
Result<std::vector<std::string>> MergeEnvironment(const EnvironmentRequest& request);

// The number of a stop signal: "SIGTERM", "TERM", "RTMIN+3", "15". 15 when it is empty.
// kInvalidArgument: unknown.
Result<int> ParseSignal(const std::string& name);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_COMMAND_H_
