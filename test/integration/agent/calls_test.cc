// Each method of sdk::Backend, asked of an agent whose backend runs nothing.
#include <catch2/catch.hpp>

#include "agent_hub/agent_calls.h"
#include "agent_lab.h"
#include "running_agent.h"
#include "support/eventually.h"

namespace interlink::test {
namespace {

using State = sdk::Observation::State;

const ContainerId kCalled(std::string(64, 'c'));
const NodeId kNode("node");

Call Now() { return Call::WithTimeout(std::chrono::seconds(20)); }

class CallsLab : public AgentLab {
 public:
  CallsLab() {
    REQUIRE(Eventually([&] { return events.complete_reports() > 0; }));
    const auto config = RunSandboxCommand().run_sandbox().config();
    REQUIRE(calls.RunSandbox(Now(), {pod, kNode, "test", config}).ok());
    REQUIRE(Eventually([&] { return events.Latest(ContainerId()).state == State::kUp; }));
  }
  Status Create(const ContainerId& id, const std::vector<std::string>& argv) {
    const auto command = CreateCommand(id, argv).create_container();
    return calls.CreateContainer(
        Now(), {id, pod, kNode, "sha256:test", command.config(), command.sandbox_config()},
        {.own = {.id = "sha256:test"}, .volumes = {}});
  }

  RunningAgent agent{*this, nonce};
  agent_hub::AgentCalls calls{*hub};
};

TEST_CASE("a backend's methods reach the agent's backend, and its answers come back") {
  CallsLab lab;
  auto& calls = lab.calls;
  REQUIRE(lab.Create(kCalled, {"run"}).ok());
  REQUIRE(calls.StartContainer(Now(), lab.pod, kCalled).ok());

  const auto seen = calls.Observe(Now(), lab.pod);
  REQUIRE(seen.ok());
  REQUIRE(seen->size() == 2);
  for (const auto& fact : *seen) {
    CHECK(fact.sandbox == lab.pod);
    CHECK(fact.state == State::kUp);
  }
  const auto log = calls.ReadLog(Now(), lab.pod, kCalled, 0, 1 << 20);
  REQUIRE(log.ok());
  CHECK(log->next == log->bytes.size());
  CHECK_FALSE(log->end);
  CHECK(calls.Stats(Now(), lab.pod).ok());
  CHECK(calls.Inspect(Now(), lab.pod, kCalled).value_or("").front() == '{');
  runtime::v1::LinuxContainerResources resources;
  resources.set_cpu_shares(512);
  CHECK(calls.UpdateContainer(Now(), lab.pod, kCalled, resources).ok());
  CHECK(calls.UpdateSandbox(Now(), kNode, lab.pod, resources, {}).ok());
  // In the words of a backend that keeps no copies of volumes, not of an agent that lacks the
  // command.
  CHECK(calls.UpdateContents(Now(), lab.pod, kCalled, {}).message() ==
        "this backend has no copies of kubelet's volumes");
  CHECK(calls
            .OpenSession(Now(), {.session = MintSessionId(),
                                 .sandbox = lab.pod,
                                 .container = kCalled,
                                 .argv = {"exit", "0"}})
            .ok());
  CHECK(calls
            .OpenSession(Now(), {.session = MintSessionId(),
                                 .sandbox = lab.pod,
                                 .container = kCalled,
                                 .attach = true})
            .ok());
  CHECK(calls.Dial(Now(), lab.pod, 80).ok());
  CHECK(calls.Dial(Now(), lab.pod, 1).status().code() == Code::kFailedPrecondition);

  REQUIRE(calls.StopContainer(Now(), lab.pod, kCalled, std::chrono::seconds(0)).ok());
  REQUIRE(Eventually([&] { return lab.events.Latest(kCalled).state == State::kDown; }));
  CHECK(calls.RemoveContainer(Now(), lab.pod, kCalled).ok());
  CHECK(calls.StopSandbox(Now(), kNode, lab.pod).ok());
  REQUIRE(Eventually([&] { return lab.events.Latest(ContainerId()).state == State::kDown; }));
  CHECK(calls.RemoveSandbox(Now(), kNode, lab.pod).ok());
  const auto nothing = calls.Observe(Now(), lab.pod);
  REQUIRE(nothing.ok());
  CHECK(nothing->empty());
  CHECK(calls.Leave(Now(), lab.pod).ok());
  CHECK(Eventually([&] { return lab.agent.end().has_value(); }));
}

TEST_CASE("what is larger than a message may be is refused, and the stream lives") {
  CallsLab lab;
  const std::string much(17U << 20U, 'x');

  CHECK(lab.Create(kCalled, {"print", much}).code() == Code::kResourceExhausted);
  CHECK(lab.Create(kCalled, {"run"}).ok());
  CHECK(lab.events.went() == 0);
}

}  // namespace
}  // namespace interlink::test
