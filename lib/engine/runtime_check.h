// Whether this machine can run containers with an engine, tried before the first one is asked for.
#ifndef INTERLINK_ENGINE_RUNTIME_CHECK_H_
#define INTERLINK_ENGINE_RUNTIME_CHECK_H_

#include <string>
#include <vector>

#include "base/call.h"
#include "base/status.h"
#include "engine/container_engines.h"

namespace interlink::engine {

// Runs the engine's trial behind the words of `launcher` (empty: directly). kFailedPrecondition: it
// cannot be run, or is something else; the message says what was wrong and is one line.
// kDeadlineExceeded: no answer in time.
Status CheckRuntime(const Call& call, const std::vector<std::string>& launcher,
                    const ContainerEngine& engine, const EngineWords& words);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_RUNTIME_CHECK_H_
