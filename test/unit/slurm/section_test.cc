// The plugin's section of the configuration, and what a job runs because of it.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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
    spawn.environment = {"PATH=" + folder.File("tools") + ":/usr/bin:/bin", "INTERLINK_CLAIM=abc",
                         "SLURM_JOB_ID=42"};
    spawn.environment.insert(spawn.environment.end(), environment.begin(), environment.end());
    const auto output = RunCommand(Soon(), spawn);
    REQUIRE(output.ok());
    return *output;
  }
  // A command that the scheduler's TERM reaches, as every process of the job, when it begins.
  void TellDuring(const std::string& tool, const std::string& whom) {
    REQUIRE(MakeDirectories(folder.File("tools"), 0700).ok());
    REQUIRE(WriteFileAtomically(
                folder.File("tools/" + tool),
                "#!/bin/sh\nkill -TERM " + whom + "\nexec /bin/" + tool + " \"$@\"\n", 0700)
                .ok());
  }
  std::string Left() const { return ReadFile(folder.File("pod/left")).value_or(""); }
  bool StateStays() const { return access(folder.File("state/interlink-abc").c_str(), F_OK) == 0; }

  test::TemporaryFolder folder;
  AgentCommand command;
  std::vector<std::string> environment;  // besides
};

}  // namespace

TEST_CASE("The way of agents to the hub is one of three") {
  CHECK(Parsed({})->transport == Transport::kDirect);
  const auto [text, transport] = GENERATE(table<std::string, Transport>(
      {{"direct", Transport::kDirect}, {"srun", Transport::kSrun}, {"auto", Transport::kAuto}}));
  CHECK(Parsed({{"Transport", text}})->transport == transport);
  const auto wrong = Parsed({{"Transport", "ssh"}});
  CHECK(wrong.status().message() == "api.yaml:7: \"Transport\" must be direct, srun or auto");
}

TEST_CASE("A folder of compute nodes that is too long for a relay's socket is refused") {
  const std::string long_one = "/" + std::string(52, 's');
  CHECK(Parsed({{"StateFolder", long_one}}).ok());
  CHECK(Parsed({{"StateFolder", long_one.substr(0, 52)}, {"Transport", "srun"}}).ok());
  const auto refused = Parsed({{"StateFolder", long_one}, {"Transport", "auto"}});
  CHECK(refused.status().code() == Code::kInvalidArgument);
  CHECK(refused.status().message().find("\"StateFolder\" has more than 52 bytes") !=
        std::string::npos);
}

TEST_CASE("Without options but a folder there are defaults") {
  const auto options = Parsed({});
  REQUIRE(options.ok());
  CHECK(options->job_folder == "/shared/jobs");
  CHECK(options->agent == "/usr/sbin/interlink-agent");
  CHECK(options->engine == "crun");
  CHECK(options->runtime == "/usr/bin/crun");
  CHECK(options->state_folder == "/tmp");
  CHECK(options->leave_within == std::chrono::seconds(25));
  CHECK(options->message_timeout == std::chrono::seconds(10));
  CHECK(options->begin_within == std::chrono::seconds(600));
  CHECK_FALSE(options->allow_root_agents);
  CHECK(options->profiles.size() == 2);
  CHECK(options->rules.at("partition").node);
  CHECK_FALSE(options->rules.at("partition").pod);
}

TEST_CASE("The engine is one of the table's, and its program is where that usually is") {
  const auto options = Parsed({{"Engine", "ch-run"}});
  REQUIRE(options.ok());
  CHECK(options->engine == "ch-run");
  CHECK(options->runtime == "/usr/bin/ch-run");
  CHECK(Parsed({{"RuntimePath", "/opt/ch-run"}, {"Engine", "ch-run"}})->runtime == "/opt/ch-run");
  CHECK(Parsed({{"Engine", "enroot"}}).status().message() ==
        "api.yaml:7: \"Engine\" must be crun or ch-run");
  const auto refused = Parsed({{"AllowRootAgents", "true"}, {"Engine", "ch-run"}});
  CHECK(refused.status().code() == Code::kInvalidArgument);
  CHECK(refused.status().message().find("\"Engine\" ch-run gives a container one id only") !=
        std::string::npos);
}

TEST_CASE("An agent is told its engine, unless it is the one that it would take") {
  AgentCommand command;
  command.runtime = "/usr/bin/ch-run";
  const auto told = [&] {
    const auto words = AgentWords(command);
    const auto at = std::find(words.begin(), words.end(), "--engine");
    return at == words.end() ? std::string() : *(at + 1);
  };
  CHECK(told().empty());
  command.engine = "ch-run";
  CHECK(told() == "ch-run");
}

