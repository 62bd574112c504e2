#include "cluster.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/spawn.h"
#include "support/eventually.h"

namespace interlink::slurm {
namespace {

constexpr const char* kLab = INTERLINK_SOURCE_DIR "/test/lab";

std::string UserName() {
  const passwd* entry = getpwuid(geteuid());  // NOLINT(concurrency-mt-unsafe): before any thread
  REQUIRE(entry != nullptr);
  return entry->pw_name;
}

Output RunLab(const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {kLab};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const auto output = RunCommand(Call::WithTimeout(std::chrono::seconds(120)), {.argv = argv});
  REQUIRE(output.ok());
  return *output;
}

}  // namespace

Cluster& Cluster::Get() {
  static Cluster cluster({});
  return cluster;
}

Cluster::Cluster(const std::vector<std::string>& options) : user_(UserName()) {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "interlink-slurm-XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  folder_ = pattern;
  std::vector<std::string> arguments = {"up", folder_, "--plugin", "slurm", "--only-cluster"};
  for (const char* line : {"MessageTimeout=3", "SlurmdTimeout=5", "KillWait=2"}) {
    arguments.insert(arguments.end(), {"--slurm", line});
  }
  arguments.insert(arguments.end(), options.begin(), options.end());
  const Output up = RunLab(arguments);
  INFO(up.err);
  REQUIRE(up.exit.code == 0);
}

Cluster::~Cluster() {
  const auto down =
      RunCommand(Call::WithTimeout(std::chrono::seconds(120)), {.argv = {kLab, "down", folder_}});
  if (!down.ok() || down->exit.code != 0) std::fputs("the cluster was not taken down\n", stderr);
}

void Cluster::Lab(const std::string& verb, const std::string& argument) {
  std::vector<std::string> arguments = {verb, folder_};
  if (!argument.empty()) arguments.push_back(argument);
  const Output output = RunLab(arguments);
  INFO(verb << ": " << output.err);
  REQUIRE(output.exit.code == 0);
}

void Cluster::SignalController(int signal) {
  const auto text = ReadFile(folder_ + "/slurm/run/slurmctld.pid");
  REQUIRE(text.ok());
  REQUIRE(kill(std::stoi(*text), signal) == 0);
}

std::string Cluster::machine(int number) {
  const std::string all = Run({"sinfo", "-h", "-N", "-p", "debug", "-o", "%N"});
  size_t begin = 0;
  for (int i = 1; i < number; ++i) begin = all.find('\n', begin) + 1;
  return all.substr(begin, all.find('\n', begin) - begin);
}

std::string Cluster::Run(const std::vector<std::string>& argv, const std::string& input) {
  SystemCommands commands(options());
  const auto answer = commands.Run(Soon(), argv, input);
  REQUIRE(answer.ok());
  INFO(answer->err);
  REQUIRE(answer->code == 0);
  return answer->out;
}

Bench::Bench(Cluster& cluster_of_case)
    : cluster(cluster_of_case),
      commands(cluster.options()),
      lineage(MintLineage()),
      observer(commands, clock,
               {.lineage = lineage, .user = cluster.user(), .message_timeout = kMessageTimeout}),
      cancellations(commands, clock, lineage, cluster.user()) {}

Bench::Pod Bench::MakePod(const std::string& command) {
  Pod pod;
  pod.sandbox = MintSandboxId();
  pod.submission.job_name = JobName(lineage, pod.sandbox);
  pod.submission.comment = JobComment("site", "node", "default", "pod", "uid");
  pod.submission.script = {cluster.folder() + "/slurm/jobs/" + pod.sandbox.str(),
                           {"/bin/sh", "-c", command}};
  REQUIRE(MakeDirectories(pod.folder(), 0700).ok());
  return pod;
}

SubmitOutcome Bench::Send(const Pod& pod) {
  const auto outcome = Submit(Soon(), commands, pod.submission);
  REQUIRE(outcome.ok());
  observer.Watch(pod.sandbox);
  if (outcome->kind == SubmitOutcome::Kind::kUnknown) observer.Doubt(pod.sandbox);
  return *outcome;
}

Sighting Bench::Await(const Pod& pod, const std::function<bool(const Sighting&)>& done,
                      std::chrono::seconds limit) {
  Sighting last;
  const bool seen = test::Eventually(
      [&] {
        if (clock.Steady() < observer.NextPoll()) return false;
        const auto poll = observer.Ask(Soon());
        if (!poll.ok()) return false;
        for (const Sighting& sighting : poll->sightings) {
          if (sighting.sandbox == pod.sandbox) last = sighting;
        }
        return last.sandbox == pod.sandbox && done(last);
      },
      limit);
  for (const Job& job : last.jobs) UNSCOPED_INFO(ViewOf(job, false).message);
  UNSCOPED_INFO("job.log: " << ReadFile(pod.folder() + "/job.log").value_or("none"));
  REQUIRE(seen);
  return last;
}

Job Bench::AwaitPhase(const Pod& pod, Phase phase, std::chrono::seconds limit) {
  const Sighting sighting = Await(
      pod,
      [phase](const Sighting& seen) {
        return !seen.jobs.empty() &&
               std::all_of(seen.jobs.begin(), seen.jobs.end(),
                           [phase](const Job& job) { return ViewOf(job, false).phase == phase; });
      },
      limit);
  return sighting.jobs.back();
}

Cancelled Bench::CancelAndProve(const Pod& pod) {
  cancellations.Want(pod.sandbox);
  observer.Hurry();
  Cancelled proof;
  const bool proven = test::Eventually(
      [&] {
        if (clock.Steady() < observer.NextPoll()) return false;
        const auto poll = observer.Ask(Soon());
        if (!poll.ok()) return false;
        const auto cancelled = cancellations.Step(Soon(), *poll);
        if (!cancelled.ok() || cancelled->empty()) return false;
        proof = cancelled->front();
        return true;
      },
      std::chrono::seconds(60));
  REQUIRE(proven);
  CHECK(proof.sandbox == pod.sandbox);
  return proof;
}

std::vector<std::string> LinesOf(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

}  // namespace interlink::slurm
