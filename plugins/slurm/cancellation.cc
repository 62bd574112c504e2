#include "slurm/cancellation.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "slurm/job_name.h"
#include "slurm/job_state.h"

namespace interlink::slurm {
namespace {

constexpr int kCancelsInStep = 32;
constexpr int kAttemptDoublings = 5;
constexpr Duration kFirstPause = std::chrono::seconds(1);
constexpr Duration kLongestPause = std::chrono::seconds(30);

// One that is ending needs no other word: the controller repeats it to a dead slurmd by itself.
std::set<uint32_t> UsersToCancel(const std::vector<Job>& jobs) {
  std::set<uint32_t> users;
  for (const Job& job : jobs) {
    const Phase phase = ViewOf(job, true).phase;
    if (!IsFinal(phase) && phase != Phase::kEnding) users.insert(job.user);
  }
  return users;
}

bool AllFinal(const std::vector<Job>& jobs, bool& lost) {
  for (const Job& job : jobs) {
    const Phase phase = ViewOf(job, true).phase;
    if (!IsFinal(phase)) return false;
    lost = lost || phase == Phase::kLost;
  }
  return true;
}

}  // namespace

Status CancelJobs(const Call& call, Commands& commands, const std::string& job_name,
                  const std::string& user) {
  // Never by id alone: ids are handed out again.
  const auto answer = commands.Run(call, {"scancel", "--name=" + job_name, "--user=" + user}, "");
  if (!answer.ok()) return answer.status();
  return answer->code == 0 ? Status() : ReadFailure("scancel", *answer);
}

Cancellations::Cancellations(Commands& commands, const Clock& clock, Lineage lineage,
                             std::string user)
    : commands_(commands), clock_(clock), lineage_(std::move(lineage)), user_(std::move(user)) {}

void Cancellations::Want(const SandboxId& sandbox) { wanted_.try_emplace(sandbox); }

Result<std::vector<Cancelled>> Cancellations::Step(const Call& call, const Poll& poll) {
  std::vector<Cancelled> proven;
  std::vector<SandboxId> due;
  std::map<SandboxId, std::set<uint32_t>> users;
  const SteadyTime now = clock_.Steady();
  for (const Sighting& sighting : poll.sightings) {
    const auto wanted = wanted_.find(sighting.sandbox);
    if (wanted == wanted_.end()) continue;
    bool lost = false;
    const bool over =
        sighting.jobs.empty() ? sighting.nothing_there : AllFinal(sighting.jobs, lost);
    if (over && !sighting.in_doubt) {
      proven.push_back({sighting.sandbox, lost});
    } else if (now >= wanted->second.due) {
      auto theirs = UsersToCancel(sighting.jobs);
      if (theirs.empty()) continue;
      due.push_back(sighting.sandbox);
      users[sighting.sandbox] = std::move(theirs);
    }
  }
  // Those that waited longest first: a full step must not starve anybody.
  std::sort(due.begin(), due.end(), [&](const SandboxId& a, const SandboxId& b) {
    return wanted_[a].due < wanted_[b].due;
  });
  if (due.size() > kCancelsInStep) due.resize(kCancelsInStep);
  for (const SandboxId& sandbox : due) {
    Wanted& wanted = wanted_[sandbox];
    wanted.due = now + std::min(kLongestPause,
                                kFirstPause * (1 << std::min(wanted.attempts, kAttemptDoublings)));
    ++wanted.attempts;
    const std::string name = JobName(lineage_, sandbox);
    if (!user_.empty()) {
      RETURN_IF_ERROR(CancelJobs(call, commands_, name, user_));
      continue;
    }
    for (const uint32_t user : users[sandbox])
      RETURN_IF_ERROR(CancelJobs(call, commands_, name, std::to_string(user)));
  }
  for (const Cancelled& cancelled : proven) wanted_.erase(cancelled.sandbox);
  return proven;
}

}  // namespace interlink::slurm
