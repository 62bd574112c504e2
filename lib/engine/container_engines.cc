#include "engine/container_engines.h"

#include "engine/launch_file.h"

namespace interlink::engine {
namespace {

using Words = std::vector<std::string>;

Words CrunCommand(const EngineWords& words) {
  const char* manager = words.cgroups ? "--cgroup-manager=cgroupfs" : "--cgroup-manager=disabled";
  return {words.program, manager, "--root", words.root};
}

Words CrunTrial(const EngineWords& words) { return {words.program, "--version"}; }

Words ChRunCommand(const EngineWords& words) {
  return {words.shim, "ch-run", "--program", words.program, "--root", words.root};
}

Words ChRunTrial(const EngineWords& words) {
  Words trial = ChRunCommand(words);
  trial.emplace_back("try");
  return trial;
}

const std::vector<ContainerEngine>& Table() {
  static const std::vector<ContainerEngine> table = {
      {
          .name = "crun",
          .program = "/usr/bin/crun",
          .command = CrunCommand,
          .trial = CrunTrial,
          // crun, runc and youki all have this line; an ordinary program has not.
          .trial_says = "spec: ",
          .no_trial = "is no OCI runtime: its --version names no \"spec: \" of the runtime "
                      "specification",
          .launch = nullptr,
          .exec_launch = nullptr,
          .filters = true,
          .all_ids = true,
          .rootless = false,
          .lacks = {},
      },
      {
          .name = "ch-run",
          .program = "/usr/bin/ch-run",
          .command = ChRunCommand,
          .trial = ChRunTrial,
          .trial_says = "",
          .no_trial = "",
          .launch = LaunchOfContainer,
          .exec_launch = LaunchOfExec,
          .filters = false,
          .all_ids = false,
          .rootless = true,
          .lacks = {"devices", "linux.security_context.privileged",
                    "linux.security_context.capabilities.add_ambient_capabilities"},
      },
  };
  return table;
}

}  // namespace

const ContainerEngine* FindContainerEngine(std::string_view name) {
  for (const ContainerEngine& row : Table()) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::string ContainerEngineNames() {
  std::string names;
  for (const ContainerEngine& row : Table()) {
    names += (names.empty() ? "" : " or ") + std::string(row.name);
  }
  return names;
}

}  // namespace interlink::engine
