#include "unit/slurm/provisioner_lab.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "base/file.h"
#include "support/eventually.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

std::string ValueOf(const std::vector<std::string>& argv, const std::string& option) {
  for (const std::string& word : argv) {
    if (word.starts_with(option)) return word.substr(option.size());
  }
  return "";
}

}  // namespace

ProvisionerLab::ProvisionerLab() {
  REQUIRE(WriteFileAtomically(folder.File("agent"), "#!/bin/sh\n", 0700).ok());
  REQUIRE(MakeDirectories(folder.File("site"), 0700).ok());
  sdk::PluginOptions section{"slurm", {"hpc"}, {}};
  section.options = {{"JobFolder", job_folder, "f:1"},
                     {"AgentPath", folder.File("agent"), "f:2"},
                     {"Handlers.hpc.Partition", "debug", "f:3"}};
  auto parsed = ParseOptions(section, "/sbin/interlink-api");
  INFO(parsed.status().ToString());
  REQUIRE(parsed.ok());
  options = *std::move(parsed);
}

Status ProvisionerLab::TryStart() {
  provisioner.reset();
  auto fake = std::make_unique<test::FakeCommands>();
  commands = fake.get();
  commands->answer = [this](const test::FakeCommands::Ran& ran) { return Answered(ran); };
  auto made = SlurmProvisioner::Create(
      {site, site, std::move(fake), "alice", sees_all, false, false}, options);
  if (!made.ok()) return made.status();
  provisioner = *std::move(made);
  const auto facts = provisioner->Recover(Soon());
  if (facts.ok()) site.Report(*facts);
  return facts.status();
}

void ProvisionerLab::Start() {
  const Status started = TryStart();
  INFO(started.ToString());
  REQUIRE(started.ok());
}

bool ProvisionerLab::Until(const std::function<bool()>& holds, Duration pace) {
  return test::Eventually([&] {
    provisioner->Look();
    if (holds()) return true;
    clock.Advance(pace);
    return false;
  });
}

void ProvisionerLab::Pass(Duration time) {
  const SteadyTime until = clock.Steady() + time;
  const Duration pace = std::max<Duration>(std::chrono::milliseconds(500), time / 60);
  REQUIRE(test::Eventually([&] {
    provisioner->Look();
    // Never beyond it: what is due a second later must not happen.
    clock.Advance(std::min(pace, until - clock.Steady()));
    return clock.Steady() >= until;
  }));
  provisioner->Look();
}

Status ProvisionerLab::Submit(const SandboxId& id, const std::string& user) {
  runtime::v1::PodSandboxConfig config;
  config.mutable_metadata()->set_name("pod");
  config.mutable_metadata()->set_namespace_("default");
  config.mutable_metadata()->set_uid("uid");
  auto* namespaces =
      config.mutable_linux()->mutable_security_context()->mutable_namespace_options();
  namespaces->set_pid(runtime::v1::CONTAINER);
  (*config.mutable_annotations())["slurm.interlink.io/time"] = "30";
  const sdk::AllocationSpec spec{id, NodeId("node"), "hpc", config, {{"SLURM_QOS", "long"}}, user};
  RETURN_IF_ERROR(provisioner->Check(spec));
  return provisioner->Submit(Soon(), spec);
}

Fact ProvisionerLab::Latest(const SandboxId& id) {
  const auto told = site.Told(id);
  return told.empty() ? Fact() : told.back();
}

Fact ProvisionerLab::End(const SandboxId& id, Duration pace) {
  const bool ended = Until([&] { return Ended(id); }, pace);
  INFO(Latest(id).message);
  REQUIRE(ended);
  return Latest(id);
}

JobRecord ProvisionerLab::Record(const SandboxId& id) const {
  const auto entries = journal().Load();
  REQUIRE(entries.ok());
  for (const JournalEntry& entry : *entries) {
    if (entry.record.sandbox == id) return entry.record;
  }
  FAIL("the journal has no such pod");
  return {};
}

void ProvisionerLab::SetJob(uint64_t id, const std::string& state, const std::string& exit) {
  const MutexLock lock(mutex_);
  for (Job& job : jobs_) {
    if (job.id != id) continue;
    job.state = state;
    job.exit = exit;
    job.reason = "None";
  }
}

void ProvisionerLab::SetJobEnd(uint64_t id, int64_t end) {
  const MutexLock lock(mutex_);
  for (Job& job : jobs_) {
    if (job.id == id) job.end = end;
  }
}

void ProvisionerLab::MakeHopeless(uint64_t id) {
  const MutexLock lock(mutex_);
  for (Job& job : jobs_) {
    if (job.id == id) job.reason = "PartitionTimeLimit";
  }
}

