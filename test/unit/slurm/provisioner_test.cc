// A pod's life as a job: what is asked of SLURM, what is told, and what counts as its end.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <exception>
#include <filesystem>
#include <map>
#include <thread>

#include "base/file.h"
#include "slurm/job_name.h"
#include "slurm_wishes/wishes.h"
#include "unit/slurm/provisioner_lab.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

using State = Fact::State;
using std::chrono::seconds;

const SandboxId kPod(std::string(64, 'a'));

bool Present(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

mode_t PermissionsOf(const std::string& path) {
  struct stat about {};
  REQUIRE(stat(path.c_str(), &about) == 0);
  return about.st_mode & 0777U;
}

// Of an sbatch that was killed while it waited for room.
Answer QueueFull() {
  return {137, 9, "", "sbatch: error: Slurm job queue full, sleeping and retrying\n"};
}

// A pod whose job 7 waits in the queue.
void SubmitOne(ProvisionerLab& lab) {
  lab.Start();
  REQUIRE(lab.Submit(kPod).ok());
  REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "Resources"; }));
}

// One whose job runs its agent.
void RunOne(ProvisionerLab& lab) {
  SubmitOne(lab);
  REQUIRE(lab.RunScript(kPod, 7));
  REQUIRE(lab.Until([&] { return lab.Latest(kPod).state == State::kGranted; }));
}

}  // namespace

TEST_CASE("A pod is queued, granted, and ended by its job's end and its agent's word") {
  ProvisionerLab lab;
  SubmitOne(lab);
  CHECK(lab.Latest(kPod).state == State::kPending);
  CHECK(lab.Latest(kPod).allocation == "7");
  CHECK(lab.Latest(kPod).message.find("queued as job 7, PENDING (Resources)") == 0);

  REQUIRE(lab.RunScript(kPod, 7));
  REQUIRE(lab.Until([&] { return lab.Latest(kPod).state == State::kGranted; }));
  lab.Say(kPod, "left", "ended");
  lab.Pass(seconds(30));
  CHECK_FALSE(lab.Ended(kPod));  // its job still runs
  lab.SetJob(7, "COMPLETED");
  const SteadyTime over = lab.clock.Steady();

  const Fact end = lab.End(kPod, std::chrono::milliseconds(50));
  CHECK(lab.clock.Steady() - over < seconds(60));  // without waiting for a lease
  CHECK(end.allocation == "7");
  CHECK(end.reason == "COMPLETED");
  CHECK(end.exit_code == 255);  // of a container without a record: no success that nobody saw
  CHECK_FALSE(end.refused);
  CHECK(end.pod_folder == lab.PodFolder(kPod));
  CHECK(Present(lab.PodFolder(kPod) + "/heartbeat"));
  CHECK(lab.Count("sbatch") == 1);
}

TEST_CASE("Secrets of a pod are in files of its owner only, never in a command or a script") {
  ProvisionerLab lab;
  SubmitOne(lab);
  const std::string pod = lab.PodFolder(kPod);
  CHECK(PermissionsOf(pod) == 0700);
  CHECK(PermissionsOf(pod + "/heartbeat") == 0700);
  CHECK(PermissionsOf(pod + "/token") == 0600);
  CHECK(PermissionsOf(pod + "/ca.pem") == 0600);
  CHECK(ReadFile(pod + "/token").value_or("") == "secret-" + kPod.str() + "\n");
  for (const auto& ran : lab.commands->calls()) {
    std::string all = ran.input;
    for (const std::string& word : ran.argv) all += word;
    CHECK(all.find("secret-") == std::string::npos);
  }
}

