// The name of a sandbox's jobs: the site's lineage and the sandbox's id, so that stop, cancel and
// search work from the id alone and a sweep touches no other site's jobs. Every submission of a
// sandbox has the same name; the claim lets one of them run. Pure.
#ifndef INTERLINK_PLUGINS_SLURM_JOB_NAME_H_
#define INTERLINK_PLUGINS_SLURM_JOB_NAME_H_

#include <optional>
#include <string>
#include <string_view>

#include "base/id.h"

namespace interlink::slurm {

// "interlink-LINEAGE-SANDBOX", 107 bytes of [a-z0-9-].
std::string JobName(const Lineage& lineage, const SandboxId& sandbox);

// The sandbox of a job of this lineage; nothing for any other name.
std::optional<SandboxId> SandboxOfJob(const Lineage& lineage, std::string_view name);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_JOB_NAME_H_
