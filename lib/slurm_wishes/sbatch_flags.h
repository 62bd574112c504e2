// Options of sbatch as people write them: the administrator's own in a profile, and those in an
// annotation of the incumbent. Pure.
#ifndef INTERLINK_SLURM_WISHES_SBATCH_FLAGS_H_
#define INTERLINK_SLURM_WISHES_SBATCH_FLAGS_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace interlink::slurm_wishes {

// A profile's `flags`. kInvalidArgument: not "--name" or "--name=value", or one (or the beginning
// of one, which sbatch takes too) that the plugin sets itself or that changes who runs what.
Status CheckFlags(const std::vector<std::string>& flags);

// "--time=1:00:00 -p debug" as keys of wishes.h. kInvalidArgument: an option without a key, a
// value that is missing, quotes.
Result<std::map<std::string, std::string>> ParseIncumbentFlags(std::string_view text);

}  // namespace interlink::slurm_wishes

#endif  // INTERLINK_SLURM_WISHES_SBATCH_FLAGS_H_
