// sacct: the last resort, for a job that the controller has forgotten. Only its state is worth
// something: the exit code has lost bit 7, rows come late, and some jobs never get one. The parser
// is pure.
#ifndef INTERLINK_PLUGINS_SLURM_ACCOUNTING_H_
#define INTERLINK_PLUGINS_SLURM_ACCOUNTING_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/status.h"
#include "slurm/commands.h"
#include "slurm/job.h"

namespace interlink::slurm {

// Names of one call; the caller asks for more in turns.
inline constexpr size_t kAccountedNames = 100;

// `since`: seconds of 1970. REQUIRES: 1 to kAccountedNames names.
std::vector<std::string> AccountingArguments(const std::string& user,
                                             const std::vector<std::string>& names, int64_t since);

// kDataLoss: garbled; the message says where. `exit` stays 0: it would be a guess.
Result<std::vector<Job>> ParseAccounting(std::string_view text);

// The rows of these names, repeated ids too. An absent row proves nothing. Errors: as ListJobs.
Result<std::vector<Job>> AskAccounting(const Call& call, Commands& commands,
                                       const std::string& user,
                                       const std::vector<std::string>& names, int64_t since);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_ACCOUNTING_H_