TEST_CASE(
    "A thousand pods at once are a thousand jobs, each with its own script and its own files") {
  constexpr size_t kPods = 100;
  ProvisionerLab lab;
  lab.Start();
  std::vector<SandboxId> pods;
  for (size_t i = 0; i < kPods; ++i) pods.push_back(MintSandboxId());
  std::vector<std::jthread> callers;
  for (size_t first = 0; first < 4; ++first) {
    callers.emplace_back([&, first] {
      for (size_t i = first; i < kPods; i += 4) {
        if (!lab.Submit(pods[i]).ok()) std::terminate();
      }
    });
  }
  callers.clear();
  REQUIRE(lab.Until([&] { return lab.Jobs().size() == kPods; }));
  std::map<std::string, std::string> scripts;  // by job name
  for (const auto& ran : lab.commands->calls()) {
    if (ran.argv[0] != "sbatch") continue;
    const auto name = std::find_if(ran.argv.begin(), ran.argv.end(), [](const std::string& word) {
      return word.starts_with("--job-name=");
    });
    REQUIRE(name != ran.argv.end());
    CHECK(scripts.emplace(name->substr(name->find('=') + 1), ran.input).second);
  }
  CHECK(scripts.size() == kPods);
  for (const SandboxId& pod : pods) {
    const std::string& script = scripts.at(JobName(lab.site.lineage(), pod));
    CHECK(script.find(lab.PodFolder(pod) + "'") != std::string::npos);
    CHECK(PermissionsOf(lab.PodFolder(pod) + "/token") == 0600);
    CHECK(ReadFile(lab.PodFolder(pod) + "/token").value_or("") == "secret-" + pod.str() + "\n");
  }
}

TEST_CASE("What handler, node and pod ask for becomes the job's") {
  ProvisionerLab lab;
  SubmitOne(lab);
  const auto calls = lab.commands->calls();
  const auto sbatch = std::find_if(calls.begin(), calls.end(),
                                   [](const auto& ran) { return ran.argv[0] == "sbatch"; });
  REQUIRE(sbatch != calls.end());
  const std::vector<std::string> arguments = {"--partition=debug", "--qos=long", "--time=30",
                                              "--job-name=" + JobName(lab.site.lineage(), kPod)};
  for (const std::string& wanted : arguments) {
    CAPTURE(wanted);
    CHECK(std::count(sbatch->argv.begin(), sbatch->argv.end(), wanted) == 1);
  }
  for (const char* word : {"'--hub' 'site:7443'", "'--shared-folder'", "'--leave-within' '25'",
                           "'--shim-lease' '300'", "'--runtime' '/usr/bin/crun'"}) {
    CAPTURE(word);
    CHECK(sbatch->input.find(word) != std::string::npos);
  }
  CHECK(sbatch->input.find("--allow-root") == std::string::npos);
}

TEST_CASE("A submission repeated is one job; one that was given back is refused") {
  ProvisionerLab lab;
  SubmitOne(lab);
  REQUIRE(lab.Submit(kPod).ok());
  lab.Pass(seconds(20));
  CHECK(lab.Count("sbatch") == 1);
  REQUIRE(lab.provisioner->Release(Soon(), kPod).ok());
  CHECK(lab.Submit(kPod).code() == Code::kFailedPrecondition);
}

TEST_CASE("What SLURM refuses ends in its words, and nothing can start any more") {
  ProvisionerLab lab;
  lab.Start();
  lab.SetSbatch(
      Answer{1, 0, "",
             "sbatch: error: Batch job submission failed: Invalid partition name specified\n"},
      false);
  REQUIRE(lab.Submit(kPod).ok());

  const Fact end = lab.End(kPod);
  CHECK(end.refused);
  CHECK(end.message.find("Invalid partition name specified") != std::string::npos);
  CHECK(end.pod_folder.empty());
  CHECK(ReadClaim(lab.PodFolder(kPod))->value().IsSite());
  CHECK(lab.Count("sbatch") == 1);
}

