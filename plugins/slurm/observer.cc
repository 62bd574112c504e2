#include "slurm/observer.h"

#include <algorithm>
#include <utility>

#include "slurm/job_list.h"
#include "slurm/job_name.h"

namespace interlink::slurm {
namespace {

constexpr int kShareOfTime = 10;  // one part in ten
constexpr int kDoublings = 6;

bool IsThatJob(const JobIdentity& known, const JobIdentity& seen) {
  return known.id == seen.id && known.name == seen.name &&
         (known.submit_time == 0 || known.submit_time == seen.submit_time);
}

}  // namespace

Observer::Observer(Commands& commands, const Clock& clock, ObserverOptions options)
    : commands_(commands), clock_(clock), options_(std::move(options)), next_(clock.Steady()) {}

void Observer::Watch(const SandboxId& sandbox, std::optional<uint32_t> user) {
  const SteadyTime now = clock_.Steady();
  const MutexLock lock(mutex_);
  Watched& watched = watched_[sandbox];
  watched.name = {};
  watched.from = now;
  watched.user = user;
  HurryLocked(now);
}

void Observer::Hurry() {
  const SteadyTime now = clock_.Steady();
  const MutexLock lock(mutex_);
  HurryLocked(now);
}

void Observer::HurryLocked(SteadyTime now) {
  changed_ = now;
  if (failures_ == 0) next_ = std::min(next_, now + options_.fastest);
}

void Observer::Know(const SandboxId& sandbox, const JobIdentity& job) {
  const MutexLock lock(mutex_);
  watched_[sandbox].known.try_emplace(job);
}

void Observer::Doubt(const SandboxId& sandbox) {
  const SteadyTime now = clock_.Steady();
  const MutexLock lock(mutex_);
  Watched& watched = watched_[sandbox];
  watched.doubtful = true;
  watched.settling = {};
  watched.from = now;
}

void Observer::Forget(const SandboxId& sandbox) {
  const MutexLock lock(mutex_);
  watched_.erase(sandbox);
}

SteadyTime Observer::NextPoll() const {
  const MutexLock lock(mutex_);
  return next_;
}

Result<Poll> Observer::Ask(const Call& call) {
  const SteadyTime asked = clock_.Steady();
  {
    const MutexLock lock(mutex_);
    if (asking_) return FailedPrecondition("squeue is running already");
    asking_ = true;
  }
  const auto jobs = ListJobs(call, commands_, options_.user);
  const SteadyTime answered = clock_.Steady();
  const MutexLock lock(mutex_);
  asking_ = false;
  if (!jobs.ok()) {
    Failed(answered);
    return jobs.status();
  }
  failures_ = 0;
  Poll poll = Apply(*jobs, asked);
  next_ = answered + std::max(Pause(answered), (answered - asked) * (kShareOfTime - 1));
  return poll;
}

void Observer::Failed(SteadyTime now) {
  for (auto& [sandbox, watched] : watched_) {
    watched.name = {};
    watched.settling = {};
    for (auto& [identity, missing] : watched.known) missing = {};
  }
  next_ = now + std::min(options_.longest_retry,
                         options_.fastest * (1 << std::min(failures_, kDoublings)));
  ++failures_;
}

Duration Observer::Pause(SteadyTime now) const {
  return std::clamp((now - changed_) / kShareOfTime, options_.fastest, options_.slowest);
}

bool Observer::Miss(Missing& missing, SteadyTime asked) const {
  if (missing.answers++ == 0) missing.since = asked;
  return missing.answers >= 2 && asked - missing.since > options_.message_timeout;
}

Sighting Observer::See(const SandboxId& sandbox, Watched& watched, std::vector<Job> jobs,
                       SteadyTime asked) {
  Sighting sighting;
  sighting.sandbox = sandbox;
  const bool counts = asked >= watched.from;
  if (watched.doubtful && counts && Miss(watched.settling, asked)) watched.doubtful = false;
  sighting.in_doubt = watched.doubtful;
  if (!jobs.empty()) {
    watched.name = {};
  } else if (counts) {
    sighting.nothing_there = Miss(watched.name, asked);
  }
  for (auto known = watched.known.begin(); known != watched.known.end();) {
    const bool listed = std::any_of(jobs.begin(), jobs.end(), [&](const Job& job) {
      return IsThatJob(known->first, job.identity);
    });
    if (listed) {
      known->second = {};
    } else if (counts && Miss(known->second, asked)) {
      sighting.gone.push_back(known->first);
      known = watched.known.erase(known);
      continue;
    }
    ++known;
  }
  for (const Job& job : jobs) {
    // What was known by its id alone is known whole now.
    watched.known.erase({job.identity.id, job.identity.name, 0});
    watched.known.try_emplace(job.identity);
  }
  std::sort(jobs.begin(), jobs.end(), [](const Job& a, const Job& b) {
    return std::pair(a.identity.submit_time, a.identity.id) <
           std::pair(b.identity.submit_time, b.identity.id);
  });
  std::string said;
  for (const Job& job : jobs) {
    said += std::to_string(job.identity.id) + job.state + job.reason +
            std::to_string(job.restarts) + ";";
  }
  if (said != watched.last) changed_ = asked;
  watched.last = std::move(said);
  sighting.jobs = std::move(jobs);
  return sighting;
}

Poll Observer::Apply(const std::vector<Job>& jobs, SteadyTime asked) {
  Poll poll;
  std::map<SandboxId, std::vector<Job>> listed;
  for (const Job& job : jobs) {
    const auto sandbox = SandboxOfJob(options_.lineage, job.identity.name);
    if (!sandbox) continue;
    const auto watched = watched_.find(*sandbox);
    if (watched != watched_.end()) {
      // Everybody sees names of jobs, and may use them.
      if (watched->second.user.value_or(job.user) == job.user) listed[*sandbox].push_back(job);
    } else {
      poll.strangers.push_back(job);
    }
  }
  for (auto& [sandbox, watched] : watched_) {
    poll.sightings.push_back(See(sandbox, watched, std::move(listed[sandbox]), asked));
  }
  return poll;
}

}  // namespace interlink::slurm
