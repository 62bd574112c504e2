#include "slurm/step_command.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "slurm/commands.h"

namespace interlink::slurm {
namespace {

constexpr size_t kNonceDigits = 32;
constexpr size_t kLongestHost = 255;

// A '/' would make --nodelist read a file.
bool IsHostName(std::string_view text) {
  return !text.empty() && text.size() <= kLongestHost && text[0] != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' ||
                  c == '_';
         });
}

}  // namespace

bool IsJobNonce(std::string_view text) {
  return text.size() == kNonceDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<std::vector<std::string>> StepWords(const Step& step) {
  if (!IsHostName(step.host)) return DataLoss("the job's machine has no name that can be one");
  std::vector<std::string> words = {
      "srun",
      "--jobid=" + std::to_string(step.job),
      // Beside whatever the job runs, and at once: a controller that has just started would let it
      // sleep for minutes.
      "--overlap",
      "--immediate=1",
      "--nodes=1",
      "--ntasks=1",
      "--nodelist=" + step.host,
      // Bytes as they come, and nothing of srun's own among them.
      "--unbuffered",
      "--quiet",
      // Nothing of the job's is taken, and the environment is not ours.
      "--gres=none",
      "--mpi=none",
      "--export=NONE",
      "--propagate=NONE",
      "--chdir=/",
      "--job-name=" + step.name,
  };
  if (step.runtime_none) words.emplace_back("--runtime=none");
  if (step.user) words = AsUser(*step.user, std::move(words));
  return words;
}

}  // namespace interlink::slurm
