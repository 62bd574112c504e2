// SlurmProvisioner: one SLURM job per pod, with an agent in it (sdk/provisioner.h is its contract).
//
//   Submit   -> journal -> [submits_] pod folder, sbatch -> journal      provisioner_submit.cc
//   watcher  -> squeue -> facts, scancel, what is due -> lanes           provisioner_watch.cc
//   [lane]   -> claim, fence -> journal -> kEnded                        provisioner_end.cc
//   watcher  -> which agents are reached through srun -> Relays          provisioner_relays.cc
//   watcher  -> which jobs have no agent yet -> Deliveries               provisioner_deliveries.cc
//
// Threads: a sandbox has one step at a time, its lane (Entry::busy), which touches the shared
// folder and runs sbatch. An sbatch may last while SLURM has no room, so these run in threads of
// their own (base/step_pool.h): no other step waits for one. One thread owns squeue and scancel;
// callers write the journal only. mutex_ guards the table for moments; nobody does I/O under it.
// The journal's `job` and `ended` are the lane's to write, `release` a caller's, `brought` a
// delivery's.
#ifndef INTERLINK_PLUGINS_SLURM_PROVISIONER_H_
#define INTERLINK_PLUGINS_SLURM_PROVISIONER_H_

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/step_pool.h"
#include "engine/options.h"
#include "sdk/provisioner.h"
#include "slurm/agent_command.h"
#include "slurm/cancellation.h"
#include "slurm/claims.h"
#include "slurm/commands.h"
#include "slurm/deliveries.h"
#include "slurm/fence.h"
#include "slurm/job_folder.h"
#include "slurm/journal.h"
#include "slurm/observer.h"
#include "slurm/options.h"
#include "slurm/pod_life.h"
#include "slurm/queue_room.h"
#include "slurm/relays.h"
#include "slurm/submission.h"
#include "slurm/user_layers.h"

namespace interlink::slurm {

struct ProvisionerParts {
  sdk::Host& host;       // outlives the provisioner
  sdk::AgentDesk& desk;  // too
  std::unique_ptr<Commands> commands;
  std::string user;           // this process's own
  bool sees_all = false;      // this process is root: squeue tells it of every user's jobs
  bool runtime_none = false;  // Submission::runtime_none
  bool own_thread = true;     // false: the caller looks (Look), as tests do
};

class SlurmProvisioner final : public sdk::Provisioner {
 public:
  // kInvalidArgument, kNotFound: there is no agent to start.
  static Result<std::unique_ptr<SlurmProvisioner>> Create(ProvisionerParts parts,
                                                          SlurmOptions options);
  ~SlurmProvisioner() override;

  const sdk::Description& Describe() const override { return description_; }
  // SLURM itself is not needed: what the journal and the shared folder have is all there is.
  Result<std::vector<sdk::AllocationFact>> Recover(const Call& call) override;
  Status Check(const sdk::AllocationSpec& spec) override;
  Status Submit(const Call& call, const sdk::AllocationSpec& spec) override;
  Status Release(const Call& call, const SandboxId& id) override;
  Status Remove(const Call& call, const SandboxId& id) override;
  bool SharesLayers() const override { return options_.shared_folder; }
  Status PrepareImage(const Call& call, const std::string& user,
                      const sdk::UnpackedImage& image) override;
  Result<sdk::UnpackedImage> HoldImage(const std::string& user, const ContainerId& holder,
                                       const sdk::UnpackedImage& image) override;
  void ReleaseImages(const ContainerId& holder) override;
  Result<std::string> Inspect(const Call& call, const SandboxId& id) override;

  // What the watcher's thread does again and again, once. Not thread-safe. REQUIRES: recovered; no
  // thread of its own.
  void Look();

 private:
  struct Entry {
    Pod pod;
    bool busy = false;  // a step of it is posted or runs
    std::optional<sdk::AllocationFact> told;
  };
  SlurmProvisioner(ProvisionerParts parts, SlurmOptions options);

  Result<std::optional<JobUser>> UserFor(const std::string& name) const;
  std::string UserWord(const Pod& pod) const;
  void WatchSandbox(const JobRecord& record);
  Result<JobOptions> OptionsOf(const sdk::AllocationSpec& spec) const;
  Result<std::vector<JournalEntry>> FindAll();
  Status AdoptOrphans(std::vector<JournalEntry>& entries);
  Status CheckRecovered();
  void WatchJobs(const JobRecord& record);
  void TellLocked(Entry& entry) REQUIRES_LOCK(mutex_);
  void WakeLocked() REQUIRES_LOCK(mutex_);

