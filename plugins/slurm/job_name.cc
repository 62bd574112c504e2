#include "slurm/job_name.h"

namespace interlink::slurm {

std::string JobName(const Lineage& lineage, const SandboxId& sandbox) {
  return "interlink-" + lineage.str() + "-" + sandbox.str();
}

std::optional<SandboxId> SandboxOfJob(const Lineage& lineage, std::string_view name) {
  const std::string prefix = "interlink-" + lineage.str() + "-";
  if (name.substr(0, prefix.size()) != prefix) return std::nullopt;
  name.remove_prefix(prefix.size());
  if (!IsFullId(name)) return std::nullopt;
  return SandboxId(name);
}

}  // namespace interlink::slurm
