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

inline constexpr int kMostSubmissions = 5;  // but for those that found SLURM's queue full
// After the time limit of a job, which SLURM may stretch (OverTimeLimit) and KillWait follows: by
// then nothing of it runs.
inline constexpr auto kAfterLimit = std::chrono::minutes(10);

// The end of a job that has no time limit: of the year 9999.
inline constexpr int64_t kNoLimit = 253'402'300'799;

// A pod without a shared folder that is given back: its agent is asked to go, and its job is let
// run for so long, since a job that is cancelled takes the agent's way to the hub, and its last
// word, with it. An agent that was killed is back within a few seconds.
inline constexpr auto kForItsWord = std::chrono::seconds(60);

// What is known of one pod. Value type.
struct Pod {
  JobRecord record;
  bool released = false;
  std::optional<sdk::AllocationFact> ended;
  std::optional<Sighting> seen;        // since the last submission
  std::set<uint64_t> gone;             // jobs of it that SLURM has forgotten, since then
  std::optional<Claim> owner;          // a job has the claim
  std::optional<SteadyTime> raised;    // the fence
  int64_t limit_at = 0;                // of a job that ran when it was last seen: Unix seconds
  SteadyTime submitted{};              // when the last sbatch was back
  std::optional<SteadyTime> begin_by;  // SLURM says that a job of it runs: it has the claim by then
  SteadyTime due{};                    // nothing is tried before
  int failures = 0;                    // in a row
  std::string trouble;                 // what the last of them said
  std::string no_room;                 // SLURM's queue is full for it, or was: SLURM's words
  // Where agents are reached through srun.
  std::optional<SteadyTime> running;  // since when a job of it was seen to run
  bool relayed = false;               // a relay is wanted for its agent
  // Without a shared folder.
  std::vector<Claim> brought;         // of the jobs to which an agent was brought, or began to be
  bool bound = false;                 // the hub has let one of these in: `runner`
  std::string delivery_trouble;       // why no agent is brought
  std::optional<SteadyTime> word_by;  // it is given back: not cancelled before
  std::optional<Claim> runner;        // who has the pod while it runs
  std::string relay_trouble;          // why no relay is of use
};

enum class NextStep {
  kNone,
  kSubmit,      // run sbatch
  kNoteJob,     // a job is there of a pod that was to be submitted again: store it
  kDoom,        // SLURM does with a job what must not be: store it, then cancel
  kTakeBack,    // released: take the claim, so that nothing starts
  kExpect,      // a job runs for long: has it begun?
  kFindRunner,  // a relay or a delivery is wanted: read who has the pod
  kNoteLimit,   // the time limit of a job is another one: store it
  kSettle,      // its jobs are over, in part or all: look at claim and fence
};
NextStep NextStepOf(const Pod& pod, SteadyTime now);

// A job of it in phase kRunning; null: none. REQUIRES: `seen`.
const Job* RunningJob(const Pod& pod);
// The runner's job is not over, as far as SLURM tells. REQUIRES: `seen`, `runner`.
bool RunnerHolds(const Pod& pod);

// Every job that may have run the pod is in a final state, or gone. REQUIRES: `seen`.
bool AllOver(const Pod& pod);
// The one that has the claim is. REQUIRES: `seen`, `owner`.
bool OwnerOver(const Pod& pod);
// The owner's job as it was last seen.
std::optional<Job> OwnerJob(const Pod& pod);

// Its time limit has to be stored.
bool LimitMoved(const Pod& pod);
// When a pod without a shared folder has ended at the latest: seconds of 1970; 0: its job has no
// time limit, or nobody knows it.
int64_t EndsBy(const Pod& pod);

// It is given back, and its job is let run until its agent has said that everything has ended.
bool AwaitsWord(const Pod& pod, SteadyTime now);
// Jobs that must be cancelled: it was released or has ended or is doomed, and some are not over.
bool WantsCancel(const Pod& pod, SteadyTime now);
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
