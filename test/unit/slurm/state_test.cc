// The state table: a case for each row, with each reason of waiting.
#include <catch2/catch.hpp>

#include "slurm/job_state.h"

namespace interlink::slurm {
namespace {

Job JobIn(const std::string& state, const std::string& reason = "None", JobExit exit = {}) {
  Job job;
  job.identity = {4711, "name", 5};
  job.state = state;
  job.reason = reason;
  job.exit = exit;
  job.batch_host = "n1";
  return job;
}

}  // namespace

TEST_CASE(
    "A state without an end says whether the pod waits, runs, is ending or must be cancelled") {
  const auto [state, phase] = GENERATE(table<std::string, Phase>({
      {"PENDING", Phase::kQueued},
      {"CONFIGURING", Phase::kQueued},
      {"POWER_UP_NODE", Phase::kQueued},
      {"RUNNING", Phase::kRunning},
      {"SUSPENDED", Phase::kSuspended},
      {"STOPPED", Phase::kSuspended},
      {"SIGNALING", Phase::kSuspended},
      {"RESIZING", Phase::kSuspended},
      {"COMPLETING", Phase::kEnding},
      {"STAGE_OUT", Phase::kEnding},
      {"REQUEUED", Phase::kRepeated},
      {"REQUEUE_FED", Phase::kRepeated},
      {"REQUEUE_HOLD", Phase::kRepeated},
      {"SPECIAL_EXIT", Phase::kRepeated},
      {"RESV_DEL_HOLD", Phase::kRepeated},
      {"A_STATE_OF_NEXT_YEAR", Phase::kUnknown},
      {"", Phase::kUnknown},
  }));
  const JobView view = ViewOf(JobIn(state), false);
  CHECK(view.phase == phase);
  CHECK_FALSE(IsFinal(view.phase));
  CHECK(view.reason.empty());
  CHECK(view.message.find("job 4711 ") == 0);
}

TEST_CASE("A job that waits for what will come is queued") {
  const std::string reason =
      GENERATE("None", "Priority", "Resources", "Dependency", "BeginTime", "JobHeldUser",
               "JobHeldAdmin", "ReqNodeNotAvail", "Licenses", "Reservation", "AssocGrpCpuLimit",
               "QOSMaxJobsPerUserLimit", "PartitionDown", "a reason of next year");
  CHECK(ViewOf(JobIn("PENDING", reason), false).phase == Phase::kQueued);
}

TEST_CASE("A job that waits for what cannot come never starts") {
  const std::string reason =
      GENERATE("DependencyNeverSatisfied", "BadConstraints", "PartitionConfig",
               "PartitionTimeLimit", "PartitionNodeLimit", "InvalidAccount", "InvalidQOS");
  const JobView view = ViewOf(JobIn("PENDING", reason), false);
  CHECK(view.phase == Phase::kNeverStarts);
  CHECK(view.message == "job 4711 will never start (PENDING, " + reason + ") on n1");
}

TEST_CASE("A job that ended gives its containers without a record an exit that is no success") {
  const auto [state, exit, phase, code,
              words] = GENERATE(table<std::string, JobExit, Phase, int, std::string>({
      {"COMPLETED", {0, 0}, Phase::kEnded, 255, "ended"},
      {"FAILED", {3, 0}, Phase::kEnded, 3, "failed"},
      {"FAILED", {255, 0}, Phase::kEnded, 255, "failed"},
      {"FAILED", {0, 9}, Phase::kEnded, 137, "failed"},
      {"FAILED", {0, 11}, Phase::kEnded, 139, "failed"},
      {"FAILED", {137, 0}, Phase::kEnded, 137, "failed"},
      {"TIMEOUT", {0, 15}, Phase::kEnded, 143, "reached its time limit"},
      {"TIMEOUT", {0, 9}, Phase::kEnded, 137, "reached its time limit"},
      {"TIMEOUT", {0, 0}, Phase::kEnded, 143, "reached its time limit"},
      {"DEADLINE", {0, 15}, Phase::kEnded, 143, "reached its deadline"},
      {"OUT_OF_MEMORY", {0, 125}, Phase::kEnded, 137, "took more memory than it was given"},
      {"OUT_OF_MEMORY", {0, 0}, Phase::kEnded, 137, "took more memory than it was given"},
      {"CANCELLED", {0, 15}, Phase::kEnded, 137, "was cancelled by somebody else"},
      {"PREEMPTED", {0, 0}, Phase::kEnded, 143, "was preempted by another job"},
      {"NODE_FAIL", {0, 0}, Phase::kLost, 255, "was lost with its machine"},
      {"BOOT_FAIL", {0, 0}, Phase::kLost, 255, "was lost: its machine did not boot"},
      {"LAUNCH_FAILED", {0, 0}, Phase::kLost, 255, "was lost: it could not be launched"},
      {"RECONFIG_FAIL", {0, 0}, Phase::kLost, 255, "was lost: its machine could not be configured"},
      {"REVOKED", {0, 0}, Phase::kLost, 255, "was taken back"},
      {"FAILED",
       {kExitNoPodFolder, 0},
       Phase::kNotBegun,
       255,
       "did not find the pod's folder on n1"},
      {"FAILED",
       {kExitNotWritable, 0},
       Phase::kNotBegun,
       255,
       "could not write into the pod's folder on n1"},
  }));
  const JobView view = ViewOf(JobIn(state, "None", exit), false);
  CHECK(view.phase == phase);
  CHECK(IsFinal(view.phase));
  CHECK(view.exit_code == code);
  CHECK(view.reason == "Error");
  CHECK(view.message.find("job 4711 " + words) == 0);
  CHECK(view.out_of_memory == (state == "OUT_OF_MEMORY"));
}

TEST_CASE("A lost claim says nothing of the pod") {
  const JobView view = ViewOf(JobIn("FAILED", "NonZeroExitCode", {kExitClaimLost, 0}), false);
  CHECK(view.phase == Phase::kClaimLost);
  CHECK(IsFinal(view.phase));
  CHECK(view.exit_code == 0);
  CHECK(view.reason.empty());
}

TEST_CASE("A signal of the same number as a lost claim is no lost claim") {
  CHECK(ViewOf(JobIn("FAILED", "None", {0, kExitClaimLost}), false).phase == Phase::kEnded);
}

TEST_CASE("A cancellation that we asked for is not somebody else's") {
  CHECK(ViewOf(JobIn("CANCELLED", "None", {0, 15}), true).message ==
        "job 4711 was cancelled (CANCELLED, signal 15) on n1");
}

TEST_CASE("A job that SLURM starts again must go, one that has ended is over") {
  Job job = JobIn("PENDING", "BeginTime");
  job.restarts = 1;
  CHECK(ViewOf(job, false).phase == Phase::kRepeated);
  job.state = "RUNNING";
  CHECK(ViewOf(job, false).phase == Phase::kRepeated);
  CHECK(ViewOf(job, false).message ==
        "job 4711 was started again by SLURM (RUNNING, BeginTime) on n1");
  job.state = "CANCELLED";
  CHECK(ViewOf(job, false).phase == Phase::kEnded);
}

TEST_CASE("A queued job says why and when") {
  Job job = JobIn("PENDING", "Resources");
  CHECK(QueueMessage(job) == "queued as job 4711, PENDING (Resources)");
  job.start_time = 1795860413;
  CHECK(QueueMessage(job) ==
        "queued as job 4711, PENDING (Resources), expected start 2026-11-28T10:06:53Z");
}

}  // namespace interlink::slurm
