// slurm: one agent per pod, each in a SLURM job.
#include <limits.h>
#include <unistd.h>

#include <array>

#include "sdk/descriptor.h"
#include "slurm/commands.h"
#include "slurm/job_user.h"
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
  if (parsed.mapped_users) {
    const auto setpriv = system->Run(Call::WithTimeout(kProbeWithin),
                                     AsUser({geteuid(), getegid()}, {"sbatch", "--version"}), "");
    if (!setpriv.ok() || setpriv->code != 0) {
      return FailedPrecondition(
          "setpriv (util-linux), which runs SLURM's commands as the jobs' users for the option "
          "JobUser, cannot be used: " +
          (setpriv.ok() ? Words(*setpriv) : setpriv.status().message()));
    }
  }
  host.log().Info("SLURM's commands are there", {{"version", version->text}});
  ASSIGN_OR_RETURN(std::string user, OwnUserName());
  ProvisionerParts parts{
      host, desk, std::move(system), std::move(user), geteuid() == 0, version->has_runtime};
  ASSIGN_OR_RETURN(auto made, SlurmProvisioner::Create(std::move(parts), std::move(parsed)));
  return std::unique_ptr<sdk::Provisioner>(std::move(made));
}

}  // namespace
}  // namespace interlink::slurm

INTERLINK_PROVISIONER("slurm", interlink::slurm::Create)
