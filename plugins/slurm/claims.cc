#include "slurm/claims.h"

#include <algorithm>
#include <utility>

namespace interlink::slurm {
namespace {

constexpr int64_t kNanosPerSecondOfLimit = 1'000'000'000;
// An agent that was heard of within it is there: more than it needs to come back after a start of
// the site.
constexpr Duration kHeardWithin = std::chrono::minutes(5);

// The folder is the job's user's, who can put into it what he likes.
std::optional<OwnersRights> RightsIn(const Pod& pod) {
  if (!pod.record.user) return std::nullopt;
  return std::optional<OwnersRights>(std::in_place, pod.record.user->id);
}

}  // namespace

// --- a shared folder

Result<std::optional<Claim>> FolderClaims::Read(const Pod& pod) {
  const auto rights = RightsIn(pod);
  return ReadClaim(FolderOf(pod));
}

Result<Claim> FolderClaims::Take(const Pod& pod) {
  const auto rights = RightsIn(pod);
  return TakeClaim(FolderOf(pod));
}

Result<AgentWord> FolderClaims::Word(const Pod& pod) {
  const auto rights = RightsIn(pod);
  return ReadAgentWord(FolderOf(pod), pod.owner->nonce);
}

Result<std::string> FolderClaims::Refusal(const Pod& pod) {
  const auto rights = RightsIn(pod);
  return ReadRefusal(FolderOf(pod), pod.owner->nonce);
}

Status FolderClaims::GiveUp(const Pod& pod) {
  const auto rights = RightsIn(pod);
  return RaiseFence(FolderOf(pod));
}

bool FolderClaims::TimeIsOver(const Pod& pod) {
  const auto leave_within = pod.record.leave_within.value_or(leave_within_);
  return LeaseIsOver(clock_.Steady(), *pod.raised, desk_.Silence(pod.record.sandbox), desk_.Lease(),
                     AfterLease(leave_within));
}

std::string FolderClaims::FolderOf(const Pod& pod) { return folder_.PodFolder(pod.record.sandbox); }

// --- the hub's binding

Claim BindingClaims::ClaimOf(const Pod& pod, const sdk::AgentBinding& binding) const {
  Claim claim;
  claim.nonce = binding.nonce;
  if (binding.closed) {
    claim.nonce = "site-";
    return claim;
  }
  // After the binding: its claim was written down before its agent could dial.
  for (const Claim& one : brought_(pod.record.sandbox)) {
    if (one.nonce == binding.nonce) return one;
  }
  return claim;
}

Result<std::optional<Claim>> BindingClaims::Read(const Pod& pod) {
  ASSIGN_OR_RETURN(const sdk::AgentBinding binding, desk_.BoundTo(pod.record.sandbox));
  if (!binding.closed && binding.nonce.empty()) return std::optional<Claim>();
  return std::optional<Claim>(ClaimOf(pod, binding));
}

Result<Claim> BindingClaims::Take(const Pod& pod) {
  ASSIGN_OR_RETURN(const sdk::AgentBinding binding, desk_.CloseTo(pod.record.sandbox));
  return ClaimOf(pod, binding);
}

Result<AgentWord> BindingClaims::Word(const Pod& pod) {
  ASSIGN_OR_RETURN(const bool left, desk_.HasLeft(pod.record.sandbox));
  if (left) return AgentWord::kEnded;
  // 0 is the script's, and only after an agent that the hub had welcomed has ended everything
  // (lone_script.h); no other run of that job can have it. Of other ends SLURM tells a code that
  // need not be the script's.
  const auto job = OwnerJob(pod);
  const bool said = job && job->state == "COMPLETED" && job->exit == JobExit{};
  return said ? AgentWord::kEnded : AgentWord::kNone;
}

Result<std::string> BindingClaims::Refusal(const Pod&) { return std::string(); }

Status BindingClaims::GiveUp(const Pod&) { return {}; }

bool BindingClaims::TimeIsOver(const Pod& pod) {
  const int64_t by = EndsBy(pod);
  if (by == 0) return false;
  const Duration waited = clock_.Steady() - *pod.raised;
  const Duration quiet = std::min(desk_.Silence(pod.record.sandbox).value_or(waited), waited);
  return quiet > kHeardWithin && clock_.WallNanos() / kNanosPerSecondOfLimit > by;
}

std::string BindingClaims::FolderOf(const Pod&) { return ""; }

}  // namespace interlink::slurm
