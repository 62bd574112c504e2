// What a pod needs of this machine, decided before anything is made: policy, namespaces, ports.
#ifndef INTERLINK_ENGINE_PLAN_SANDBOX_H_
#define INTERLINK_ENGINE_PLAN_SANDBOX_H_

#include <string>

#include "base/status.h"
#include "engine/options.h"
#include "engine/pod_files.h"
#include "sdk/backend.h"

namespace interlink::engine {

// The policy of a handler: nothing is allowed where none is configured.
Policy PolicyOf(const EngineOptions& options, const std::string& handler);

// The record of a pod that is not started yet. kInvalidArgument, kUnimplemented, kPermissionDenied
// name the field, or the key that does not allow it.
Result<PodRecord> PlanSandbox(const EngineOptions& options, const sdk::SandboxSpec& spec);

// The content of the pod's /etc/resolv.conf; `fallback` is the host's. Pure.
std::string ResolvConf(const runtime::v1::PodSandboxConfig& config, const std::string& fallback);

// `name` as one component of a path. Pure.
std::string PathComponent(const std::string& name);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_PLAN_SANDBOX_H_
