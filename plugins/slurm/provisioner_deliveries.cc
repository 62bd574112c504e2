// Which jobs have no agent yet, without a shared folder, and what a delivery finds there.
#include <algorithm>
#include <utility>

#include "slurm/provisioner.h"

namespace interlink::slurm {
namespace {

// Each is a run of some job of the pod. A cluster that does that is broken.
constexpr size_t kMostBrought = 100;

bool Runs(const Job& job) { return ViewOf(job, true).phase == Phase::kRunning; }

}  // namespace

void SlurmProvisioner::TendDeliveries() {
  if (deliveries_ == nullptr) return;
  std::map<SandboxId, std::vector<DeliveryTarget>> wanted;
  {
    const MutexLock lock(mutex_);
    for (const auto& [id, entry] : pods_) {
      const Pod& pod = entry.pod;
      const bool over = pod.ended || pod.released || pod.owner || !pod.record.doom.empty();
      if (!pod.record.folderless || over || pod.bound || !pod.seen) continue;
      for (const Job& job : pod.seen->jobs) {
        if (!Runs(job) || job.batch_host.empty()) continue;
        DeliveryTarget target{job.identity.id, job.start_time, job.batch_host};
        if (pod.record.user) target.user = pod.record.user->id;
        wanted[id].push_back(std::move(target));
      }
    }
  }
  std::map<SandboxId, std::string> troubles;
  for (const auto& [id, targets] : wanted) troubles[id] = "";
  deliveries_->Set(std::move(wanted), reached_);
  for (auto& [id, trouble] : troubles) trouble = deliveries_->View(id).trouble;
  const MutexLock lock(mutex_);
  for (auto& [id, entry] : pods_) {
    const auto found = troubles.find(id);
    const std::string trouble = found == troubles.end() ? "" : found->second;
    if (entry.pod.ended || entry.pod.delivery_trouble == trouble) continue;
    entry.pod.delivery_trouble = trouble;
    TellLocked(entry);
  }
}

// Whose agent it is must be known before it can speak.
Status SlurmProvisioner::TakeBrought(const SandboxId& id, const Claim& claim) {
  std::vector<Claim> claims;
  {
    const MutexLock lock(mutex_);
    const auto found = pods_.find(id);
    if (found == pods_.end() || found->second.pod.ended || found->second.pod.released) {
      return FailedPrecondition("the pod is not wanted any more");
    }
    claims = found->second.pod.brought;
  }
  const bool known = std::any_of(claims.begin(), claims.end(),
                                 [&claim](const Claim& one) { return one.nonce == claim.nonce; });
  if (known) return {};
  if (claims.size() >= kMostBrought) {
    return ResourceExhausted("this pod has had " + std::to_string(claims.size()) + " runs already");
  }
  claims.push_back(claim);
  RETURN_IF_ERROR(journal_.WriteBrought(id, claims));
  const MutexLock lock(mutex_);
  const auto found = pods_.find(id);
  if (found == pods_.end()) return FailedPrecondition("the pod was removed");
  found->second.pod.brought = std::move(claims);
  WakeLocked();
  return {};
}

std::vector<Claim> SlurmProvisioner::BroughtTo(const SandboxId& id) {
  const MutexLock lock(mutex_);
  const auto found = pods_.find(id);
  return found == pods_.end() ? std::vector<Claim>() : found->second.pod.brought;
}

Parcel SlurmProvisioner::ParcelOf(const SandboxId& id) {
  sdk::AgentTicket ticket = parts_.desk.TicketFor(id);
  return {agent_, std::move(ticket.ca_pem), ticket.token + "\n"};
}

}  // namespace interlink::slurm
