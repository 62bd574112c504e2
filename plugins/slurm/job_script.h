// The batch script: claims the pod, then becomes the pod's command. Pure.
//
// Pod folder (made by the site before the submission, on a file system that all machines share):
//   own.NONCE   who asked for the pod: nonce, job, restarts, host, boot id; one line "key=value"
//               each
//   claim       a hard link to the own.* of the one that has the pod, for ever
//   job.log     what the batch script and its command print
//
// Every submission of a sandbox, and every run that SLURM repeats, makes the link with a nonce of
// its own; the link cannot be made twice, so one of them runs the pod and the others exit 113. What
// decides is whose file the claim is, not whether ln succeeded: an answer lost on NFS reads as a
// failure. The site takes the same claim before it says that a pod is gone (claim.h).
#ifndef INTERLINK_PLUGINS_SLURM_JOB_SCRIPT_H_
#define INTERLINK_PLUGINS_SLURM_JOB_SCRIPT_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace interlink::slurm {

struct JobScript {
  std::string pod_folder;            // absolute
  std::vector<std::string> command;  // runs with the pod folder as working directory and
                                     // INTERLINK_CLAIM=NONCE in its environment
};

// kInvalidArgument: a path that is not absolute, no command, or control characters: a line of a
// value must never become a line of the script ("#SBATCH ...").
Result<std::string> ScriptText(const JobScript& script);

// How the script of every job begins: sbatch looks for no options in the rest, PATH and umask do
// not depend on the user's profile.
std::string ScriptBeginning();
// A line of the text could be one of the script.
bool HasControl(std::string_view text);

// One word for sh, whatever it holds. REQUIRES: no NUL.
std::string ShellWord(const std::string& word);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_JOB_SCRIPT_H_
