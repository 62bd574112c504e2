// A real private SLURM (test/lab --plugin slurm --only-cluster) for all cases of this binary: its
// first batch job waits 3 s, the others do not. Cases that break a daemon mend it.
#ifndef INTERLINK_TEST_INTEGRATION_SLURM_CLUSTER_H_
#define INTERLINK_TEST_INTEGRATION_SLURM_CLUSTER_H_

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "slurm/cancellation.h"
#include "slurm/claim.h"
#include "slurm/commands.h"
#include "slurm/job_name.h"
#include "slurm/job_state.h"
#include "slurm/observer.h"
#include "slurm/submission.h"

namespace interlink::slurm {

using Kind = SubmitOutcome::Kind;

inline constexpr auto kMessageTimeout = std::chrono::seconds(3);  // of the cluster's slurm.conf

inline Call Soon() { return Call::WithTimeout(std::chrono::seconds(60)); }

class Cluster {
 public:
  // The one of most cases; started by the first call.
  static Cluster& Get();
  // `options`: more of test/lab up.
  explicit Cluster(const std::vector<std::string>& options);
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  ~Cluster();

  // test/lab VERB DIR [ARGUMENT]; it must succeed.
  void Lab(const std::string& verb, const std::string& argument = "");
  // A signal for slurmctld.
  void SignalController(int signal);
  // A command of SLURM that must succeed: its output.
  std::string Run(const std::vector<std::string>& argv, const std::string& input = "");

  const std::string& folder() const { return folder_; }
  CommandOptions options() const { return {"", folder_ + "/slurm/etc/slurm.conf"}; }
  const std::string& user() const { return user_; }
  // The name of one of its machines: 1 to 3.
  std::string machine(int number);

 private:
  std::string folder_;
  std::string user_;
};

// One case's own lineage, observer and pods.
class Bench {
 public:
  explicit Bench(Cluster& cluster = Cluster::Get());

  struct Pod {
    SandboxId sandbox;
    Submission submission;  // a folder of its own, and sh -c `command` as what runs
    const std::string& folder() const { return submission.script.pod_folder; }
  };
  Pod MakePod(const std::string& command);
  // Watches it too, and Doubt()s what is kUnknown.
  SubmitOutcome Send(const Pod& pod);

  // Asks as often as the observer wants until `done` says so of the pod's sighting; fails after
  // `limit`.
  Sighting Await(const Pod& pod, const std::function<bool(const Sighting&)>& done,
                 std::chrono::seconds limit = std::chrono::seconds(60));
  // Until each job of the pod is in that phase; the newest.
  Job AwaitPhase(const Pod& pod, Phase phase,
                 std::chrono::seconds limit = std::chrono::seconds(60));
  // Cancels all jobs of the pod and waits for the proof.
  Cancelled CancelAndProve(const Pod& pod);

  Cluster& cluster;
  SystemClock clock;
  SystemCommands commands;
  Lineage lineage;
  Observer observer;
  Cancellations cancellations;
};

// The lines of a file; none when it is not there.
std::vector<std::string> LinesOf(const std::string& path);

}  // namespace interlink::slurm

#endif  // INTERLINK_TEST_INTEGRATION_SLURM_CLUSTER_H_
