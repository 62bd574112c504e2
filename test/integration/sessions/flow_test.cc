// Bytes through TLS, WebSocket and the backend's descriptor, both ways.
#include <catch2/catch.hpp>
#include <thread>

#include "sessions_lab.h"
#include "support/eventually.h"
#include "wire/session.h"

namespace interlink::test {
namespace {

constexpr size_t kMegabyte = size_t{1} << 20U;

// Bytes whose order shows.
std::string Piece(size_t number, size_t size) {
  std::string piece(size, '\0');
  for (size_t i = 0; i < size; ++i) piece[i] = static_cast<char>((number * 31 + i) % 251);
  return piece;
}

TEST_CASE("a command's output, both streams, and its exit code come in this order") {
  SessionsLab lab;

  Talk talk = lab.Open({"print", "hello", "there"});
  const SessionStory printed = talk.ReadAll();
  CHECK(printed.out == "hello there");
  CHECK(printed.exit_code == 0);

  CHECK(lab.Open({"complain"}).ReadAll().err == "complaint");
  CHECK(lab.Open({"exit", "42"}).ReadAll().exit_code == 42);
}

TEST_CASE("stdin reaches the command and ends when it is ended, output goes on") {
  SessionsLab lab;
  Talk talk = lab.Open({"count"});

  REQUIRE(talk.Send("0123456789").ok());
  REQUIRE(talk.EndInput().ok());

  const SessionStory story = talk.ReadAll();
  CHECK(story.out == "10");
  CHECK(story.exit_code == 0);
}

TEST_CASE("100 MB are echoed without a byte lost, changed or out of order") {
  constexpr size_t kPiece = node::kMaxSessionMessage;
  constexpr size_t kPieces = 100 * kMegabyte / kPiece;
  SessionsLab lab;
  Talk talk = lab.Open({"cat"});
  const std::string pattern = Piece(7, kPiece);

  std::jthread writer([&talk, &pattern] {
    for (size_t i = 0; i < kPieces; ++i) {
      if (!talk.Send(pattern).ok()) return;
    }
    static_cast<void>(talk.EndInput());
  });
  size_t bytes = 0;
  size_t wrong = 0;
  std::optional<int> code;
  while (!code) {
    const auto next = talk.Read();
    REQUIRE(next.ok());
    if (next->kind == node::SessionOutput::Kind::kExit) {
      code = next->exit_code;
      break;
    }
    for (const char c : next->bytes) wrong += c == pattern[bytes++ % kPiece] ? 0 : 1;
  }

  CHECK(bytes == kPiece * kPieces);
  CHECK(wrong == 0);
  CHECK(code == 0);
}

TEST_CASE("a reader that does not read holds the command back, and nobody else") {
  SessionsLab lab;
  Talk slow = lab.Open({"flood", std::to_string(64 * kMegabyte)});
  REQUIRE(Eventually([&] { return lab.sessions.flooded() >= wire::kSessionWindow; }));

  // Meanwhile others have their way: more bytes than were held back.
  Talk other = lab.Open({"cat"});
  std::jthread writer([&other] {
    for (int i = 0; i < 100; ++i) {
      if (!other.Send(Piece(1, 65536)).ok()) return;
    }
    static_cast<void>(other.EndInput());
  });
  CHECK(other.ReadAll().out.size() == 100 * 65536);
  CHECK(lab.sessions.flooded() < 3 * kMegabyte);

  const SessionStory story = slow.ReadAll();
  CHECK(story.out.size() == 64 * kMegabyte);
  CHECK(story.exit_code == 0);
}

TEST_CASE("a command that does not read its input holds the writer back") {
  SessionsLab lab;
  Talk talk = lab.Open({"flood", std::to_string(64 * kMegabyte)});
  std::atomic<size_t> sent = 0;
  std::jthread writer([&talk, &sent] {
    while (talk.Send(std::string(65536, 'i')).ok()) sent += 65536;
  });
  REQUIRE(Eventually([&sent] { return sent > 512 * 1024; }));

  const size_t half = talk.ReadAll(32 * kMegabyte).out.size();
  // It still runs: what comes after its end holds nobody back.
  CHECK(sent < 4 * kMegabyte);

  // The command ends without having read its input: that is no error of the session.
  const SessionStory story = talk.ReadAll();

  CHECK(half + story.out.size() == 64 * kMegabyte);
  CHECK(story.exit_code == 0);
}

TEST_CASE("a terminal's sizes arrive in order") {
  SessionsLab lab;
  Talk talk = lab.Open({"size"});
  std::string seen;
  for (uint16_t i = 1; i <= 3; ++i) {
    node::SessionInput resize;
    resize.kind = node::SessionInput::Kind::kResize;
    resize.columns = static_cast<uint16_t>(80 + i);
    resize.rows = static_cast<uint16_t>(24 + i);
    REQUIRE(talk.Write(resize).ok());
    const auto next = talk.Read();
    REQUIRE(next.ok());
    seen += next->bytes;
  }
  REQUIRE(talk.EndInput().ok());

  CHECK(seen == "25 81\n26 82\n27 83\n");
  CHECK(talk.ReadAll().exit_code == 0);
}

TEST_CASE("a container is attached to") {
  SessionsLab lab;
  auto session = lab.Attach();
  REQUIRE(session.ok());
  Talk talk(*std::move(session));

  REQUIRE(talk.Send("hello").ok());
  const auto echoed = talk.Read();
  REQUIRE(echoed.ok());
  CHECK(echoed->bytes == "hello");
  REQUIRE(talk.EndInput().ok());
  CHECK(talk.ReadAll().exit_code == 0);
}

TEST_CASE("a port is dialled, and each direction ends by itself") {
  SessionsLab lab;
  auto session = lab.Dial(80);
  REQUIRE(session.ok());
  Talk talk(*std::move(session));

  REQUIRE(talk.Send("ping").ok());
  const auto echoed = talk.Read();
  REQUIRE(echoed.ok());
  CHECK(echoed->bytes == "ping");
  REQUIRE(talk.Send("last").ok());
  REQUIRE(talk.EndInput().ok());

  const SessionStory story = talk.ReadAll();
  CHECK(story.out == "last");
  CHECK(story.out_ended);
  CHECK(Eventually([&lab] { return lab.running() == 0; }));
}

TEST_CASE("a hundred sessions at once leave no descriptor and no thread of theirs") {
  SessionsLab lab;
  REQUIRE(lab.Open({"print", "x"}).ReadAll().exit_code == 0);
  REQUIRE(Eventually([&lab] { return lab.running() == 0; }));
  const size_t before = OpenDescriptors();
  {
    std::vector<Talk> talks;
    for (int i = 0; i < 100; ++i) talks.push_back(lab.Open({"cat"}));
    CHECK(lab.running() == 100);
    for (size_t i = 0; i < talks.size(); ++i) REQUIRE(talks[i].Send(Piece(i, 5000)).ok());
    for (size_t i = 0; i < talks.size(); ++i) {
      if (i % 2 == 0) REQUIRE(talks[i].EndInput().ok());
      CHECK(talks[i].ReadAll(5000).out == Piece(i, 5000));
    }
  }
  CHECK(Eventually([&lab] { return lab.running() == 0; }));
  CHECK(Eventually([before] { return OpenDescriptors() <= before; }));
}

// By hand: sessions_test "[.speed]"
TEST_CASE("how fast bytes go", "[.speed]") {
  SessionsLab lab;
  const auto begun = std::chrono::steady_clock::now();
  const auto rate = [&begun](const char* what, double megabytes) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    WARN(what << ": " << megabytes / took.count() << " MB/s");
  };
  Talk talk = lab.Open({"flood", std::to_string(1000 * kMegabyte)});
  while (true) {
    const auto next = talk.Read();
    REQUIRE(next.ok());
    if (next->kind == node::SessionOutput::Kind::kExit) break;
  }
  rate("output", 1000);
}

}  // namespace
}  // namespace interlink::test
