// Launch files (lib/shim/launch.h), from the OCI config that every engine's container has. Pure.
// What a launch file cannot say is an error and never left out: it should have been refused before.
#ifndef INTERLINK_ENGINE_LAUNCH_FILE_H_
#define INTERLINK_ENGINE_LAUNCH_FILE_H_

#include <string>

#include "base/status.h"

namespace interlink::engine {

// `config`: a config.json. kInvalidArgument: text with a NUL. kInternal: more than a launch file
// can say.
Result<std::string> LaunchOfContainer(const std::string& config);
// `process`: the process section of one.
Result<std::string> LaunchOfExec(const std::string& process);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_LAUNCH_FILE_H_
