// The values of job options as people write them, checked and brought to one form. Pure.
//
// What does not parse is kInvalidArgument: `"x y" is no partition: ...`, with what would be right;
// the caller says where it stood. Every value ends as one argument of sbatch, never as script text.
#ifndef INTERLINK_PLUGINS_SLURM_JOB_VALUES_H_
#define INTERLINK_PLUGINS_SLURM_JOB_VALUES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace interlink::slurm {

// "16": 1 to 65535.
Result<int64_t> ParseCpus(std::string_view text);

// "4096", "4G", "4Gi" -> 4096 MiB. K, M, G and T are powers of 1024, as in SLURM; M where none is
// named. Rounded up.
Result<int64_t> ParseMemoryMib(std::string_view text);

// SLURM's forms -> minutes, rounded up: "90", "90:00", "1:30:00", "1-12", "1-12:30", "1-12:30:00".
Result<int64_t> ParseTimeMinutes(std::string_view text);

// A generic resource: "gpu:a100:2", "gpu:2", "gpu" (one).
struct Gres {
  std::string name;
  std::string type;  // may be empty
  int64_t count = 1;
};
std::string GresText(const Gres& gres);

// "gpu:2,nvme:1".
Result<std::vector<Gres>> ParseGres(std::string_view text);

// "2", "a100:2", "a100:1,h100:1".
Result<std::vector<Gres>> ParseGpus(std::string_view text);

// A name of SLURM: letters, digits, "_", "-", "." and "@", not "-" first. `what`: "account".
Result<std::string> ParseName(std::string_view what, std::string_view text);

// Names with commas between them.
Result<std::vector<std::string>> ParseNames(std::string_view what, std::string_view text);

// An expression over features: "a100&nvlink", "[rack1|rack2]".
Result<std::string> ParseConstraint(std::string_view text);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_JOB_VALUES_H_