TEST_CASE("Each option has its place") {
  const auto options = Parsed({{"SlurmConf", "/etc/slurm.conf"},
                               {"CommandsFolder", "/opt/slurm/bin/"},
                               {"AgentPath", "/opt/agent"},
                               {"RuntimePath", "/opt/crun"},
                               {"StateFolder", "/local"},
                               {"LeaveWithin", "40"},
                               {"MessageTimeout", "30"},
                               {"BeginWithin", "60"},
                               {"AllowRootAgents", "true"},
                               {"JobUser", "mapped"},
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
  CHECK(options->begin_within == std::chrono::seconds(60));
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
      {"BeginWithin", "9", "from 10 to 86400"},
      {"AllowRootAgents", "yes", "true or false"},
      {"JobUser", "alice", "own or mapped"},
      {"Queue", "late", "at-run or at-start"},
      {"Handlers.hpc.Queue", "", "at-run or at-start"},
      {"SharedPaths[0]", "/home", "unknown option"},
      {"Partition", "gpu", "unknown option"},
      {"Handlers.other.Time", "1", "does not serve handler \"other\""},
      {"Handlers.hpc", "1", "unknown option"},
      {"Handlers.hpc.Nodes", "2", "a handler has: CPUs"},
      {"Handlers.hpc.AllowedHostPaths[0]", "scratch", "an absolute path"},
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

TEST_CASE("Only root can run jobs of others, and needs no other allowance for them") {
  auto options = *Parsed({{"JobUser", "mapped"}});
  CHECK(CheckUser(options, 0).ok());
  CHECK(CheckUser(options, 1000).code() == Code::kPermissionDenied);
  CHECK(CheckUser(options, 1000).message().find("JobUser") != std::string::npos);
  options = *Parsed({{"JobUser", "own"}});
  CHECK_FALSE(options.mapped_users);
  CHECK(CheckUser(options, 1000).ok());
}

TEST_CASE("An agent gets nonce, job and a folder of its own, which goes when it has ended") {
  const int code = GENERATE(0, 2, 117);
  WrapperRun run("echo \"$@\" >args; for last; do :; done; stat -c %a \"$last\" >mode; exit " +
                 std::to_string(code));
  CHECK(run.Run().exit.code == code);
  const std::string args = ReadFile(run.folder.File("pod/args")).value_or("");
  CHECK(args.find("run --sandbox " + run.command.sandbox.str()) == 0);
  CHECK(args.find("--nonce abc --allocation 42 --memory-mib 0 --cpus 0 --state " +
                  run.folder.File("state/interlink-abc")) != std::string::npos);
  CHECK(args.find("--allow-root") == std::string::npos);
  CHECK(ReadFile(run.folder.File("pod/mode")).value_or("") == "700\n");
  CHECK_FALSE(run.StateStays());
}

TEST_CASE("An agent is told what its pods may mount, and nothing where that is nothing") {
  WrapperRun run("echo \"$@\" >args; exit 0");
  SECTION("nothing") {
    CHECK(run.Run().exit.code == 0);
    CHECK(ReadFile(run.folder.File("pod/args")).value_or("").find("--handler") ==
          std::string::npos);
  }
  SECTION("two paths") {
    run.command.handler = "hpc";
    run.command.allowed_host_paths = {"/scratch", "/with space"};
    CHECK(run.Run().exit.code == 0);
    CHECK_THAT(
        ReadFile(run.folder.File("pod/args")).value_or(""),
        Catch::Contains("--handler hpc --allow-host-path /scratch --allow-host-path /with space"));
  }
}

TEST_CASE("An agent is told what its job has, where SLURM says it in numbers") {
  using Words = std::vector<std::string>;
  const auto [environment, words] = GENERATE(table<Words, std::string>({
      {{"SLURM_CPUS_ON_NODE=4", "SLURM_MEM_PER_NODE=2048"}, "--memory-mib 2048 --cpus 4"},
      {{"SLURM_CPUS_ON_NODE=4", "SLURM_MEM_PER_CPU=64"}, "--memory-mib 256 --cpus 4"},
      {{"SLURM_CPUS_ON_NODE=4"}, "--memory-mib 0 --cpus 4"},
      {{"SLURM_MEM_PER_CPU=64"}, "--memory-mib 0 --cpus 0"},
      {{"SLURM_CPUS_ON_NODE=4(x2)", "SLURM_MEM_PER_NODE=2G"}, "--memory-mib 0 --cpus 0"},
  }));
  WrapperRun run("echo \"$@\" >args; exit 0");
  run.environment = environment;
  CHECK(run.Run().exit.code == 0);
  CHECK_THAT(ReadFile(run.folder.File("pod/args")).value_or(""), Catch::Contains(words));
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

// A cancelled job's TERM came while its agent's folder was being removed: rm died of it, and the
// rest stayed on the compute node for ever.
TEST_CASE("TERM does not stop what takes the agent's folder away") {
  WrapperRun run("for last; do :; done; mkdir -p \"$last/pods\"; exit 0");
  const std::string tool = GENERATE("rm", "chmod");
  run.TellDuring(tool, "$$");
  CHECK(run.Run().exit.code == 0);
  CHECK_FALSE(run.StateStays());
}

// Given back just when it began, a pod waited for its agent's lease and 90 s more.
TEST_CASE("A job that is told before its agent has begun says that nothing ran") {
  WrapperRun run("touch ran; kill -TERM $$");
  SECTION("before it is started") {
    run.TellDuring("mkdir", "$PPID");
    CHECK(run.Run().exit.code == 143);
    CHECK(access(run.folder.File("pod/ran").c_str(), F_OK) != 0);
  }
  SECTION("while it starts") { CHECK(run.Run().exit.code == 143); }
  CHECK(run.Left() == "1 abc ended\n");
  CHECK_FALSE(run.StateStays());
}

TEST_CASE("An agent that may have begun is not spoken for, however it ended") {
  WrapperRun run("for last; do :; done; mkdir -p \"$last/pods\"; kill -TERM $$");
  CHECK(run.Run().exit.code == 143);
  CHECK(run.Left().empty());
  CHECK(run.StateStays());
}

TEST_CASE("Without a folder on the machine no agent runs, and the pod says that nothing did") {
  WrapperRun run("touch ran");
  SECTION("somebody was first") {
    REQUIRE(MakeDirectories(run.folder.File("state/interlink-abc"), 0700).ok());
  }
  SECTION("there is none") { run.command.state_folder = run.folder.File("absent"); }
  CHECK(run.Run().exit.code == 116);
  CHECK(run.Left() == "1 abc ended\n");
  CHECK(access(run.folder.File("pod/ran").c_str(), F_OK) != 0);
}

}  // namespace interlink::slurm
