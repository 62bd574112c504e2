#include <catch2/catch.hpp>

#include "contract/contract_lab.h"

namespace interlink::contract {

TEST_CASE("A sandbox comes up, goes down when it is stopped, and leaves nothing") {
  ContractLab lab;
  const SandboxId id = lab.RunUp();
  CHECK(lab.Await(id, State::kUp).ips.size() == 1);

  REQUIRE(lab.backend().StopSandbox(lab.call(), lab.node(), id).ok());
  const auto down = lab.Await(id, State::kDown);
  CHECK(down.state == State::kDown);
  CHECK(down.ips.empty());
  CHECK(down.finished_ns >= down.started_ns);

  CHECK(lab.Remove(id).ok());
  const auto seen = lab.backend().Observe(lab.call());
  REQUIRE(seen.ok());
  CHECK(seen->empty());
}

TEST_CASE("Each step of a sandbox may be repeated") {
  ContractLab lab;
  const SandboxId id = lab.RunUp();
  runtime::v1::PodSandboxConfig config;
  config.mutable_metadata()->set_name("again");

  CHECK(
      lab.backend().RunSandbox(lab.call(), {id, lab.node(), lab.subject().handler(), config}).ok());
  CHECK(lab.backend().StopSandbox(lab.call(), lab.node(), id).ok());
  lab.Await(id, State::kDown);
  CHECK(lab.backend().StopSandbox(lab.call(), lab.node(), id).ok());
  CHECK(lab.Remove(id).ok());
  CHECK(lab.Remove(id).ok());
}

TEST_CASE("Stop and remove of what never was succeed") {
  ContractLab lab;
  const SandboxId sandbox = MintSandboxId();
  const ContainerId container = MintContainerId();

  CHECK(lab.backend().StopSandbox(lab.call(), lab.node(), sandbox).ok());
  CHECK(lab.backend().RemoveSandbox(lab.call(), lab.node(), sandbox).ok());
  CHECK(lab.backend().StopContainer(lab.call(), sandbox, container, std::chrono::seconds(1)).ok());
  CHECK(lab.backend().RemoveContainer(lab.call(), sandbox, container).ok());
}

TEST_CASE("Another node cannot stop or remove a sandbox") {
  ContractLab lab;
  const SandboxId id = lab.RunUp();
  const NodeId other("node-2");

  CHECK(lab.backend().StopSandbox(lab.call(), other, id).ok());
  CHECK(lab.backend().RemoveSandbox(lab.call(), other, id).ok());

  const auto seen = lab.backend().Observe(lab.call());
  REQUIRE(seen.ok());
  REQUIRE(seen->size() == 1);
  CHECK(seen->front().state == State::kUp);
}

TEST_CASE("Stopping a sandbox ends its containers, removing it removes them") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId running = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  const ContainerId created = lab.CreateOk(sandbox, lab.subject().RunsForever());

  REQUIRE(lab.backend().StopSandbox(lab.call(), lab.node(), sandbox).ok());

  lab.Await(sandbox, State::kDown);
  CHECK(lab.host().Latest(sandbox, running).state == State::kDown);
  CHECK(lab.host().Latest(sandbox, running).exit_code == 137);
  CHECK(lab.host().Latest(sandbox, created).state == State::kDown);
  CHECK(lab.Remove(sandbox).ok());
}

TEST_CASE("A sandbox is removed with its running containers") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  lab.StartOk(sandbox, lab.subject().IgnoresStop());

  CHECK(lab.Remove(sandbox).ok());
}

}  // namespace interlink::contract
