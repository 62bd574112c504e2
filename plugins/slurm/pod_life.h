// A pod's way from the wish for a job to the proof of its end, as decisions over what is known. No
// I/O, no clock, no locks: provisioner.h acts on them.
//
//   kWanted -> kDoubt -> kSubmitted -> (over in SLURM) -> claim -> the site's: ended
//      ^-- lost, nothing there --'                          '-> a job's -> fence -> ended
//   released: the site tries to take the claim at once; what a job has, it cancels
#ifndef INTERLINK_PLUGINS_SLURM_POD_LIFE_H_
#define INTERLINK_PLUGINS_SLURM_POD_LIFE_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "sdk/provisioner.h"
#include "slurm/claim.h"
#include "slurm/job.h"
#include "slurm/job_state.h"
#include "slurm/journal.h"
#include "slurm/observer.h"

namespace interlink::slurm {

inline constexpr int kMostSubmissions = 5;

// What is known of one pod. Value type.
struct Pod {
  JobRecord record;
  bool released = false;
  std::optional<sdk::AllocationFact> ended;
  std::optional<Sighting> seen;      // since the last submission
  std::set<uint64_t> gone;           // jobs of it that SLURM has forgotten, since then
  std::optional<Claim> owner;        // a job has the claim
  std::optional<SteadyTime> raised;  // the fence
  SteadyTime submitted{};            // when the last sbatch was back
  SteadyTime due{};                  // nothing is tried before
  int failures = 0;                  // in a row
  std::string trouble;               // what the last of them said
};

enum class NextStep {
  kNone,
  kSubmit,    // run sbatch
  kDoom,      // SLURM does with a job what must not be: store it, then cancel
  kTakeBack,  // released: take the claim, so that nothing starts
  kSettle,    // its jobs are over, in part or all: look at claim and fence
};
NextStep NextStepOf(const Pod& pod, SteadyTime now);

// Every job that may have run the pod is in a final state, or gone. REQUIRES: `seen`.
bool AllOver(const Pod& pod);
// The one that has the claim is. REQUIRES: `seen`, `owner`.
bool OwnerOver(const Pod& pod);
// The owner's job as it was last seen.
std::optional<Job> OwnerJob(const Pod& pod);

// Jobs that must be cancelled: it was released or has ended or is doomed, and some are not over.
bool WantsCancel(const Pod& pod);
// Of a job that never starts, or that SLURM runs again: why it is cancelled. Empty: there is none.
std::string OddMessage(const Pod& pod);

// What the site may know now. REQUIRES: not ended.
sdk::AllocationFact LivingFact(const Pod& pod);
// Of a pod of which nothing ever ran, for a reason: nobody's fault when it was released.
sdk::AllocationFact NeverStartedFact(const Pod& pod, std::string reason, std::string message);
// Of a pod that a job has run. `last`: how that job ended; nothing: SLURM has forgotten it.
sdk::AllocationFact EndedFact(const Pod& pod, const std::optional<Job>& last,
                              const std::string& pod_folder);

// 1, 2, 4 ... 30 s.
Duration PauseAfter(int failures);

bool SameFact(const sdk::AllocationFact& a, const sdk::AllocationFact& b);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_POD_LIFE_H_
