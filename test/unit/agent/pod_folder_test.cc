#include "agent/pod_folder.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "support/small_disk.h"
#include "support/temporary_folder.h"

namespace interlink::agent {
namespace {

const SandboxId kPod(std::string(64, '1'));
const std::string kContainer(64, 'c');
const std::string kNonce(32, 'a');

std::unique_ptr<PodFolder> Open(const std::string& path) {
  auto opened = PodFolder::Open(path, kPod, kNonce);
  INFO(opened.status().ToString());
  REQUIRE(opened.ok());
  return *std::move(opened);
}

TEST_CASE("the next process knows the term, and what was stopped") {
  const test::TemporaryFolder folder;
  {
    const auto first = Open(folder.path());
    CHECK(first->highest_term() == 0);
    CHECK_FALSE(first->IsGone(kContainer));
    REQUIRE(first->StoreTerm(42).ok());
    REQUIRE(first->MarkGone(kContainer).ok());
    REQUIRE(first->MarkGone(kContainer).ok());
  }

  const auto second = Open(folder.path());

  CHECK(second->highest_term() == 42);
  CHECK(second->IsGone(kContainer));
  CHECK_FALSE(second->IsGone(kPod.str()));
}

TEST_CASE("an exit is written once, and says whose it is") {
  const test::TemporaryFolder folder;
  v1::Fact fact;
  fact.set_container_id(kContainer);
  fact.set_state(v1::Fact::DOWN);
  fact.set_exit_code(7);
  REQUIRE(Open(folder.path())->WriteExit(fact).ok());
  fact.set_exit_code(255);

  REQUIRE(Open(folder.path())->WriteExit(fact).ok());

  const auto bytes = ReadFile(folder.File("exits/" + kContainer));
  REQUIRE(bytes.ok());
  v1::ExitFile file;
  REQUIRE(file.ParseFromString(*bytes));
  CHECK(file.version() == 1);
  CHECK(file.sandbox_id() == kPod.str());
  CHECK(file.nonce() == kNonce);
  CHECK(file.fact().exit_code() == 7);
}

TEST_CASE("a beat needs the folder that the site has made, and says whose it is") {
  const test::TemporaryFolder folder;
  const auto pod = Open(folder.path());
  CHECK(pod->Beat().code() == Code::kNotFound);
  REQUIRE(MakeDirectories(folder.File("heartbeat"), 0700).ok());

  REQUIRE(pod->Beat().ok());
  CHECK(ReadFile(folder.File("heartbeat/beat")).value_or("") == "1 " + kNonce + " 2\n");
  REQUIRE(pod->Beat().ok());
  CHECK(ReadFile(folder.File("heartbeat/beat")).value_or("") == "1 " + kNonce + " 3\n");
}

TEST_CASE("the last word, and the answer to a fence, say whether everything has ended") {
  const test::TemporaryFolder folder;
  const bool ended = GENERATE(false, true);
  const std::string word = "1 " + kNonce + (ended ? " ended\n" : " unsure\n");

  REQUIRE(Open(folder.path())->WriteLeft(ended).ok());
  CHECK(ReadFile(folder.File("left")).value_or("") == word);
  CHECK(ReadFile(folder.File("fenced")).status().code() == Code::kNotFound);

  REQUIRE(Open(folder.path())->WriteFenced(ended).ok());
  CHECK(ReadFile(folder.File("fenced")).value_or("") == word);
}

TEST_CASE(
    "what must be written is, on a full disk too, and room is kept again when there is some") {
  const test::TemporaryFolder folder;
  CHECK(test::RunOnSmallDisk(folder.path(), "1m", [&] {
    const std::string pod = folder.File("pod");
    test::Expect(MakeDirectories(pod + "/heartbeat", 0700).ok(), "the site's folders");
    auto opened = PodFolder::Open(pod, kPod, kNonce);
    test::Expect(opened.ok(), "opened");
    PodFolder& kept = **opened;
    test::Expect(kept.Beat().ok() && std::filesystem::exists(pod + "/reserve"), "a reserve");
    test::FillDisk(folder.File("fill"));
    test::Expect(!WriteFileAtomically(folder.File("other"), "x", 0600).ok(), "full for others");

    v1::Fact fact;
    fact.set_container_id(kContainer);
    fact.set_state(v1::Fact::DOWN);
    test::Expect(kept.StoreTerm(7).ok(), "the term");
    test::Expect(kept.Beat().ok(), "a beat");
    test::Expect(kept.WriteExit(fact).ok(), "an exit");
    test::Expect(kept.MarkGone(kContainer).ok(), "a tombstone");
    test::Expect(kept.WriteLeft(true).ok(), "the last word");
    std::filesystem::remove(folder.File("fill"));
    test::Expect(kept.Beat().ok() && std::filesystem::exists(pod + "/reserve"), "again");
    const auto next = PodFolder::Open(pod, kPod, kNonce);
    test::Expect(next.ok() && (*next)->highest_term() == 7 && (*next)->IsGone(kContainer), "kept");
  }));
}

TEST_CASE("what could leave the folder is no id") {
  const test::TemporaryFolder folder;
  const auto pod = Open(folder.path());
  v1::Fact fact;
  fact.set_container_id("../x");

  CHECK(pod->MarkGone("..").code() == Code::kInvalidArgument);
  CHECK(pod->WriteExit(fact).code() == Code::kInvalidArgument);
}

TEST_CASE("a damaged term is refused by name") {
  const test::TemporaryFolder folder;
  Open(folder.path());
  const auto text = GENERATE(as<std::string>{}, "", "1 x\n", "1 5", "2 5\n", "1 5 \n");
  std::ofstream(folder.File("term"), std::ios::trunc) << text;

  const auto opened = PodFolder::Open(folder.path(), kPod, kNonce);

  CHECK(opened.status().code() == Code::kDataLoss);
  CHECK(opened.status().message().find("term") != std::string::npos);
}

TEST_CASE("a refusal is one line that names its nonce") {
  const test::TemporaryFolder folder;
  const auto pod = Open(folder.path());

  REQUIRE(pod->WriteRefusal("no runtime\nhere " + std::string(1000, 'x')).ok());

  const auto text = ReadFile(folder.File("refusal"), 4096);
  REQUIRE(text.ok());
  CHECK(text->find("1 " + kNonce + " no runtime here x") == 0);
  CHECK(text->size() < 600);
  CHECK(text->find('\n') == text->size() - 1);
}

}  // namespace
}  // namespace interlink::agent
