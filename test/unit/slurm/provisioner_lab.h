// A provisioner on a cluster that does what a test says, with a clock that the test moves. Jobs
// "run" by what their script would leave in the pod's folder.
#ifndef INTERLINK_TEST_UNIT_SLURM_PROVISIONER_LAB_H_
#define INTERLINK_TEST_UNIT_SLURM_PROVISIONER_LAB_H_

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "runtime/v1/api.pb.h"
#include "slurm/provisioner.h"
#include "support/fake_commands.h"
#include "support/manual_clock.h"
#include "support/provisioner_site.h"
#include "support/temporary_folder.h"

namespace interlink::slurm {

using Fact = sdk::AllocationFact;

class ProvisionerLab {
 public:
  struct Job {
    uint64_t id = 0;
    std::string name;
    std::string state = "PENDING";
    std::string reason = "Resources";
    std::string exit = "0:0";
    int64_t submit = 100;
    int64_t end = 0;
    uint32_t user = 0;
  };

  ProvisionerLab();
  // Its steps use the cluster.
  ~ProvisionerLab() { provisioner.reset(); }

  // A start of the site: what was in memory is gone.
  void Start();
  Status TryStart();
  // Looks, and lets `pace` pass, until it holds.
  bool Until(const std::function<bool()>& holds, Duration pace = std::chrono::milliseconds(500));
  // Looks for so long; what is not there then will not come.
  void Pass(Duration time);

  // `user`: AllocationSpec::user.
  Status Submit(const SandboxId& id, const std::string& user = "");
  Fact Latest(const SandboxId& id);
  bool Ended(const SandboxId& id) { return Latest(id).state == Fact::State::kEnded; }
  // The end, which must come.
  Fact End(const SandboxId& id, Duration pace = std::chrono::milliseconds(500));

  std::string PodFolder(const SandboxId& id) const { return job_folder + "/pods/" + id.str(); }
  JobRecord Record(const SandboxId& id) const;
  Journal journal() const { return Journal(folder.File("site/jobs")); }

  // The cluster. A job's state, whatever it was.
  void SetJob(uint64_t id, const std::string& state, const std::string& exit = "0:0");
  // Unix seconds: when it ended, or while it runs its limit.
  void SetJobEnd(uint64_t id, int64_t end);
  void MakeHopeless(uint64_t id);
  uint64_t AddJob(const std::string& name, const std::string& state = "PENDING", uint32_t user = 0);
  void ForgetJobs();
  // The next sbatch makes a job and says so. Also while one runs.
  void HaveRoom();
  // What sbatch says from now on, and whether it makes the job all the same.
  void SetSbatch(Result<Answer> answer, bool makes_job);
  std::vector<Job> Jobs();
  // As the job's script: it has the claim now, or not.
  bool RunScript(const SandboxId& id, uint64_t job, const std::string& nonce = kNonce);
  void Say(const SandboxId& id, const std::string& file, const std::string& word,
           const std::string& nonce = kNonce);
  size_t Count(const std::string& command) const { return commands->Count(command); }

  static constexpr const char* kNonce = "0123456789abcdef0123456789abcdef";

  test::TemporaryFolder folder;
  const std::string job_folder = folder.File("shared");
  test::ManualClock clock;
  test::ProvisionerSite site{folder.File("site"), clock};
  SlurmOptions options;
  std::unique_ptr<SlurmProvisioner> provisioner;
  test::FakeCommands* commands = nullptr;  // of the provisioner

  // What the next sbatch does besides, and answers.
  std::atomic<bool> sbatch_hangs = false;  // it has not been answered yet
  bool sees_all = false;                   // of the next start: ProvisionerParts::sees_all
  std::atomic<bool> down = false;          // no controller
  std::atomic<bool> liar = false;          // squeue says nothing, with success
  std::string accounted;                   // what sacct prints

 private:
  Result<Answer> Answered(const test::FakeCommands::Ran& ran);
  Result<Answer> Sbatch(const test::FakeCommands::Ran& ran) REQUIRES_LOCK(mutex_);
  Result<Answer> OneJob(const std::string& id) REQUIRES_LOCK(mutex_);
  std::string Listing(const std::string& format) REQUIRES_LOCK(mutex_);

  Mutex mutex_;
  bool sbatch_makes_job_ GUARDED_BY(mutex_) = true;
  std::optional<Result<Answer>> sbatch_answer_ GUARDED_BY(mutex_);  // nothing: the job's id
  std::vector<Job> jobs_ GUARDED_BY(mutex_);
  uint64_t next_job_ GUARDED_BY(mutex_) = 7;
};

}  // namespace interlink::slurm

#endif  // INTERLINK_TEST_UNIT_SLURM_PROVISIONER_LAB_H_