uint64_t ProvisionerLab::AddJob(const std::string& name, const std::string& state, uint32_t user) {
  const MutexLock lock(mutex_);
  Job job;
  job.id = next_job_++;
  job.name = name;
  job.state = state;
  job.user = user;
  jobs_.push_back(job);
  return job.id;
}

void ProvisionerLab::ForgetJobs() {
  const MutexLock lock(mutex_);
  jobs_.clear();
}

void ProvisionerLab::HaveRoom() {
  const MutexLock lock(mutex_);
  sbatch_makes_job_ = true;
  sbatch_answer_.reset();
}

void ProvisionerLab::SetSbatch(Result<Answer> answer, bool makes_job) {
  const MutexLock lock(mutex_);
  sbatch_makes_job_ = makes_job;
  sbatch_answer_ = std::move(answer);
}

std::vector<ProvisionerLab::Job> ProvisionerLab::Jobs() {
  const MutexLock lock(mutex_);
  return jobs_;
}

bool ProvisionerLab::RunScript(const SandboxId& id, uint64_t job, const std::string& nonce) {
  const std::string own = PodFolder(id) + "/own." + nonce;
  const std::string text =
      "nonce=" + nonce + "\njob=" + std::to_string(job) + "\nrestarts=0\nhost=n1\nboot=b\n";
  REQUIRE(WriteFileAtomically(own, text, 0600).ok());
  const bool won = link(own.c_str(), (PodFolder(id) + "/claim").c_str()) == 0;
  SetJob(job, won ? "RUNNING" : "FAILED", won ? "0:0" : "113:0");
  return won;
}

void ProvisionerLab::Say(const SandboxId& id, const std::string& file, const std::string& word,
                         const std::string& nonce) {
  REQUIRE(
      WriteFileAtomically(PodFolder(id) + "/" + file, "1 " + nonce + " " + word + "\n", 0600).ok());
}

Result<Answer> ProvisionerLab::Answered(const test::FakeCommands::Ran& ran) {
  // Behind the words of AsUser.
  const bool as_user = ran.argv[0] == "setpriv";
  const std::string& command =
      as_user ? *(std::find(ran.argv.begin(), ran.argv.end(), "--") + 1) : ran.argv[0];
  if (command == "sbatch") test::Eventually([this] { return !sbatch_hangs; });
  const MutexLock lock(mutex_);
  if (down) {
    return Answer{1, 0, "",
                  command + ": error: Unable to contact slurm controller (connect failure)\n"};
  }
  if (command == "squeue" && liar) return Answer{};
  if (command == "squeue" && !ValueOf(ran.argv, "--jobs=").empty()) {
    return OneJob(ValueOf(ran.argv, "--jobs="));
  }
  if (command == "squeue") return Answer{0, 0, Listing(ran.argv.back()), ""};
  if (command == "sbatch") return Sbatch(ran);
  if (command == "sacct") return Answer{accounted.empty() ? 1 : 0, 0, accounted, "no accounting\n"};
  const std::string name = ValueOf(ran.argv, "--name=");
  for (Job& job : jobs_) {
    const std::string user = ValueOf(ran.argv, "--user=");
    const bool theirs = user == "alice" || user == std::to_string(job.user);
    if (job.name == name && theirs && job.state == "PENDING") job.state = "CANCELLED";
  }
  return Answer{};
}

Result<Answer> ProvisionerLab::Sbatch(const test::FakeCommands::Ran& ran) {
  Job job;
  job.id = next_job_;
  job.name = ValueOf(ran.argv, "--job-name=");
  job.submit = clock.WallNanos() / 1'000'000'000;
  const std::string user = ValueOf(ran.argv, "--reuid=");
  if (!user.empty()) job.user = static_cast<uint32_t>(std::stoul(user));
  if (sbatch_makes_job_) {
    jobs_.push_back(job);
    ++next_job_;
  }
  if (sbatch_answer_) return *sbatch_answer_;
  return Answer{0, 0, std::to_string(job.id) + "\n", ""};
}

Result<Answer> ProvisionerLab::OneJob(const std::string& id) {
  for (const Job& job : jobs_) {
    if (std::to_string(job.id) == id) return Answer{0, 0, id + " " + job.name + "\n", ""};
  }
  return Answer{1, 0, "", "slurm_load_jobs error: Invalid job id specified\n"};
}

std::string ProvisionerLab::Listing(const std::string& format) {
  const std::string mark = format.substr(format.rfind('|') + 1);
  std::string text;
  for (const Job& job : jobs_) {
    text += std::to_string(job.id) + "|" + job.state + "|" + job.reason + "|" + job.exit + "|0|" +
            std::to_string(job.submit) + "|0|" + std::to_string(job.end) + "|n1|" +
            std::to_string(job.user) + "|" + job.name + "|" + mark + "\n";
  }
  return text;
}

}  // namespace interlink::slurm
