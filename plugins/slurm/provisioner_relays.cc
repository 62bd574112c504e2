// Which agents are reached through srun, and by which job. The watcher's, but for FindRunner.
#include <algorithm>
#include <utility>

#include "slurm/provisioner.h"

namespace interlink::slurm {
namespace {

// An agent that the hub has not heard of for so long does not reach it: this, or two heartbeats.
constexpr Duration kSilent = std::chrono::seconds(20);
constexpr int kSilentBeats = 2;
// From its job's start; it needs a second, and its first try may take ten.
constexpr Duration kFirstWord = std::chrono::seconds(15);
constexpr Duration kClaimSoon = std::chrono::milliseconds(200);
constexpr Duration kBindingSoon = std::chrono::milliseconds(500);

}  // namespace

void SlurmProvisioner::TendRelays() {
  if (relays_ == nullptr) return;
  struct Candidate {
    SandboxId id;
    std::optional<SteadyTime> running;
    std::optional<RelayTarget> target;
    bool wants = false;
    RelayView view;
  };
  std::vector<Candidate> candidates;
  {
    const MutexLock lock(mutex_);
    for (const auto& [id, entry] : pods_) {
      const Pod& pod = entry.pod;
      if (pod.ended || !pod.seen || (!pod.running && !pod.runner)) continue;
      Candidate candidate{id, pod.running, {}, false, {}};
      if (pod.runner && RunnerHolds(pod)) {
        candidate.target = RelayOf(pod);
      }
      candidates.push_back(std::move(candidate));
    }
  }
  std::map<SandboxId, RelayTarget> wanted;
  for (Candidate& one : candidates) {
    one.view = relays_->View(one.id);
    one.wants = one.view.carrying || WantsRelay(one.id, one.running);
    if (one.wants && one.target) wanted[one.id] = *one.target;
  }
  relays_->Set(std::move(wanted), reached_);
  const MutexLock lock(mutex_);
  for (const Candidate& one : candidates) {
    const auto found = pods_.find(one.id);
    if (found == pods_.end() || found->second.pod.ended) continue;
    Pod& pod = found->second.pod;
    pod.relayed = one.wants;
    if (pod.relay_trouble == one.view.trouble) continue;
    pod.relay_trouble = one.view.trouble;
    TellLocked(found->second);
  }
}

RelayTarget SlurmProvisioner::RelayOf(const Pod& pod) const {
  RelayTarget target;
  target.job = pod.runner->job;
  target.host = pod.runner->host;
  target.nonce = pod.runner->nonce;
  target.agent = agent_;
  if (pod.record.user) target.user = pod.record.user->id;
  const Job* runs = RunningJob(pod);
  target.runs = runs != nullptr && runs->identity.id == target.job;
  target.claim_folder = folder_.PodFolder(pod.record.sandbox);
  if (pod.record.folderless) {
    target.claim_folder = options_.state_folder + "/interlink-" + target.nonce;
    target.agent = target.claim_folder + "/interlink-agent";
  }
  return target;
}

bool SlurmProvisioner::WantsRelay(const SandboxId& id, const std::optional<SteadyTime>& running) {
  if (options_.transport == Transport::kSrun) return true;
  if (!running || clock_.Steady() - *running < kFirstWord) return false;
  const auto silence = parts_.desk.Silence(id);
  return !silence || *silence >= std::max(kSilent, kSilentBeats * parts_.desk.Heartbeat());
}

Status SlurmProvisioner::FindRunner(Pod& pod) {
  if (pod.record.folderless) return FindBound(pod);
  ASSIGN_OR_RETURN(const auto claim, folder_claims_.Read(pod));
  // Its script has just begun, or the site has taken it.
  if (!claim || claim->IsSite()) {
    pod.due = clock_.Steady() + kClaimSoon;
    return {};
  }
  pod.runner = *claim;
  return {};
}

// Its agent may need a relay before the hub can let it in: until then any job that has one will do.
Status SlurmProvisioner::FindBound(Pod& pod) {
  ASSIGN_OR_RETURN(const auto claim, binding_claims_.Read(pod));
  if (claim && !claim->IsSite() && claim->job != 0) {
    pod.runner = *claim;
    pod.bound = true;
    return {};
  }
  pod.due = clock_.Steady() + kBindingSoon;
  if (claim) return {};
  for (const Claim& one : BroughtTo(pod.record.sandbox)) {
    pod.runner = one;
    if (!RunnerHolds(pod)) pod.runner.reset();
  }
  return {};
}

}  // namespace interlink::slurm