TEST_CASE("While SLURM cannot be reached a pod waits and says so; then it is submitted once") {
  ProvisionerLab lab;
  lab.Start();
  lab.down = true;
  REQUIRE(lab.Submit(kPod).ok());
  REQUIRE(lab.Until(
      [&] { return lab.Latest(kPod).message.find("SLURM does not answer") != std::string::npos; }));
  CHECK(lab.Latest(kPod).state == State::kPending);
  lab.Pass(seconds(60));
  CHECK(lab.Count("sbatch") <= 1);  // who is asked is squeue, less and less often
  CHECK(lab.Count("squeue") <= 8);

  lab.down = false;
  REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "Resources"; }));
  CHECK(lab.Jobs().size() == 1);
  CHECK(lab.Record(kPod).submissions == 1);
}

TEST_CASE("A submission in doubt that made a job is not repeated") {
  ProvisionerLab lab;
  lab.Start();
  lab.SetSbatch(Result<Answer>(DeadlineExceeded("sbatch was killed")), true);
  REQUIRE(lab.Submit(kPod).ok());
  REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "Resources"; }));
  lab.Pass(seconds(60));
  CHECK(lab.Count("sbatch") == 1);

  REQUIRE(lab.RunScript(kPod, 7));
  lab.Say(kPod, "left", "ended");
  lab.SetJob(7, "COMPLETED");
  CHECK(lab.End(kPod).allocation == "7");
}

TEST_CASE("A submission in doubt without a job is repeated, but not before the doubt is settled") {
  ProvisionerLab lab;
  lab.Start();
  lab.SetSbatch(Result<Answer>(DeadlineExceeded("sbatch was killed")), false);
  REQUIRE(lab.Submit(kPod).ok());
  REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "InDoubt"; }));
  const SteadyTime doubted = lab.clock.Steady();
  lab.HaveRoom();

  REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "Resources"; }));
  CHECK(lab.clock.Steady() - doubted > lab.options.message_timeout);
  CHECK(lab.Count("sbatch") == 2);
}

TEST_CASE("A job that a controller has lost is submitted again, a few times") {
  ProvisionerLab lab;
  SubmitOne(lab);
  for (int lost = 1; lost < kMostSubmissions; ++lost) {
    lab.ForgetJobs();
    REQUIRE(lab.Until([&] { return lab.Jobs().size() == 1; }));
    REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "Resources"; }));
  }
  lab.ForgetJobs();
  const Fact end = lab.End(kPod);
  CHECK(end.refused);
  CHECK(end.reason == "Lost");
  CHECK(lab.Count("sbatch") == kMostSubmissions);
}

// sbatch sleeps and tries again, longer than it is let: five of these were five lost jobs.
TEST_CASE("A pod waits while SLURM's queue is full, says so, and is submitted when there is room") {
  ProvisionerLab lab;
  lab.Start();
  lab.SetSbatch(QueueFull(), false);
  REQUIRE(lab.Submit(kPod).ok());
  REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "QueueFull"; }));
  CHECK(lab.Latest(kPod).message.find("Slurm job queue full") != std::string::npos);
  const SteadyTime first = lab.clock.Steady();
  REQUIRE(lab.Until([&] { return lab.Count("sbatch") == kMostSubmissions + 2; }, seconds(5)));
  CHECK(lab.clock.Steady() - first > seconds(300));  // less and less often
  REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "QueueFull"; }));
  CHECK(lab.Latest(kPod).state == State::kPending);

  lab.HaveRoom();
  REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "Resources"; }));
  CHECK(lab.Jobs().size() == 1);
  for (int lost = 1; lost < kMostSubmissions; ++lost) {
    lab.ForgetJobs();
    REQUIRE(lab.Until([&] { return lab.Jobs().size() == 1; }));
    REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "Resources"; }));
  }
}

TEST_CASE("A submission that found the queue full and made a job all the same is not repeated") {
  ProvisionerLab lab;
  lab.Start();
  lab.SetSbatch(QueueFull(), true);
  REQUIRE(lab.Submit(kPod).ok());
  REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "Resources"; }));
  lab.Pass(seconds(600));
  CHECK(lab.Count("sbatch") == 1);
}

