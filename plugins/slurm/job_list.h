// squeue: all jobs of one user, or of all, in one call, whatever their number. The parser is pure.
//
// An answer is taken whole or not at all. An empty one is an empty list, which proves nothing by
// itself (observer.h).
#ifndef INTERLINK_PLUGINS_SLURM_JOB_LIST_H_
#define INTERLINK_PLUGINS_SLURM_JOB_LIST_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/status.h"
#include "slurm/commands.h"
#include "slurm/job.h"

namespace interlink::slurm {

// `user` empty: everybody's. `mark` ends each record. It is random in each call: a job's name may
// hold anything, line ends and bars too, and must not look like a record.
std::vector<std::string> ListArguments(const std::string& user, const std::string& mark);

// kDataLoss: the answer is garbled; the message says where. Jobs of any name are returned.
Result<std::vector<Job>> ParseJobList(std::string_view text, std::string_view mark);

// kUnavailable, kFailedPrecondition as ReadFailure says; kDataLoss: garbled; else as Commands::Run.
Result<std::vector<Job>> ListJobs(const Call& call, Commands& commands, const std::string& user);

// True: SLURM says that it has no such job, or that the id is of a job with another name now.
// False: it lists the job. A list in which a job is missing is no denial: it may be cut, or of
// nobody's. kUnavailable: neither.
Result<bool> DeniesJob(const Call& call, Commands& commands, uint64_t id, const std::string& name);

// squeue's exit_code: the raw wait status ("768") of 22.05, "exit:signal" ("3:0") of 24.11.
// kDataLoss: neither.
Result<JobExit> ParseJobExit(std::string_view text);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_JOB_LIST_H_
