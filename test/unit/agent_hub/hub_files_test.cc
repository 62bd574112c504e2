#include "agent_hub/hub_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "base/file.h"
#include "support/manual_clock.h"
#include "support/temporary_folder.h"

namespace interlink::agent_hub {
namespace {

const SandboxId kBoundPod(std::string(64, '1'));
const std::string kNonceA(32, 'a');
const std::string kNonceB(32, 'b');

HubFiles Open(const std::string& folder, const Clock& clock) {
  auto opened = HubFiles::Open(folder, clock);
  INFO(opened.status().ToString());
  REQUIRE(opened.ok());
  return *opened;
}

TEST_CASE("each start has a higher term, whatever the clock says") {
  const test::TemporaryFolder folder;
  test::ManualClock clock;

  const uint64_t first = Open(folder.path(), clock).term();
  const uint64_t second = Open(folder.path(), clock).term();
  clock.SetWall(0);
  const uint64_t third = Open(folder.path(), clock).term();

  CHECK(second == first + 1);
  CHECK(third == second + 1);
}

TEST_CASE("a folder from a backup begins above the terms that agents have seen since") {
  const test::TemporaryFolder folder;
  test::ManualClock clock;
  Open(folder.path(), clock);
  const auto backup = ReadFile(folder.File("term"));
  REQUIRE(backup.ok());
  uint64_t seen = 0;
  for (int i = 0; i < 5; ++i) seen = Open(folder.path(), clock).term();

  clock.Advance(std::chrono::minutes(1));
  REQUIRE(WriteFileAtomically(folder.File("term"), *backup, 0600).ok());

  CHECK(Open(folder.path(), clock).term() > seen);
}

TEST_CASE("the agent key is made once, for its owner only") {
  const test::TemporaryFolder folder;
  const test::ManualClock clock;

  const std::string key = Open(folder.path(), clock).agent_key();
  CHECK(key.size() == 64);
  CHECK(Open(folder.path(), clock).agent_key() == key);
  struct stat about {};
  REQUIRE(stat(folder.File("agent.key").c_str(), &about) == 0);
  CHECK((about.st_mode & 0777U) == 0600U);

  REQUIRE(chmod(folder.File("agent.key").c_str(), 0640) == 0);
  CHECK(HubFiles::Open(folder.path(), clock).status().code() == Code::kPermissionDenied);
}

TEST_CASE("the first nonce has the sandbox for ever") {
  const test::TemporaryFolder folder;
  const test::ManualClock clock;
  const HubFiles files = Open(folder.path(), clock);

  CHECK(files.BoundTo(kBoundPod).value_or("?").empty());
  CHECK(files.Bind(kBoundPod, kNonceA).value_or("?") == kNonceA);
  CHECK(files.Bind(kBoundPod, kNonceB).value_or("?") == kNonceA);
  CHECK(files.Bind(kBoundPod, kNobody).value_or("?") == kNonceA);
  CHECK(files.Bind(kBoundPod, kNonceA).value_or("?") == kNonceA);
  CHECK(Open(folder.path(), clock).BoundTo(kBoundPod).value_or("?") == kNonceA);
}

TEST_CASE("a sandbox that the site has taken is nobody's") {
  const test::TemporaryFolder folder;
  const test::ManualClock clock;
  const HubFiles files = Open(folder.path(), clock);

  CHECK(files.Bind(kBoundPod, kNobody).value_or("?") == kNobody);
  CHECK(Open(folder.path(), clock).Bind(kBoundPod, kNonceA).value_or("?") == kNobody);
}

TEST_CASE("of many that bind at once, one wins and all are told the same") {
  const test::TemporaryFolder folder;
  const test::ManualClock clock;
  const HubFiles files = Open(folder.path(), clock);
  constexpr int kThreads = 8;
  std::vector<std::string> told(kThreads);

  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        told[static_cast<size_t>(i)] =
            files.Bind(kBoundPod, std::string(32, static_cast<char>('0' + i))).value_or("error");
      });
    }
  }

  for (const std::string& one : told) CHECK(one == told.front());
  CHECK(IsNonce(told.front()));
}

TEST_CASE("a last word is the bound agent's, and outlives a restart") {
  const test::TemporaryFolder folder;
  const test::ManualClock clock;
  const HubFiles files = Open(folder.path(), clock);

  CHECK(files.WriteLeft(kBoundPod, kNonceA).code() == Code::kFailedPrecondition);
  REQUIRE(files.Bind(kBoundPod, kNonceA).ok());
  CHECK(files.WriteLeft(kBoundPod, kNonceB).code() == Code::kFailedPrecondition);
  CHECK_FALSE(files.HasLeft(kBoundPod).value());

  REQUIRE(files.WriteLeft(kBoundPod, kNonceA).ok());
  CHECK(files.WriteLeft(kBoundPod, kNonceA).ok());
  CHECK(Open(folder.path(), clock).HasLeft(kBoundPod).value());

  REQUIRE(files.Forget(kBoundPod).ok());
  CHECK_FALSE(files.HasLeft(kBoundPod).value());
  CHECK(std::filesystem::is_empty(folder.File("left")));
}

