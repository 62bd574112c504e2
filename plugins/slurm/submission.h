// sbatch: one job for one pod. What is sent is built by pure functions; what came of it is one of
// four outcomes, because sbatch may fail after its job was accepted.
#ifndef INTERLINK_PLUGINS_SLURM_SUBMISSION_H_
#define INTERLINK_PLUGINS_SLURM_SUBMISSION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/status.h"
#include "slurm/commands.h"
#include "slurm/file_owner.h"
#include "slurm/job_options.h"
#include "slurm/job_script.h"
#include "slurm/lone_script.h"

namespace interlink::slurm {

struct Submission {
  std::string job_name;  // JobName()
  std::string comment;   // JobComment()
  JobOptions options;
  JobScript script;
  std::optional<LoneScript> lone;  // of a job without a shared folder: instead of `script`
  std::optional<FileOwner> user;   // who submits it, and whose it is; nothing: this process's own
  bool runtime_none =
      false;  // this sbatch knows --runtime: the site's default must not wrap our agent
};

// For people who look at the queue: "interlink site=S node=N pod=NAMESPACE/NAME uid=U". Everybody
// at the site can read it. Printable ASCII without "|", at most 1000 bytes.
std::string JobComment(const std::string& site, const std::string& node,
                       const std::string& pod_namespace, const std::string& pod_name,
                       const std::string& pod_uid);

// The time before the limit at which the agent is told to stop its containers: a quarter of a short
// job, and never the whole of it.
int64_t WarnSeconds(const JobOptions& options);

// The command; the script goes to its stdin. No value becomes an option of its own.
std::vector<std::string> SubmitArguments(const Submission& submission);

struct SubmitOutcome {
  enum class Kind {
    kAccepted,    // `job` is its id
    kRefused,     // SLURM's answer to this request; there is no job
    kNotReached,  // no controller took it; there is no job
    kUnknown,     // there may be a job: look for its name with an answering controller, longer than
                  // MessageTimeout (observer.h); then submit again under the same name and claim
  };
  Kind kind = Kind::kUnknown;
  uint64_t job = 0;
  std::string words;     // SLURM's, of all but kAccepted
  bool no_room = false;  // of kUnknown: SLURM's queue was full, and sbatch was waiting for room
};

// kInvalidArgument: the script cannot be written; nothing was sent.
Result<SubmitOutcome> Submit(const Call& call, Commands& commands, const Submission& submission);

// Of a finished sbatch. Pure.
SubmitOutcome OutcomeOf(const Answer& answer);

// What this site's sbatch is. kUnavailable: it cannot be asked.
struct SbatchVersion {
  std::string text;  // "slurm-wlm 22.05.8"
  int major = 0;     // 2205, 2411
  bool has_runtime = false;
};
Result<SbatchVersion> ProbeSbatch(const Call& call, Commands& commands);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_SUBMISSION_H_
