// slurm: one agent per pod, each in a SLURM job.
#include <limits.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "sdk/descriptor.h"
#include "slurm/commands.h"
#include "slurm/options.h"
#include "slurm/provisioner.h"
#include "slurm/submission.h"

namespace interlink::slurm {
namespace {

constexpr auto kProbeWithin = std::chrono::seconds(20);

std::string PathOfDaemon() {
  std::array<char, PATH_MAX> buffer;
  const ssize_t size = readlink("/proc/self/exe", buffer.data(), buffer.size());
  return {buffer.data(), size > 0 ? static_cast<size_t>(size) : 0};
}

// Whose jobs: sbatch, squeue and scancel are run by us.
Result<std::string> OwnUser() {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(1U << 16U);
  const int error = getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found);
  if (error != 0) return ErrnoStatus(error, "look up the daemon's user");
  if (found == nullptr) {
    return FailedPrecondition("the daemon's user " + std::to_string(geteuid()) + " has no name");
  }
  return std::string(entry.pw_name);
}

Result<std::unique_ptr<sdk::Provisioner>> Create(sdk::Host& host, sdk::AgentDesk& desk,
                                                 const sdk::PluginOptions& options) {
  ASSIGN_OR_RETURN(SlurmOptions parsed, ParseOptions(options, PathOfDaemon()));
  RETURN_IF_ERROR(CheckUser(parsed, geteuid()));
  CommandOptions commands;
  commands.folder = parsed.commands_folder;
  commands.conf = parsed.conf;
  auto system = std::make_unique<SystemCommands>(commands);
  const auto version = ProbeSbatch(Call::WithTimeout(kProbeWithin), *system);
  if (!version.ok()) {
    return version.status().WithContext(
        "SLURM's commands cannot be run (options CommandsFolder and SlurmConf)");
  }
  if (parsed.transport != Transport::kDirect || !parsed.shared_folder) {
    const auto srun = system->Run(Call::WithTimeout(kProbeWithin), {"srun", "--version"}, "");
    if (!srun.ok() || srun->code != 0) {
      return FailedPrecondition(std::string("srun cannot be run, which the option ") +
                                (parsed.shared_folder ? "Transport" : "SharedFolder") +
                                " needs: " + (srun.ok() ? Words(*srun) : srun.status().message()));
    }
  }
  host.log().Info("SLURM's commands are there", {{"version", version->text}});
  ASSIGN_OR_RETURN(std::string user, OwnUser());
  ProvisionerParts parts{host, desk, std::move(system), std::move(user), version->has_runtime};
  ASSIGN_OR_RETURN(auto made, SlurmProvisioner::Create(std::move(parts), std::move(parsed)));
  return std::unique_ptr<sdk::Provisioner>(std::move(made));
}

}  // namespace
}  // namespace interlink::slurm

INTERLINK_PROVISIONER("slurm", interlink::slurm::Create)
