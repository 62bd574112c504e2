#include "agent_hub/facts.h"

#include <catch2/catch.hpp>

#include "agent/facts.h"
#include "interlink/agent/v1/agent.pb.h"

namespace interlink::agent_hub {
namespace {

using State = sdk::Observation::State;

const SandboxId kPod(std::string(64, '1'));

TEST_CASE("an observation comes out of the agent's fact as it went in") {
  sdk::Observation seen;
  seen.node = NodeId("node-1");
  seen.sandbox = kPod;
  seen.container = ContainerId(std::string(64, 'c'));
  seen.state = GENERATE(State::kPending, State::kCreated, State::kUp, State::kDown, State::kFailed,
                        State::kAbsent);
  seen.revision = 7;
  seen.exit_code = 137;
  seen.log_end = 1ULL << 40U;
  seen.started_ns = 5;
  seen.finished_ns = 6;
  seen.reason = "OOMKilled";
  seen.message = "too much";
  seen.ips = {"10.0.0.1", "fd00::1"};
  seen.termination_message = std::string("a\0\xff", 3);
  seen.user_known = true;
  seen.uid = 1000;
  seen.gid = 2000;
  seen.supplemental_groups = {1, 2};
  seen.config = std::string("\x01\xff", 2);
  seen.handler = "slurm";
  seen.image_id = "sha256:1";

  const auto back = FromFact(kPod, agent::ToFact(seen));

  REQUIRE(back.ok());
  CHECK(back->node == seen.node);
  CHECK(back->sandbox == seen.sandbox);
  CHECK(back->container == seen.container);
  CHECK(back->state == seen.state);
  CHECK(back->revision == seen.revision);
  CHECK(back->exit_code == seen.exit_code);
  CHECK(back->log_end == seen.log_end);
  CHECK(back->started_ns == seen.started_ns);
  CHECK(back->finished_ns == seen.finished_ns);
  CHECK(back->reason == seen.reason);
  CHECK(back->message == seen.message);
  CHECK(back->ips == seen.ips);
  CHECK(back->termination_message == seen.termination_message);
  CHECK(back->user_known);
  CHECK(back->uid == seen.uid);
  CHECK(back->gid == seen.gid);
  CHECK(back->supplemental_groups == seen.supplemental_groups);
  CHECK(back->config == seen.config);
  CHECK(back->handler == seen.handler);
  CHECK(back->image_id == seen.image_id);
}

TEST_CASE("a fact that no agent of this protocol says is refused") {
  agent::v1::Fact fact;
  SECTION("a container id that could become a path") { fact.set_container_id("../x"); }
  SECTION("a state that is not known") { fact.set_state(static_cast<agent::v1::Fact::State>(77)); }

  CHECK(FromFact(kPod, fact).status().code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace interlink::agent_hub