// A controller that was frozen has taken the request after all: a second job was made.
TEST_CASE("A job that comes to light while the pod waits for room is not made again") {
  constexpr size_t kAsked = 6;
  ProvisionerLab lab;
  lab.Start();
  lab.SetSbatch(QueueFull(), false);
  REQUIRE(lab.Submit(kPod).ok());
  REQUIRE(lab.Until([&] { return lab.Count("sbatch") == kAsked; }, seconds(5)));  // 300 s of rest
  REQUIRE(lab.Until([&] { return lab.Record(kPod).stage == JobRecord::Stage::kWanted; }));
  const uint64_t job = lab.AddJob(JobName(lab.site.lineage(), kPod));

  REQUIRE(lab.Until([&] { return lab.Latest(kPod).reason == "Resources"; }));
  lab.Pass(seconds(600));
  CHECK(lab.Count("sbatch") == kAsked);
  CHECK(lab.Latest(kPod).allocation == std::to_string(job));
  lab.ForgetJobs();
  lab.accounted =
      "7|CANCELLED by 1001|100|None|160|None assigned|" + JobName(lab.site.lineage(), kPod) + "\n";
  CHECK(lab.End(kPod).message.find("was cancelled by somebody else") != std::string::npos);
}

// It is let run for 15 s when the queue is full: those of the pods that waited took every thread.
TEST_CASE("A pod's end does not wait for an sbatch of another pod") {
  ProvisionerLab lab;
  RunOne(lab);
  lab.sbatch_hangs = true;
  for (int i = 0; i < 40; ++i) REQUIRE(lab.Submit(MintSandboxId()).ok());
  REQUIRE(lab.Until([&] { return lab.Count("sbatch") > 8; }));

  lab.Say(kPod, "left", "ended");
  lab.SetJob(7, "COMPLETED");
  CHECK(lab.End(kPod).allocation == "7");
  lab.sbatch_hangs = false;
}

TEST_CASE("Of many pods that wait for room one asks, and all are submitted when there is some") {
  constexpr size_t kPods = 40;
  constexpr size_t kAtOnce = 8;  // had begun when the first was answered
  constexpr size_t kInTurn = 7;  // after 10, 20, 40, 80, 160, 300 s
  ProvisionerLab lab;
  lab.Start();
  lab.SetSbatch(QueueFull(), false);
  std::vector<SandboxId> pods;
  for (size_t i = 0; i < kPods; ++i) pods.push_back(MintSandboxId());
  for (const SandboxId& pod : pods) REQUIRE(lab.Submit(pod).ok());
  const auto all_wait = [&] {
    return std::all_of(pods.begin(), pods.end(), [&](const SandboxId& pod) {
      const Fact fact = lab.Latest(pod);
      return fact.reason == "QueueFull" && fact.message.ends_with("sleeping and retrying");
    });
  };
  REQUIRE(lab.Until(all_wait));
  if (GENERATE(false, true)) {
    lab.Pass(seconds(30));
    lab.Start();
    lab.Pass(seconds(30));
    REQUIRE(lab.Until(all_wait));
    CHECK(lab.Count("sbatch") <= kAtOnce + kInTurn);
  }

  const size_t before = lab.Count("sbatch");
  lab.Pass(seconds(600));
  CHECK(lab.Count("sbatch") <= before + kInTurn);
  CHECK(all_wait());
  REQUIRE(lab.Until([&] { return lab.Count("sbatch") > before; }, seconds(5)));

  lab.HaveRoom();
  REQUIRE(lab.Until([&] { return !lab.Jobs().empty(); }));
  const SteadyTime room = lab.clock.Steady();
  REQUIRE(lab.Until([&] { return lab.Jobs().size() == kPods; }, std::chrono::milliseconds(25)));
  CHECK(lab.clock.Steady() - room < seconds(120));
}