TEST_CASE("nobody who was shut out has a last word") {
  const test::TemporaryFolder folder;
  const test::ManualClock clock;
  const HubFiles files = Open(folder.path(), clock);
  REQUIRE(files.Bind(kBoundPod, kNobody).ok());

  CHECK(files.WriteLeft(kBoundPod, kNobody).code() == Code::kFailedPrecondition);
  CHECK_FALSE(files.HasLeft(kBoundPod).value());
}

TEST_CASE("a forgotten sandbox can be bound again") {
  const test::TemporaryFolder folder;
  const test::ManualClock clock;
  const HubFiles files = Open(folder.path(), clock);
  REQUIRE(files.Bind(kBoundPod, kNonceA).ok());

  REQUIRE(files.Forget(kBoundPod).ok());
  REQUIRE(files.Forget(kBoundPod).ok());

  CHECK(files.Bind(kBoundPod, kNonceB).value_or("?") == kNonceB);
}

// Killed at its writes again and again, a site had files that nobody removed.
TEST_CASE("what a crash has left of writes goes with the next start, and nothing else") {
  const test::TemporaryFolder folder;
  const test::ManualClock clock;
  REQUIRE(Open(folder.path(), clock).Bind(kBoundPod, kNonceA).ok());
  const std::string key = ReadFile(folder.File("agent.key")).value_or("");
  const std::vector<std::string> cut = {
      "agent.key.tmp-0123456789ab", "term.tmp-0123456789ab",
      "bound/" + std::string(64, '2') + ".0123456789abcdef",
      "bound/" + std::string(64, '2') + ".0123456789abcdef.tmp-0123456789ab"};
  for (const std::string& name : cut)
    REQUIRE(WriteFileAtomically(folder.File(name), "1 ", 0600).ok());

  const HubFiles files = Open(folder.path(), clock);

  for (const std::string& name : cut) CHECK(access(folder.File(name).c_str(), F_OK) != 0);
  CHECK(files.BoundTo(kBoundPod).value_or("") == kNonceA);
  CHECK(ReadFile(folder.File("agent.key")).value_or("") == key);
}

TEST_CASE("damaged files are refused by name") {
  const test::TemporaryFolder folder;
  const test::ManualClock clock;
  const HubFiles files = Open(folder.path(), clock);
  REQUIRE(files.Bind(kBoundPod, kNonceA).ok());
  const auto damage = [](const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
  };

  SECTION("a binding") {
    const auto text = GENERATE(as<std::string>{}, "", "1 ", "1 xyz\n", "2 -\n", "1 -");
    damage(folder.File("bound/" + kBoundPod.str()), text);
    const auto bound = files.Bind(kBoundPod, kNonceB);
    CAPTURE(text);
    CHECK(bound.status().code() == Code::kDataLoss);
    CHECK(bound.status().message().find(kBoundPod.str()) != std::string::npos);
  }
  SECTION("a last word") {
    REQUIRE(files.Bind(kBoundPod, kNonceA).ok());
    damage(folder.File("left/" + kBoundPod.str()), "1 me\n");
    CHECK(files.HasLeft(kBoundPod).status().code() == Code::kDataLoss);
  }
  SECTION("the term") {
    const auto text = GENERATE(as<std::string>{}, "", "1 x\n", "1 5", "9 5\n");
    damage(folder.File("term"), text);
    CHECK(HubFiles::Open(folder.path(), clock).status().code() == Code::kDataLoss);
  }
  SECTION("the key") {
    damage(folder.File("agent.key"), "short");
    CHECK(HubFiles::Open(folder.path(), clock).status().code() == Code::kDataLoss);
  }
}

TEST_CASE("what could leave the folder is no sandbox id and no nonce") {
  const test::TemporaryFolder folder;
  const test::ManualClock clock;
  const HubFiles files = Open(folder.path(), clock);

  CHECK(files.Bind(SandboxId("../../x"), kNonceA).status().code() == Code::kInvalidArgument);
  CHECK(files.Forget(SandboxId("..")).code() == Code::kInvalidArgument);
  const auto nonce = GENERATE(as<std::string>{}, "", "short", "no-hex-no-hex-no-hex-no-hex-no-hex");
  CHECK(files.Bind(kBoundPod, nonce).status().code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace interlink::agent_hub
