// Cancellations: jobs that must go, cancelled again and again until the cluster proves that they
// are gone. scancel's own answer proves nothing: a controller may lose it, or bring a job back from
// its state.
//
// It owns no thread: Step follows each answer of the Observer. Its wishes are in memory; the
// caller's records bring them back after a restart. Not thread-safe.
#ifndef INTERLINK_PLUGINS_SLURM_CANCELLATION_H_
#define INTERLINK_PLUGINS_SLURM_CANCELLATION_H_

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/status.h"
#include "slurm/commands.h"
#include "slurm/observer.h"

namespace interlink::slurm {

struct Cancelled {
  SandboxId sandbox;
  // Processes of a job may live on although SLURM has given it up: the fence must hold before its
  // pod is said to be over.
  bool lost = false;
};

class Cancellations {
 public:
  // `commands` and `clock` outlive it. `user`: whose jobs; empty: of whom the answers say.
  Cancellations(Commands& commands, const Clock& clock, Lineage lineage, std::string user);

  // All jobs of that sandbox, those that come to light later too. Idempotent.
  void Want(const SandboxId& sandbox);
  bool IsWanted(const SandboxId& sandbox) const { return wanted_.count(sandbox) != 0; }

  // Cancels what is due (at most 32 each time; a job again after 1 s, then twice as late each time,
  // up to 30 s) and returns what is proven: every job of the name is in a final state, or nothing
  // is there. Proven ones are forgotten. A sandbox must be watched to be proven. An error: scancel
  // could not reach the controller; what was proven meanwhile is told by the next Step.
  Result<std::vector<Cancelled>> Step(const Call& call, const Poll& poll);

 private:
  struct Wanted {
    int attempts = 0;
    SteadyTime due{};
  };

  Commands& commands_;
  const Clock& clock_;
  const Lineage lineage_;
  const std::string user_;
  std::map<SandboxId, Wanted> wanted_;
};

// One sandbox's jobs, in whatever state. kUnavailable, kFailedPrecondition: SLURM's words. OK says
// only that scancel ended well.
Status CancelJobs(const Call& call, Commands& commands, const std::string& job_name,
                  const std::string& user);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_CANCELLATION_H_