// The lost job's number was waited for, and then what somebody had cancelled was submitted again.
TEST_CASE("A job that was made in doubt after a lost one ends its pod when it is cancelled") {
  ProvisionerLab lab;
  SubmitOne(lab);
  lab.SetSbatch(Result<Answer>(DeadlineExceeded("sbatch was killed")), true);
  lab.ForgetJobs();
  REQUIRE(lab.Until([&] { return lab.Jobs().size() == 1; }));
  lab.SetJob(8, "CANCELLED");
  lab.Pass(seconds(60));

  REQUIRE(lab.Ended(kPod));
  CHECK(lab.Latest(kPod).message.find("was cancelled by somebody else") != std::string::npos);
  CHECK(lab.Count("sbatch") == 2);
}

TEST_CASE("A job that ended before it ran while nobody looked is not submitted again") {
  ProvisionerLab lab;
  SubmitOne(lab);
  lab.accounted =
      "7|CANCELLED by 1001|100|None|160|None assigned|" + JobName(lab.site.lineage(), kPod) + "\n";
  lab.ForgetJobs();
  const Fact end = lab.End(kPod);
  CHECK(end.refused);
  CHECK(end.message.find("was cancelled by somebody else") != std::string::npos);
  CHECK(lab.Count("sbatch") == 1);
}

TEST_CASE("A job that will never start is cancelled and its pod has failed") {
  ProvisionerLab lab;
  SubmitOne(lab);
  lab.MakeHopeless(7);
  const Fact end = lab.End(kPod);
  CHECK(end.refused);
  CHECK(lab.Count("scancel") >= 1);
  CHECK(lab.Jobs()[0].state == "CANCELLED");
}

// slurmd was killed when it got the job: RUNNING for SLURM, and nowhere. Its pod waited for ever.
TEST_CASE("A job that runs for SLURM and never begins is given up, and cannot begin any more") {
  ProvisionerLab lab;
  SubmitOne(lab);
  lab.SetJob(7, "RUNNING");
  lab.Pass(lab.options.begin_within - seconds(30));
  CHECK_FALSE(lab.Ended(kPod));
  CHECK(lab.Count("scancel") == 0);

  const Fact end = lab.End(kPod);

  CHECK(end.refused);
  CHECK(end.reason == "NotBegun");
  CHECK(end.message.find("after 600 s it has not begun") != std::string::npos);
  CHECK_FALSE(lab.RunScript(kPod, 7));
  REQUIRE(lab.Until([&] { return lab.Count("scancel") >= 1; }));
}

TEST_CASE("A job that has begun is not given up, however long it runs") {
  ProvisionerLab lab;
  SubmitOne(lab);
  lab.SetJob(7, "RUNNING");
  REQUIRE(lab.RunScript(kPod, 7));
  lab.Pass(2 * lab.options.begin_within);
  CHECK(lab.Latest(kPod).state == State::kGranted);
  CHECK(lab.Count("scancel") == 0);
}

TEST_CASE("A job's time to begin does not run while it waits") {
  ProvisionerLab lab;
  SubmitOne(lab);
  lab.Pass(2 * lab.options.begin_within);
  lab.SetJob(7, "RUNNING");
  lab.Pass(seconds(60));
  CHECK_FALSE(lab.Ended(kPod));
  CHECK(lab.RunScript(kPod, 7));
}

// --- given back

TEST_CASE("A pod given back while it waits has the site's claim and is over at once") {
  ProvisionerLab lab;
  SubmitOne(lab);
  REQUIRE(lab.provisioner->Release(Soon(), kPod).ok());
  REQUIRE(lab.provisioner->Release(Soon(), kPod).ok());
  const Fact end = lab.End(kPod);
  CHECK_FALSE(end.refused);
  CHECK(ReadClaim(lab.PodFolder(kPod))->value().IsSite());
  CHECK_FALSE(lab.RunScript(kPod, 7));
  REQUIRE(lab.Until([&] { return lab.Count("scancel") >= 1; }));
}

