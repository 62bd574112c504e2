// Observer: what the cluster says of the watched sandboxes' jobs, by one squeue for all of them.
//
// It owns no thread: somebody calls Poll when NextPoll is due. Between calls it remembers only what
// it takes to tell "not there" from "not seen": a job is gone, and a submission in doubt did not
// happen, when its name was missing in at least two answers in a row, the first and the last of
// them further apart than MessageTimeout, and no question between them failed. A request that a
// frozen controller still holds comes to light within that time.
//
// Thread-safe. Poll runs squeue without a lock; two Polls at once are refused.
#ifndef INTERLINK_PLUGINS_SLURM_OBSERVER_H_
#define INTERLINK_PLUGINS_SLURM_OBSERVER_H_

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/mutex.h"
#include "base/status.h"
#include "slurm/commands.h"
#include "slurm/job.h"

namespace interlink::slurm {

struct ObserverOptions {
  Lineage lineage;
  std::string user;                                     // whose jobs; empty: everybody's
  Duration message_timeout = std::chrono::seconds(10);  // slurm.conf's
  Duration fastest = std::chrono::seconds(1);
  Duration slowest = std::chrono::seconds(10);
  Duration longest_retry = std::chrono::minutes(1);  // while the controller does not answer
};

// What one answer says of one watched sandbox.
struct Sighting {
  SandboxId sandbox;
  std::vector<Job> jobs;  // all of its name: of every submission, ended ones too while SLURM keeps
                          // them; the newest last
  std::vector<JobIdentity>
      gone;               // jobs that were seen or known before and are gone now, each told once
  bool in_doubt = false;  // a submission of doubtful end may still bring a job
  bool nothing_there = false;  // no job of its name is or will be there, by the rule above
};

struct Poll {
  std::vector<Sighting> sightings;  // one for each watched sandbox, by id
  std::vector<Job> strangers;       // our lineage's, of sandboxes that nobody watches
};

class Observer {
 public:
  // `commands` and `clock` outlive it.
  Observer(Commands& commands, const Clock& clock, ObserverOptions options);

  // Watches the sandbox's jobs from now on. Repeated (after each submission): what was missing
  // counts from now.
  // `user`: whose they are; jobs of others under its name are not its own, whatever they are.
  // Nothing: whoever's squeue lists.
  void Watch(const SandboxId& sandbox, std::optional<uint32_t> user = std::nullopt);
  // A job that the caller's journal has; with submit_time 0 any job of that id and name is it.
  // REQUIRES: the sandbox is watched.
  void Know(const SandboxId& sandbox, const JobIdentity& job);
  // A submission of it has just ended in doubt (SubmitOutcome::kUnknown). REQUIRES: it is watched.
  void Doubt(const SandboxId& sandbox);
  void Forget(const SandboxId& sandbox);

  // One question. On an error nothing is known, and everything missing counts anew. Errors:
  // ListJobs's; kFailedPrecondition: another Poll is running.
  Result<Poll> Ask(const Call& call);

  // Something is about to change (a job was cancelled): ask soon.
  void Hurry();

  // When Ask is due: 1 s after a Watch, a Hurry or a change, then after a tenth of the time since
  // the last of these, at most 10 s; never more than a tenth of the time is spent in squeue; after
  // failures twice as late each time.
  SteadyTime NextPoll() const;

 private:
  // Answers in a row, as the rule above counts them.
  struct Missing {
    int answers = 0;
    SteadyTime since{};
  };
  struct Watched {
    std::map<JobIdentity, Missing> known;
    Missing name;
    bool doubtful = false;
    Missing settling;   // answers since the doubt
    SteadyTime from{};  // answers to questions asked before do not count
    std::optional<uint32_t> user;
    std::string last;  // what the last answer said, to notice a change
  };

  Poll Apply(const std::vector<Job>& jobs, SteadyTime asked) REQUIRES_LOCK(mutex_);
  Sighting See(const SandboxId& sandbox, Watched& watched, std::vector<Job> jobs, SteadyTime asked)
      REQUIRES_LOCK(mutex_);
  bool Miss(Missing& missing, SteadyTime asked) const;
  void HurryLocked(SteadyTime now) REQUIRES_LOCK(mutex_);
  Duration Pause(SteadyTime now) const REQUIRES_LOCK(mutex_);
  void Failed(SteadyTime now) REQUIRES_LOCK(mutex_);

  Commands& commands_;
  const Clock& clock_;
  const ObserverOptions options_;
  mutable Mutex mutex_;
  std::map<SandboxId, Watched> watched_ GUARDED_BY(mutex_);
  bool asking_ GUARDED_BY(mutex_) = false;
  // When an answer or a call last brought something new.
  SteadyTime changed_ GUARDED_BY(mutex_){};
  int failures_ GUARDED_BY(mutex_) = 0;
  SteadyTime next_ GUARDED_BY(mutex_){};
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_OBSERVER_H_
