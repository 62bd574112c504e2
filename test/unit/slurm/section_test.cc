// The plugin's section of the configuration, and what a job runs because of it.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "base/spawn.h"
#include "slurm/agent_command.h"
#include "slurm/options.h"
#include "support/temporary_folder.h"
#include "unit/slurm/soon.h"

namespace interlink::slurm {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

Result<SlurmOptions> Parsed(const Pairs& pairs, bool with_folder = true) {
  sdk::PluginOptions section{"slurm", {"hpc", "hpc.long"}, {}};
  if (with_folder) section.options.push_back({"JobFolder", "/shared/jobs", "api.yaml:1"});
  for (const auto& [key, value] : pairs) section.options.push_back({key, value, "api.yaml:7"});
  return ParseOptions(section, "/usr/sbin/interlink-api");
}

// Runs what a job would, beside `agent` as the agent's text.
struct WrapperRun {
  explicit WrapperRun(const std::string& agent_text) {
    REQUIRE(WriteFileAtomically(folder.File("agent"), "#!/bin/sh\n" + agent_text, 0700).ok());
    REQUIRE(MakeDirectories(folder.File("pod"), 0700).ok());
    REQUIRE(MakeDirectories(folder.File("state"), 0700).ok());
    command.agent = folder.File("agent");
    command.sandbox = SandboxId(std::string(64, 'a'));
    command.pod_folder = folder.File("pod");
    command.hub = "site:1";
    command.runtime = "/usr/bin/crun";
    command.state_folder = folder.File("state");
  }
  Output Run() {
    SpawnOptions spawn;
    // As the job's script starts it.
    spawn.argv = {"/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", command.pod_folder};
    for (const std::string& word : AgentCommandWords(command)) spawn.argv.push_back(word);
    spawn.environment = {"PATH=/usr/bin:/bin", "INTERLINK_CLAIM=abc", "SLURM_JOB_ID=42"};
    const auto output = RunCommand(Soon(), spawn);
    REQUIRE(output.ok());
    return *output;
  }
  bool StateStays() const { return access(folder.File("state/interlink-abc").c_str(), F_OK) == 0; }

  test::TemporaryFolder folder;
  AgentCommand command;
};

}  // namespace

TEST_CASE("Without options but a folder there are defaults") {
  const auto options = Parsed({});
  REQUIRE(options.ok());
  CHECK(options->job_folder == "/shared/jobs");
  CHECK(options->agent == "/usr/sbin/interlink-agent");
  CHECK(options->runtime == "/usr/bin/crun");
  CHECK(options->state_folder == "/tmp");
  CHECK(options->leave_within == std::chrono::seconds(25));
  CHECK(options->message_timeout == std::chrono::seconds(10));
  CHECK_FALSE(options->allow_root_agents);
  CHECK(options->profiles.size() == 2);
  CHECK(options->rules.at("partition").node);
  CHECK_FALSE(options->rules.at("partition").pod);
}

TEST_CASE("Each option has its place") {
  const auto options = Parsed({{"SlurmConf", "/etc/slurm.conf"},
                               {"CommandsFolder", "/opt/slurm/bin/"},
                               {"AgentPath", "/opt/agent"},
                               {"RuntimePath", "/opt/crun"},
                               {"StateFolder", "/local"},
                               {"LeaveWithin", "40"},
                               {"MessageTimeout", "30"},
                               {"AllowRootAgents", "true"},
                               {"Queue", "at-run"},
                               {"Handlers.hpc.Partition", "gpu,cpu"},
                               {"Handlers.hpc.Memory", "4G"},
                               {"Handlers.hpc.Flags[0]", "--exclusive"},
                               {"Handlers.hpc.Flags[1]", "--mail-type=ALL"},
                               {"Handlers.hpc.Queue", "at-run"},
                               {"Handlers.hpc.long.Time", "1-12"},
                               {"Rules.Partition.Pod", "true"},
                               {"Rules.Partition.Values[0]", "gpu"},
                               {"Rules.Partition.Values[1]", "cpu"},
                               {"Rules.QOS.Node", "false"},
                               {"Rules.Memory.Maximum", "64G"},
                               {"Rules.Time.Maximum", "2:00:00"},
                               {"Rules.GPUs.Maximum", "4"}});
  INFO(options.status().ToString());
  REQUIRE(options.ok());
  CHECK(options->conf == "/etc/slurm.conf");
  CHECK(options->commands_folder == "/opt/slurm/bin");
  CHECK(options->agent == "/opt/agent");
  CHECK(options->runtime == "/opt/crun");
  CHECK(options->state_folder == "/local");
  CHECK(options->leave_within == std::chrono::seconds(40));
  CHECK(options->message_timeout == std::chrono::seconds(30));
  CHECK(options->allow_root_agents);
  const Profile& profile = options->profiles.at("hpc");
  CHECK(profile.values == Values{{"partition", "gpu,cpu"}, {"memory", "4G"}});
  CHECK(profile.flags == std::vector<std::string>{"--exclusive", "--mail-type=ALL"});
  CHECK(options->profiles.at("hpc.long").values == Values{{"time", "1-12"}});
  CHECK(options->rules.at("partition").pod);
  CHECK(options->rules.at("partition").values == std::vector<std::string>{"gpu", "cpu"});
  CHECK_FALSE(options->rules.at("qos").node);
  CHECK(options->rules.at("memory").maximum == 65536);
  CHECK(options->rules.at("time").maximum == 120);
  CHECK(options->rules.at("gpus").maximum == 4);
}