TEST_CASE("A pod given back before anything was sent needs no SLURM to be over") {
  ProvisionerLab lab;
  lab.Start();
  const bool refused_once = GENERATE(false, true);
  lab.down = !refused_once;
  lab.SetSbatch(
      Answer{1, 0, "", "sbatch: error: Unable to contact slurm controller (connect failure)\n"},
      false);
  REQUIRE(lab.Submit(kPod).ok());
  if (refused_once) REQUIRE(lab.Until([&] { return lab.Count("sbatch") > 0; }));
  lab.down = true;
  REQUIRE(lab.provisioner->Release(Soon(), kPod).ok());
  CHECK_FALSE(lab.End(kPod).refused);
}

TEST_CASE("A pod that ended shortly before its time limit says when that was") {
  ProvisionerLab lab;
  RunOne(lab);
  lab.SetJobEnd(7, 5000);
  lab.Pass(seconds(30));
  const bool at_limit = GENERATE(true, false);
  lab.SetJobEnd(7, at_limit ? 4900 : 4000);
  lab.Say(kPod, "left", "ended");
  lab.SetJob(7, GENERATE(as<std::string>(), "COMPLETED", "CANCELLED"));
  const Fact end = lab.End(kPod);
  CAPTURE(end.message);
  CHECK((end.message.find("; its time limit was at 1970-01-01T01:23:20Z") != std::string::npos) ==
        at_limit);
}

TEST_CASE("A pod given back while it runs is cancelled, and over when job and agent say so") {
  ProvisionerLab lab;
  RunOne(lab);
  REQUIRE(lab.provisioner->Release(Soon(), kPod).ok());
  REQUIRE(lab.Until([&] { return lab.Count("scancel") >= 1; }));
  lab.Pass(seconds(30));
  CHECK_FALSE(lab.Ended(kPod));
  lab.Say(kPod, "left", "ended");
  lab.SetJob(7, "CANCELLED", "0:15");
  const Fact end = lab.End(kPod);
  CHECK(end.exit_code == 137);
  CHECK(end.message.find("somebody else") == std::string::npos);
  CHECK(end.pod_folder == lab.PodFolder(kPod));
}

TEST_CASE("What was never submitted is over when it is given back, and removed") {
  ProvisionerLab lab;
  lab.Start();
  REQUIRE(lab.provisioner->Release(Soon(), kPod).ok());
  CHECK(lab.Ended(kPod));
  CHECK_FALSE(lab.Latest(kPod).refused);
  CHECK(lab.provisioner->Remove(Soon(), kPod).ok());
}

TEST_CASE("A removed pod leaves nothing, and one that lives is not removed") {
  ProvisionerLab lab;
  RunOne(lab);
  CHECK(lab.provisioner->Remove(Soon(), kPod).code() == Code::kUnavailable);
  lab.Say(kPod, "left", "ended");
  lab.SetJob(7, "COMPLETED");
  lab.End(kPod);
  REQUIRE(lab.Until([&] { return lab.provisioner->Remove(Soon(), kPod).ok(); }));
  CHECK_FALSE(Present(lab.PodFolder(kPod)));
  CHECK_FALSE(Present(lab.folder.File("site/jobs/" + kPod.str())));
  CHECK(lab.provisioner->Remove(Soon(), kPod).ok());
  lab.Start();
  CHECK(lab.provisioner->Recover(Soon())->empty());
}

TEST_CASE("Jobs of pods that nobody knows are cancelled, those of others are not touched") {
  ProvisionerLab lab;
  SubmitOne(lab);
  const SandboxId stranger(std::string(64, 'b'));
  lab.AddJob(JobName(lab.site.lineage(), stranger));
  lab.AddJob(JobName(MintLineage(), stranger));
  REQUIRE(lab.Until([&] { return lab.Jobs()[1].state == "CANCELLED"; }));
  lab.Pass(seconds(30));
  CHECK(lab.Jobs()[0].state == "PENDING");
  CHECK(lab.Jobs()[2].state == "PENDING");
}

