#include <catch2/catch.hpp>
#include <map>
#include <utility>

#include "contract/contract_lab.h"
#include "site/field_walk.h"
#include "support/eventually.h"

namespace interlink::contract {
namespace {

using runtime::v1::LinuxContainerResources;

LinuxContainerResources Limits() {
  LinuxContainerResources limits;
  limits.set_memory_limit_in_bytes(64 << 20);
  limits.set_cpu_period(100'000);
  limits.set_cpu_quota(20'000);
  limits.set_cpu_shares(512);
  return limits;
}

sdk::FieldLists HonouredOnly(const sdk::FieldLists& lists) { return {lists.honoured, {}, {}}; }

// What a backend honours it does; of all else it says that it does not, or has it bounded.
void CheckAnswer(const Status& status, bool honoured) {
  INFO(status.ToString());
  CHECK((status.ok() || (!honoured && status.code() == Code::kUnimplemented)));
}

bool HonoursLimits(ContractLab& lab) {
  runtime::v1::ContainerConfig config;
  *config.mutable_linux()->mutable_resources() = Limits();
  const auto lists = HonouredOnly(lab.backend().Describe().container);
  return site::RefuseUnsupported(config, lists, "h").ok();
}

using Facts = std::map<std::pair<std::string, std::string>, State>;

Facts Observed(ContractLab& lab) {
  const auto seen = lab.backend().Observe(lab.call());
  REQUIRE(seen.ok());
  Facts facts;
  for (const sdk::Observation& fact : *seen) {
    CHECK(fact.node == lab.node());
    CHECK(fact.handler == lab.subject().handler());
    CHECK(facts.emplace(std::pair(fact.sandbox.str(), fact.container.str()), fact.state).second);
  }
  return facts;
}

}  // namespace

TEST_CASE("Limits change on a container that runs, twice alike, and it goes on") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartReady(sandbox, lab.subject().IgnoresStop());

  for (int i = 0; i < 2; ++i) {
    CheckAnswer(lab.backend().UpdateContainer(lab.call(), sandbox, id, Limits()),
                HonoursLimits(lab));
  }

  CHECK(Observed(lab).at({sandbox.str(), id.str()}) == State::kUp);
  const auto exec = lab.Exec(sandbox, id, lab.subject().Prints("alive"));
  REQUIRE(exec.ok());
  CHECK(ReadSession(exec->get()).out.rfind("alive", 0) == 0);
}

TEST_CASE("Limits change on a container that was not started, and it starts") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.CreateOk(sandbox, lab.subject().Prints("hello"));

  CheckAnswer(lab.backend().UpdateContainer(lab.call(), sandbox, id, Limits()), HonoursLimits(lab));

  CHECK(Observed(lab).at({sandbox.str(), id.str()}) == State::kCreated);
  REQUIRE(lab.backend().StartContainer(lab.call(), sandbox, id).ok());
  CHECK(lab.Await(sandbox, id, State::kDown).exit_code == 0);
}

// A site whose store knows less takes the limits from there.
TEST_CASE("What is told of a container has its last limits, also after a restart") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartReady(sandbox, lab.subject().IgnoresStop());
  const Status updated = lab.backend().UpdateContainer(lab.call(), sandbox, id, Limits());
  CheckAnswer(updated, HonoursLimits(lab));
  if (!updated.ok()) return;
  const auto told = [&](const std::vector<sdk::Observation>& facts) {
    runtime::v1::ContainerConfig config;
    for (const sdk::Observation& fact : facts) {
      if (fact.container == id) CHECK(config.ParseFromString(fact.config));
    }
    return config.linux().resources().SerializeAsString();
  };

  const auto seen = lab.backend().Observe(lab.call());
  REQUIRE(seen.ok());
  CHECK(told(*seen) == Limits().SerializeAsString());
  CHECK(told(lab.Restart()) == Limits().SerializeAsString());
}

TEST_CASE("An update of what is not there is not found") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId removed = lab.CreateOk(sandbox, lab.subject().RunsForever());
  REQUIRE(lab.backend().RemoveContainer(lab.call(), sandbox, removed).ok());
  const auto update = [&](const SandboxId& pod, const ContainerId& id) {
    return lab.backend().UpdateContainer(lab.call(), pod, id, Limits()).code();
  };

  CHECK(update(sandbox, removed) == Code::kNotFound);
  CHECK(update(sandbox, MintContainerId()) == Code::kNotFound);
  CHECK(update(MintSandboxId(), MintContainerId()) == Code::kNotFound);
  CHECK(lab.backend().UpdateSandbox(lab.call(), lab.node(), MintSandboxId(), Limits(), {}).code() ==
        Code::kNotFound);
}

TEST_CASE("Limits of a pod change where the backend honours them, else it says so") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  runtime::v1::PodSandboxConfig config;
  *config.mutable_linux()->mutable_resources() = Limits();
  *config.mutable_linux()->mutable_overhead() = Limits();
  const auto lists = HonouredOnly(lab.backend().Describe().sandbox);

  CheckAnswer(lab.backend().UpdateSandbox(lab.call(), lab.node(), sandbox, Limits(), Limits()),
              site::RefuseUnsupported(config, lists, "h").ok());

  CHECK(Observed(lab).at({sandbox.str(), ""}) == State::kUp);
}

TEST_CASE("One query answers for everything, also after changes") {
  ContractLab lab;
  const SandboxId up = lab.RunUp();
  const ContainerId running = lab.StartReady(up, lab.subject().IgnoresStop());
  const ContainerId created = lab.CreateOk(up, lab.subject().RunsForever());
  const ContainerId ended = lab.StartOk(up, lab.subject().ExitsWith(3));
  const ContainerId removed = lab.CreateOk(up, lab.subject().RunsForever());
  const SandboxId down = lab.RunUp();
  const ContainerId killed = lab.StartOk(down, lab.subject().IgnoresStop());
  const SandboxId gone = lab.RunUp();
  lab.Await(up, ended, State::kDown);
  CheckAnswer(lab.backend().UpdateContainer(lab.call(), up, running, Limits()), HonoursLimits(lab));
  REQUIRE(lab.backend().RemoveContainer(lab.call(), up, removed).ok());
  REQUIRE(lab.backend().StopSandbox(lab.call(), lab.node(), down).ok());
  lab.Await(down, State::kDown);
  REQUIRE(test::Eventually([&] { return lab.Remove(gone).ok(); }));

  const Facts facts = Observed(lab);

  const Facts expected = {
      {{up.str(), ""}, State::kUp},
      {{up.str(), running.str()}, State::kUp},
      {{up.str(), created.str()}, State::kCreated},
      {{up.str(), ended.str()}, State::kDown},
      {{down.str(), ""}, State::kDown},
      {{down.str(), killed.str()}, State::kDown},
  };
  CHECK(facts == expected);
}

}  // namespace interlink::contract
