// What an update does to the cgroup of a local container.
#include <catch2/catch.hpp>

#include "contract/config_text.h"
#include "contract/contract_lab.h"

namespace interlink::contract {
namespace {

using runtime::v1::LinuxContainerResources;

class UpdateLab {
 public:
  UpdateLab() : sandbox(lab.RunUp()), id(lab.StartReady(sandbox, lab.subject().IgnoresStop())) {}

  Status Update(const std::string& limits) {
    return lab.backend().UpdateContainer(lab.call(), sandbox, id,
                                         FromText<LinuxContainerResources>(limits));
  }
  // A file of the container's own cgroup, as cgroup v2 or v1 names it.
  std::string Read(const std::string& v2, const std::string& v1) {
    const std::string root = "/sys/fs/cgroup/";
    return Output("cat " + root + v2 + " 2>/dev/null || cat " + root + v1);
  }
  // What a command in the container prints.
  std::string Output(const std::string& command) {
    const auto exec = lab.Exec(sandbox, id, {"sh", "-c", command});
    REQUIRE(exec.ok());
    const SessionEnd end = ReadSession(exec->get());
    INFO(end.err);
    REQUIRE(end.code == 0);
    return end.out;
  }
  // Of the process that `IgnoresStop` becomes.
  std::string Score() {
    return Output(R"sh(for p in /proc/[0-9]*; do
      read -r name <"$p/comm"; [ "$name" != sleep ] || cat "$p/oom_score_adj"; done)sh");
  }
  std::string Memory() { return Read("memory.max", "memory/memory.limit_in_bytes"); }
  // The quota; v2 has the period beside it.
  std::string Quota() {
    const std::string text = Read("cpu.max", "cpu/cpu.cfs_quota_us");
    return text.substr(0, text.find_first_of(" \n"));
  }

  ContractLab lab;
  const SandboxId sandbox;
  const ContainerId id;
};

constexpr const char* k64M = "67108864\n";
constexpr const char* k32M = "33554432\n";

}  // namespace

TEST_CASE("The cgroup of a running container follows its updates") {
  UpdateLab lab;
  REQUIRE(lab.Memory() != k64M);

  REQUIRE(lab.Update("memory_limit_in_bytes: 67108864 cpu_period: 100000 cpu_quota: 20000").ok());
  CHECK(lab.Memory() == k64M);
  CHECK(lab.Quota() == "20000");

  REQUIRE(lab.Update("memory_limit_in_bytes: 33554432").ok());
  CHECK(lab.Memory() == k32M);
  CHECK(lab.Quota() == "20000");
}

TEST_CASE("An update after a restart changes only what it names") {
  UpdateLab lab;
  REQUIRE(lab.Update("memory_limit_in_bytes: 67108864").ok());
  lab.lab.Restart();

  REQUIRE(lab.Update("cpu_period: 100000 cpu_quota: 30000").ok());

  CHECK(lab.Memory() == k64M);
  CHECK(lab.Quota() == "30000");
}

TEST_CASE("An update that cannot be made leaves the limits as they were") {
  UpdateLab lab;
  REQUIRE(lab.Update("memory_limit_in_bytes: 67108864 cpu_period: 100000 cpu_quota: 20000").ok());

  const Status refused =
      lab.Update(R"(memory_limit_in_bytes: 33554432 cpu_quota: 30000 cpuset_cpus: "4000")");

  CHECK_FALSE(refused.ok());
  CHECK(lab.Memory() == k64M);
  CHECK(lab.Quota() == "20000");
  REQUIRE(lab.Update("memory_limit_in_bytes: 33554432").ok());
  CHECK(lab.Memory() == k32M);
  CHECK(lab.Quota() == "20000");
}

// A zero names no limit, so the undo must name the kernel's own value. (crun 1.8.1 ignores a quota
// of -1: a quota stays.)
TEST_CASE("An update that cannot be made leaves a container without limits as it was") {
  UpdateLab lab;
  const std::string memory = lab.Memory();

  const Status refused = lab.Update(R"(memory_limit_in_bytes: 33554432 cpuset_cpus: "4000")");

  REQUIRE_FALSE(refused.ok());
  CHECK(lab.Memory() == memory);
}

// kubelet's resize in place brings the score that follows from the new request. It was refused, and
// with it every resize of a burstable pod.
TEST_CASE("A running container follows a new score for the OOM killer") {
  UpdateLab lab;

  REQUIRE(lab.Update("oom_score_adj: 500 memory_limit_in_bytes: 67108864").ok());
  CHECK(lab.Score() == "500\n");
  CHECK(lab.Memory() == k64M);

  REQUIRE(lab.Update("oom_score_adj: 300").ok());
  CHECK(lab.Score() == "300\n");
}

TEST_CASE("A process that chose its own score for the OOM killer keeps it") {
  UpdateLab lab;
  const std::string pid = lab.Output(
      "echo 700 >/proc/self/oom_score_adj; sleep 1000 </dev/null >/dev/null 2>&1 & echo $!");

  REQUIRE(lab.Update("oom_score_adj: 500").ok());

  CHECK(lab.Output("cat /proc/" + pid.substr(0, pid.size() - 1) + "/oom_score_adj") == "700\n");
}

TEST_CASE("An update that cannot be made leaves the score for the OOM killer") {
  UpdateLab lab;
  REQUIRE(lab.Update("oom_score_adj: 500").ok());

  const Status refused = lab.Update(R"(oom_score_adj: 600 cpuset_cpus: "4000")");

  REQUIRE_FALSE(refused.ok());
  CHECK(lab.Score() == "500\n");
}

TEST_CASE("A container that has ended is not updated") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().ExitsWith(0));
  lab.Await(sandbox, id, State::kDown);
  const auto limits = FromText<LinuxContainerResources>("memory_limit_in_bytes: 67108864");

  CHECK(lab.backend().UpdateContainer(lab.call(), sandbox, id, limits).code() ==
        Code::kFailedPrecondition);
}

TEST_CASE("Limits of a whole pod are not built, and another node's pod is not found") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const auto limits = FromText<LinuxContainerResources>("memory_limit_in_bytes: 67108864");
  const auto update = [&](const NodeId& node) {
    return lab.backend().UpdateSandbox(lab.call(), node, sandbox, limits, {}).code();
  };

  CHECK(update(lab.node()) == Code::kUnimplemented);
  CHECK(update(NodeId("node-2")) == Code::kNotFound);
}

}  // namespace interlink::contract
