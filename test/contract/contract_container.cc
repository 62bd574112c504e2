#include <catch2/catch.hpp>

#include "contract/contract_lab.h"
#include "support/eventually.h"

namespace interlink::contract {

TEST_CASE("A container prints its line and completes") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.CreateOk(sandbox, lab.subject().Prints("hello"));
  CHECK(lab.Await(sandbox, id, State::kCreated).state == State::kCreated);

  REQUIRE(lab.backend().StartContainer(lab.call(), sandbox, id).ok());

  const auto down = lab.Await(sandbox, id, State::kDown);
  CHECK(down.exit_code == 0);
  CHECK(down.reason == "Completed");
  CHECK(down.started_ns > 0);
  CHECK(down.finished_ns >= down.started_ns);
  const std::string log = lab.Log(sandbox, id);
  CHECK(log.size() == down.log_end);
  CHECK(log.find(" stdout F hello\n") != std::string::npos);
  CHECK(lab.host().LogWakes(id) > 0);
}

TEST_CASE("An exit code arrives as it was") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().ExitsWith(7));

  const auto down = lab.Await(sandbox, id, State::kDown);

  CHECK(down.exit_code == 7);
  CHECK(down.reason == "Error");
}

TEST_CASE("A container that cannot start says so and never runs") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = MintContainerId();

  const Status created = lab.Create(sandbox, id, lab.subject().CannotStart());
  if (!created.ok()) {
    CHECK(created.code() != Code::kUnavailable);
    return;
  }
  REQUIRE(lab.backend().StartContainer(lab.call(), sandbox, id).ok());
  const auto down = lab.Await(sandbox, id, State::kDown);
  CHECK(down.reason == "StartError");
  CHECK(down.exit_code == 128);
}

TEST_CASE("The stop signal ends a container that hears it, long before the grace") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId running = lab.StartReady(sandbox, lab.subject().RunsForever());
  const auto began = std::chrono::steady_clock::now();

  CHECK(test::Eventually([&] {
    const Status stopped =
        lab.backend().StopContainer(lab.call(), sandbox, running, std::chrono::seconds(60));
    return stopped.ok() && lab.host().Latest(sandbox, running).state == State::kDown;
  }));

  CHECK(lab.host().Latest(sandbox, running).exit_code == 143);
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(20));
}

TEST_CASE("A container that ignores its stop signal is killed after the grace") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartReady(sandbox, lab.subject().IgnoresStop());
  const auto began = std::chrono::steady_clock::now();

  REQUIRE(lab.backend().StopContainer(lab.call(), sandbox, id, std::chrono::seconds(1)).ok());
  const auto down = lab.Await(sandbox, id, State::kDown);

  CHECK(down.exit_code == 137);
  CHECK(std::chrono::steady_clock::now() - began >= std::chrono::milliseconds(900));
}

TEST_CASE("A shorter grace wins") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartReady(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);

  REQUIRE(lab.backend().StopContainer(lab.call(), sandbox, id, std::chrono::seconds(60)).ok());
  REQUIRE(lab.backend().StopContainer(lab.call(), sandbox, id, std::chrono::seconds(0)).ok());

  CHECK(lab.Await(sandbox, id, State::kDown).exit_code == 137);
}

TEST_CASE("A container that was never started can be stopped and removed") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.CreateOk(sandbox, lab.subject().RunsForever());

  REQUIRE(lab.backend().StopContainer(lab.call(), sandbox, id, std::chrono::seconds(5)).ok());
  CHECK(lab.Await(sandbox, id, State::kDown).state == State::kDown);
  CHECK_FALSE(lab.backend().StartContainer(lab.call(), sandbox, id).ok());
  CHECK(lab.backend().RemoveContainer(lab.call(), sandbox, id).ok());
}

TEST_CASE("Each step of a container may be repeated") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.CreateOk(sandbox, lab.subject().IgnoresStop());

  CHECK(lab.Create(sandbox, id, lab.subject().IgnoresStop()).ok());
  CHECK(lab.backend().StartContainer(lab.call(), sandbox, id).ok());
  CHECK(lab.backend().StartContainer(lab.call(), sandbox, id).ok());
  CHECK(lab.backend().RemoveContainer(lab.call(), sandbox, id).ok());
  CHECK(lab.backend().RemoveContainer(lab.call(), sandbox, id).ok());
  CHECK(lab.backend().StopContainer(lab.call(), sandbox, id, std::chrono::seconds(0)).ok());
}

TEST_CASE("An image that was not pulled is refused and nothing is left") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  runtime::v1::ContainerConfig config;
  runtime::v1::PodSandboxConfig pod;
  const ContainerId id = MintContainerId();

  const Status status = lab.backend().CreateContainer(
      lab.call(), {id, sandbox, lab.node(), "sha256:unknown", config, pod});

  CHECK(status.code() == Code::kNotFound);
  CHECK(lab.host().HeldImages() == 0);
}

TEST_CASE("A container in a sandbox that is down is refused") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  REQUIRE(lab.backend().StopSandbox(lab.call(), lab.node(), sandbox).ok());
  lab.Await(sandbox, State::kDown);

  CHECK(lab.Create(sandbox, MintContainerId(), lab.subject().RunsForever()).code() ==
        Code::kFailedPrecondition);
}

}  // namespace interlink::contract
