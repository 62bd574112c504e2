#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "contract/contract_lab.h"
#include "shim/client.h"
#include "support/eventually.h"

namespace interlink::contract {
namespace {

int64_t Soon() { return shim::MonotonicMs() + 30'000; }

}  // namespace

TEST_CASE("An exec carries its output and its exit code") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);

  const auto prints = lab.Exec(sandbox, id, lab.subject().Prints("from inside"));
  REQUIRE(prints.ok());
  const SessionEnd printed = ReadSession(prints->get());
  CHECK(printed.out.rfind("from inside", 0) == 0);
  CHECK(printed.code == 0);

  const auto fails = lab.Exec(sandbox, id, lab.subject().ExitsWith(3));
  REQUIRE(fails.ok());
  CHECK(ReadSession(fails->get()).code == 3);
}

TEST_CASE("An exec reads its stdin until it is closed") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);

  const auto session = lab.Exec(sandbox, id, lab.subject().EchoesStdin(), true);
  REQUIRE(session.ok());
  const char closes = static_cast<char>(shim::FrameType::kStdin);
  REQUIRE(shim::SendFrame(session->get(), shim::FrameType::kStdin, "ping", Soon()) == 0);
  REQUIRE(shim::SendFrame(session->get(), shim::FrameType::kClose, {&closes, 1}, Soon()) == 0);

  const SessionEnd end = ReadSession(session->get());
  CHECK(end.out == "ping");
  CHECK(end.code == 0);
}

TEST_CASE("A killed exec ends with 137") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);

  const auto session = lab.Exec(sandbox, id, lab.subject().SleepsLong(), false, true);
  REQUIRE(session.ok());
  REQUIRE(shim::SendFrame(session->get(), shim::FrameType::kKill, "", Soon()) == 0);

  CHECK(ReadSession(session->get()).code == 137);
}

TEST_CASE("A session needs a running container") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.CreateOk(sandbox, lab.subject().IgnoresStop());

  CHECK(lab.Exec(sandbox, id, lab.subject().Prints("x")).status().code() ==
        Code::kFailedPrecondition);
  CHECK(lab.Exec(sandbox, MintContainerId(), lab.subject().Prints("x")).status().code() ==
        Code::kNotFound);
}

TEST_CASE("A port where nothing listens is an error") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();

  CHECK_FALSE(lab.backend().Dial(lab.call(), sandbox, 1).ok());
  CHECK(lab.backend().Dial(lab.call(), MintSandboxId(), 80).status().code() == Code::kNotFound);
}

TEST_CASE("Every running container and its sandbox have memory and processor numbers") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().IgnoresStop());
  lab.Await(sandbox, id, State::kUp);

  const auto usage = lab.backend().Stats(lab.call());

  REQUIRE(usage.ok());
  REQUIRE(usage->containers.size() == 1);
  CHECK(usage->containers[0].attributes().id() == id.str());
  CHECK(usage->containers[0].cpu().timestamp() > 0);
  CHECK(usage->containers[0].memory().timestamp() > 0);
  CHECK(usage->containers[0].memory().working_set_bytes().value() > 0);
  REQUIRE(usage->sandboxes.size() == 1);
  CHECK(usage->sandboxes[0].attributes().id() == sandbox.str());
}

TEST_CASE("What can be inspected is a JSON object; what is not there is not found") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.CreateOk(sandbox, lab.subject().RunsForever());

  for (const ContainerId& what : {ContainerId(), id}) {
    const auto info = lab.backend().Inspect(lab.call(), sandbox, what);
    REQUIRE(info.ok());
    CHECK(info->front() == '{');
  }
  CHECK(lab.backend().Inspect(lab.call(), sandbox, MintContainerId()).status().code() ==
        Code::kNotFound);
}

TEST_CASE("A log is read in pieces, and reading it again from an offset gives the same") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartOk(sandbox, lab.subject().Prints("0123456789"));
  lab.Await(sandbox, id, State::kDown);
  const std::string all = lab.Log(sandbox, id);

  const auto piece = lab.backend().ReadLog(lab.call(), sandbox, id, 5, 7);
  REQUIRE(piece.ok());
  CHECK(piece->bytes == all.substr(5, 7));
  CHECK(piece->next == 12);
  CHECK_FALSE(piece->end);
}

}  // namespace interlink::contract