TEST_CASE("What is wrong is refused with its place and what would be right") {
  const auto [key, value, words] = GENERATE(table<std::string, std::string, std::string>({
      {"JobFolder", "relative", "an absolute path"},
      {"StateFolder", "/a\nb", "an absolute path"},
      {"AgentPath", "", "an absolute path"},
      {"LeaveWithin", "9", "from 10 to 86400"},
      {"LeaveWithin", "5m", "a number of seconds"},
      {"Lease", "300", "unknown option"},
      {"MessageTimeout", "0", "from 1 to 600"},
      {"AllowRootAgents", "yes", "true or false"},
      {"Queue", "at-start", "at-run"},
      {"Handlers.hpc.Queue", "at-start", "at-run"},
      {"SharedPaths[0]", "/home", "unknown option"},
      {"Partition", "gpu", "unknown option"},
      {"Handlers.other.Time", "1", "does not serve handler \"other\""},
      {"Handlers.hpc", "1", "unknown option"},
      {"Handlers.hpc.Nodes", "2", "a handler has: CPUs"},
      {"Handlers.hpc.Time", "soon", "soon"},
      {"Handlers.hpc.Partition", "-x", "-x"},
      {"Handlers.hpc.Flags[0]", "--uid=0", "set by the plugin"},
      {"Rules.Nodes.Pod", "true", "there are rules of: CPUs"},
      {"Rules.Time", "1", "unknown option"},
      {"Rules.Time.Least", "1", "a rule has: Node"},
      {"Rules.Time.Pod", "maybe", "true or false"},
      {"Rules.Time.Maximum", "soon", "soon"},
      {"Rules.GPUs.Maximum", "-1", "a number"},
      {"Rules.QOS.Maximum", "3", "has no maximum"},
      {"Rules.QOS.Values[0]", "", "a value that may be chosen"},
  }));
  CAPTURE(key, value);
  const auto options = Parsed({{key, value}});
  CHECK(options.status().code() == Code::kInvalidArgument);
  CHECK(options.status().message().find("api.yaml:7") == 0);
  CAPTURE(options.status().message());
  CHECK(options.status().message().find(words) != std::string::npos);
}

TEST_CASE("The shared folder must be named") {
  const auto options = Parsed({}, false);
  CHECK(options.status().code() == Code::kInvalidArgument);
  CHECK(options.status().message().find("JobFolder") != std::string::npos);
}

TEST_CASE("Jobs of root need an allowance by name") {
  auto options = *Parsed({});
  CHECK(CheckUser(options, 1000).ok());
  CHECK(CheckUser(options, 0).code() == Code::kPermissionDenied);
  CHECK(CheckUser(options, 0).message().find("AllowRootAgents") != std::string::npos);
  options.allow_root_agents = true;
  CHECK(CheckUser(options, 0).ok());
}

TEST_CASE("An agent gets nonce, job and a folder of its own, which goes when it has ended") {
  const int code = GENERATE(0, 2);
  WrapperRun run("echo \"$@\" >args; for last; do :; done; stat -c %a \"$last\" >mode; exit " +
                 std::to_string(code));
  CHECK(run.Run().exit.code == code);
  const std::string args = ReadFile(run.folder.File("pod/args")).value_or("");
  CHECK(args.find("run --sandbox " + run.command.sandbox.str()) == 0);
  CHECK(args.find("--nonce abc --allocation 42 --state " +
                  run.folder.File("state/interlink-abc")) != std::string::npos);
  CHECK(args.find("--allow-root") == std::string::npos);
  CHECK(ReadFile(run.folder.File("pod/mode")).value_or("") == "700\n");
  CHECK_FALSE(run.StateStays());
}

TEST_CASE("What may still run keeps its folder, and the agent's code is the job's") {
  WrapperRun run("exit 3");
  run.command.allow_root = true;
  CHECK(run.Run().exit.code == 3);
  CHECK(run.StateStays());
}

TEST_CASE("Folders that a container closed go all the same") {
  WrapperRun run("for last; do :; done; mkdir -p \"$last/a/b\"; chmod 000 \"$last/a\"; exit 0");
  CHECK(run.Run().exit.code == 0);
  CHECK_FALSE(run.StateStays());
}

TEST_CASE("TERM reaches the agent, and its own end is waited for") {
  WrapperRun run(
      "trap 'sleep 0.2; echo told >told; exit 0' TERM; kill -TERM $PPID; while :; do sleep 0.05; "
      "done");
  CHECK(run.Run().exit.code == 0);
  CHECK(ReadFile(run.folder.File("pod/told")).value_or("") == "told\n");
  CHECK_FALSE(run.StateStays());
}

TEST_CASE("Without a folder on the machine no agent runs, and the pod says that nothing did") {
  WrapperRun run("touch ran");
  SECTION("somebody was first") {
    REQUIRE(MakeDirectories(run.folder.File("state/interlink-abc"), 0700).ok());
  }
  SECTION("there is none") { run.command.state_folder = run.folder.File("absent"); }
  CHECK(run.Run().exit.code == 116);
  CHECK(ReadFile(run.folder.File("pod/left")).value_or("") == "1 abc ended\n");
  CHECK(access(run.folder.File("pod/ran").c_str(), F_OK) != 0);
}

}  // namespace interlink::slurm
