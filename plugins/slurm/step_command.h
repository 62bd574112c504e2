// A step of our own in a pod's job: srun's words before the step's command. Pure.
//
// It takes nothing of the job's, stands beside whatever runs there, begins at once or not at all,
// and its stdio is bytes as they come.
#ifndef INTERLINK_PLUGINS_SLURM_STEP_COMMAND_H_
#define INTERLINK_PLUGINS_SLURM_STEP_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "slurm/file_owner.h"

namespace interlink::slurm {

struct Step {
  uint64_t job = 0;
  std::string host;  // the job's first machine, as SLURM names it
  std::string name;
  bool runtime_none = false;      // Submission::runtime_none
  std::optional<FileOwner> user;  // whose job; nothing: this process's own user's
};

// kDataLoss: the host is not a machine's name. An option of srun would read it otherwise.
Result<std::vector<std::string>> StepWords(const Step& step);

// 32 lower-case hex digits, as a job's script writes them.
bool IsJobNonce(std::string_view text);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_STEP_COMMAND_H_
