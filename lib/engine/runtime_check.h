// Whether this machine can run containers with a runtime, tried before the first one is asked for.
#ifndef INTERLINK_ENGINE_RUNTIME_CHECK_H_
#define INTERLINK_ENGINE_RUNTIME_CHECK_H_

#include <string>
#include <vector>

#include "base/call.h"
#include "base/status.h"

namespace interlink::engine {

// Runs `runtime --version`, behind the words of `launcher` (empty: directly), and looks for the
// runtime specification that an OCI runtime names there. kFailedPrecondition: it cannot be run, or
// is none; the message says what was wrong and is one line. kDeadlineExceeded: no answer in time.
Status CheckRuntime(const Call& call, const std::vector<std::string>& launcher,
                    const std::string& runtime);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_RUNTIME_CHECK_H_
