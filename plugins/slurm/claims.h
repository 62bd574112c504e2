// Claims: who has a pod, and what proves that it has let go of it. Two kinds: files of a folder
// that the site shares with the compute nodes, and, without one, the hub's binding. Thread-safe;
// calls for one sandbox are the caller's to serialise.
#ifndef INTERLINK_PLUGINS_SLURM_CLAIMS_H_
#define INTERLINK_PLUGINS_SLURM_CLAIMS_H_

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "sdk/provisioner.h"
#include "slurm/claim.h"
#include "slurm/fence.h"
#include "slurm/job_folder.h"
#include "slurm/pod_life.h"

namespace interlink::slurm {

class Claims {
 public:
  virtual ~Claims() = default;

  // Who has the pod; nothing: nobody yet, which may change at any moment. `job` 0 without
  // IsSite(): a job, and nobody knows which. kNotFound: the pod's folder is not there.
  virtual Result<std::optional<Claim>> Read(const Pod& pod) = 0;
  // Takes it for the site, so that nothing of the pod can start any more, or tells who was first.
  // Idempotent, durable. kNotFound: as above. Another error: unknown; repeat.
  virtual Result<Claim> Take(const Pod& pod) = 0;

  // REQUIRES: `owner` and `seen`, and that the owner's job is over.
  // What the owner's agent has said of the end; kEnded: everything of it has ended, for certain.
  virtual Result<AgentWord> Word(const Pod& pod) = 0;
  // Why it never began; empty: it has not said so.
  virtual Result<std::string> Refusal(const Pod& pod) = 0;
  // The pod is given up: from now on its time counts. kNotFound: as above.
  virtual Status GiveUp(const Pod& pod) = 0;
  // Whatever runs of it has ended although its agent has not said so. REQUIRES: `raised`, after
  // GiveUp.
  virtual bool TimeIsOver(const Pod& pod) = 0;
  // For AllocationFact::pod_folder.
  virtual std::string FolderOf(const Pod& pod) = 0;
};

// claim.h and fence.h. A lease ends what is silent.
class FolderClaims final : public Claims {
 public:
  // All outlive it. `leave_within`: of agents whose record does not say it.
  FolderClaims(const JobFolder& folder, sdk::AgentDesk& desk, const Clock& clock,
               std::chrono::seconds leave_within)
      : folder_(folder), desk_(desk), clock_(clock), leave_within_(leave_within) {}
  Result<std::optional<Claim>> Read(const Pod& pod) override;
  Result<Claim> Take(const Pod& pod) override;
  Result<AgentWord> Word(const Pod& pod) override;
  Result<std::string> Refusal(const Pod& pod) override;
  Status GiveUp(const Pod& pod) override;
  bool TimeIsOver(const Pod& pod) override;
  std::string FolderOf(const Pod& pod) override;

 private:
  const JobFolder& folder_;
  sdk::AgentDesk& desk_;
  const Clock& clock_;
  const std::chrono::seconds leave_within_;
};

// The hub lets one nonce in for ever, or none. What it is to its job the site has written down
// before that job got its agent. There is no lease: an agent that is silent may run on, until the
// time limit.
class BindingClaims final : public Claims {
 public:
  // `desk` and `clock` outlive it. `brought`: the claims of the jobs to which an agent was brought,
  // as they are now.
  BindingClaims(sdk::AgentDesk& desk, const Clock& clock,
                std::function<std::vector<Claim>(const SandboxId&)> brought)
      : desk_(desk), clock_(clock), brought_(std::move(brought)) {}
  Result<std::optional<Claim>> Read(const Pod& pod) override;
  Result<Claim> Take(const Pod& pod) override;
  Result<AgentWord> Word(const Pod& pod) override;
  Result<std::string> Refusal(const Pod& pod) override;
  Status GiveUp(const Pod& pod) override;
  bool TimeIsOver(const Pod& pod) override;
  std::string FolderOf(const Pod& pod) override;

 private:
  Claim ClaimOf(const Pod& pod, const sdk::AgentBinding& binding) const;

  sdk::AgentDesk& desk_;
  const Clock& clock_;
  const std::function<std::vector<Claim>(const SandboxId&)> brought_;
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_CLAIMS_H_