  // provisioner_watch.cc
  void Watch(const std::stop_token& stop);
  void AskCluster();
  void TakePoll(const Poll& poll, SteadyTime asked);
  void TakeStrangers(const std::vector<Job>& jobs);
  void CancelUnwanted(const Call& call, const Poll& poll);
  void PostDue();
  // provisioner_relays.cc
  void TendRelays();
  RelayTarget RelayOf(const Pod& pod) const REQUIRES_LOCK(mutex_);
  bool WantsRelay(const SandboxId& id, const std::optional<SteadyTime>& running);
  Status FindRunner(Pod& pod);
  Status FindBound(Pod& pod);
  // provisioner_deliveries.cc
  void TendDeliveries();
  Status TakeBrought(const SandboxId& id, const Claim& claim);
  std::vector<Claim> BroughtTo(const SandboxId& id);
  Parcel ParcelOf(const SandboxId& id);
  void PostNext(const SandboxId& id);
  bool MaySubmitLocked(Entry& entry) REQUIRES_LOCK(mutex_);
  SteadyTime NextLook();

  // Steps: each runs in the lane of its sandbox, on a copy of what is known. An error is tried
  // again, later each time.
  void RunStep(const SandboxId& id, NextStep step);
  Status StepOf(Pod& pod, NextStep step);
  void KeepPod(const SandboxId& id, const Pod& pod);
  // provisioner_submit.cc
  Status SubmitOnce(Pod& pod);
  Status NoteJob(Pod& pod);
  Submission SubmissionOf(const Pod& pod, const sdk::AgentTicket& ticket) const;
  Status TakeOutcome(Pod& pod, const SubmitOutcome& outcome);
  void NoteRoom(const SandboxId& id, const SubmitOutcome& outcome);
  // provisioner_end.cc
  Status TakeBack(Pod& pod);
  Status Doom(Pod& pod);
  Status Expect(Pod& pod);
  Status Settle(Pod& pod);
  Status SettleUnclaimed(Pod& pod);
  Status SettleForgotten(Pod& pod);
  Status SettleFolderGone(Pod& pod);
  Status SettleOwned(Pod& pod);
  Status EndUnstarted(Pod& pod, const std::string& reason, const std::string& message);
  Status EndByView(Pod& pod);
  Status CheckDenied(const Pod& pod, uint64_t job);
  bool AgentIsHeard(const Pod& pod);
  bool TimeIsOver(Pod& pod);
  Claims& ClaimsOf(const Pod& pod);
  Status NoteLimit(Pod& pod);
  std::optional<Job> LastOfOwner(const Pod& pod);
  void CancelNow(const Pod& pod);
  Status End(Pod& pod, sdk::AllocationFact fact);
  std::optional<Job> AccountedJob(const Pod& pod);

  const ProvisionerParts parts_;
  const SlurmOptions options_;
  const Clock& clock_;
  const SteadyTime began_;
  engine::EngineOptions engine_;  // an agent's
  sdk::Description description_;
  JobFolder folder_;
  Journal journal_;
  Observer observer_;
  // Recover makes both.
  std::string agent_;  // as compute nodes see it
  std::unique_ptr<UserLayers> layers_;
  std::unique_ptr<Relays> relays_;  // null: agents reach the hub by themselves
  // Of pods with a shared folder, and without.
  FolderClaims folder_claims_;
  BindingClaims binding_claims_;

  // The watcher's own.
  Cancellations cancellations_;
  // The last squeue was answered. Until then no lane waits for SLURM: others have work without it.
  std::atomic<bool> reached_ = true;

  Mutex mutex_;
  CondVar wake_;
  bool hurry_ GUARDED_BY(mutex_) = false;
  std::string silence_ GUARDED_BY(mutex_);  // why the last squeue had no answer
  QueueRoom room_ GUARDED_BY(mutex_);
  bool recovered_ GUARDED_BY(mutex_) = false;
  std::map<SandboxId, Entry> pods_ GUARDED_BY(mutex_);
  std::set<SandboxId> chased_ GUARDED_BY(mutex_);  // of nobody: their jobs are cancelled

  // Null: all pods share the folder, but for some that an earlier start has submitted: those whose
  // agent has not come by then get none.
  std::unique_ptr<Deliveries> deliveries_;
  StepPool steps_;
  StepPool submits_;  // kSubmit
  std::jthread watcher_;
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_PROVISIONER_H_