TEST_CASE("An image's layers are copied to where jobs read them, and held through a restart") {
  ProvisionerLab lab;
  sdk::UnpackedImage image;
  image.id = "sha256:1";
  image.layers = {lab.folder.File("layer")};
  REQUIRE(MakeDirectories(image.layers[0] + "/etc", 0755).ok());
  const ContainerId holder(std::string(64, 'e'));
  lab.Start();
  CHECK(lab.provisioner->HoldImage("", holder, image).status().code() == Code::kFailedPrecondition);
  REQUIRE(lab.provisioner->PrepareImage(Soon(), "", image).ok());
  const auto held = lab.provisioner->HoldImage("", holder, image);
  REQUIRE(held.ok());
  REQUIRE(held->layers.size() == 1);
  CHECK(held->layers[0].find(lab.job_folder + "/layers-" + lab.site.lineage().str() + "/") == 0);
  CHECK(Present(held->layers[0] + "/etc"));

  lab.Start();
  CHECK(Present(held->layers[0]));
  lab.provisioner->ReleaseImages(holder);
}

TEST_CASE("A person sees the job") {
  ProvisionerLab lab;
  RunOne(lab);
  const auto text = lab.provisioner->Inspect(Soon(), kPod);
  REQUIRE(text.ok());
  for (const char* part : {"\"job\":\"7\"", "\"state\":\"RUNNING\"", "\"host\":\"n1\"",
                           "\"partition\":\"debug\"", "\"reason\":"}) {
    CAPTURE(part);
    CHECK(text->find(part) != std::string::npos);
  }
  CHECK(lab.provisioner->Inspect(Soon(), SandboxId(std::string(64, 'b'))).status().code() ==
        Code::kNotFound);
}

TEST_CASE("What an agent cannot do is refused before anything is stored") {
  ProvisionerLab lab;
  lab.Start();
  runtime::v1::PodSandboxConfig config;
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      runtime::v1::CONTAINER);
  sdk::AllocationSpec spec{kPod, NodeId("node"), "hpc", config, {}};
  CHECK(lab.provisioner->Check(spec).ok());
  config.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(
      runtime::v1::NODE);
  CHECK(lab.provisioner->Check(spec).code() == Code::kUnimplemented);
  (*config.mutable_annotations())["slurm.interlink.io/partition"] = "gold";
  CHECK(lab.provisioner->Check(spec).code() == Code::kPermissionDenied);
  spec.handler = "other";
  CHECK(lab.provisioner->Check(spec).code() == Code::kInvalidArgument);
}

TEST_CASE("What another machine cannot have is not described, and resources are the job's") {
  ProvisionerLab lab;
  lab.Start();
  const sdk::Description& described = lab.provisioner->Describe();
  REQUIRE(described.handlers.size() == 1);
  CHECK(described.handlers[0].name == "hpc");
  CHECK_FALSE(described.handlers[0].kubelet_host);
  const auto has = [](const std::vector<std::string>& list, const std::string& path) {
    return std::find(list.begin(), list.end(), path) != list.end();
  };
  CHECK(described.handlers[0].takes_contents);
  CHECK(has(described.container.honoured, "mounts.host_path"));  // by its contents
  CHECK_FALSE(has(described.container.honoured, "devices"));
  CHECK(has(described.container.honoured, "mounts.image"));
  CHECK(has(described.container.bounded, "linux.resources"));
  CHECK(has(described.sandbox.bounded, "linux.resources"));
  CHECK(described.node_options.size() == slurm_wishes::kOptionKeys.size());
  CHECK(has(described.node_options, "SLURM_PARTITION"));
  CHECK(has(described.sandbox.honoured, "annotations"));
}

}  // namespace interlink::slurm
