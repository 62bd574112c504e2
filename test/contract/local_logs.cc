// Wakes of a log's reader.
#include <catch2/catch.hpp>

#include "contract/contract_lab.h"
#include "shim/client.h"
#include "support/eventually.h"

namespace interlink::contract {
namespace {

int64_t Deadline() { return shim::MonotonicMs() + 30'000; }

}  // namespace

// A reader acknowledges whole lines only. What it has read beyond them, it reads again.
TEST_CASE("A reader that has read all is woken also when it has not acknowledged all") {
  ContractLab lab;
  const SandboxId sandbox = lab.RunUp();
  runtime::v1::ContainerConfig config;
  config.set_stdin(true);
  const ContainerId id = MintContainerId();
  REQUIRE(lab.Create(sandbox, id, lab.subject().EchoesStdin(), config).ok());
  REQUIRE(lab.backend().StartContainer(lab.call(), sandbox, id).ok());
  lab.Await(sandbox, id, sdk::Observation::State::kUp);
  sdk::SessionSpec spec;
  spec.sandbox = sandbox;
  spec.container = id;
  spec.attach = true;
  spec.in = true;
  spec.session = MintSessionId();
  const auto writer = lab.backend().OpenSession(lab.call(), spec);
  REQUIRE(writer.ok());
  const auto say = [&](const char* line) {
    REQUIRE(shim::SendFrame(writer->get(), shim::FrameType::kStdin, line, Deadline()) == 0);
  };
  const auto has = [&](const char* text) {
    const auto chunk = lab.backend().ReadLog(lab.call(), sandbox, id, 0, 4096);
    return chunk.ok() && chunk->bytes.find(text) != std::string::npos;
  };
  say("one\n");
  REQUIRE(test::Eventually([&] { return has("one\n"); }));
  // Else that of the first line might come for the second's.
  REQUIRE(test::Eventually([&] { return lab.host().LogWakes(id) > 0; }));
  const int wakes = lab.host().LogWakes(id);

  say("two\n");

  CHECK(
      test::Eventually([&] { return lab.host().LogWakes(id) > wakes; }, std::chrono::seconds(10)));
  CHECK(test::Eventually([&] { return has("two\n"); }));
}

}  // namespace interlink::contract
