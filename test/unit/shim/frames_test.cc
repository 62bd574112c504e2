#include "shim/frames.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "shim/client.h"
#include "shim/messages.h"

namespace interlink::shim {
namespace {

std::string Encoded(FrameType type, std::string_view payload) {
  std::string bytes(kMaxFrame, '\0');
  bytes.resize(PutFrame(bytes.data(), bytes.size(), type, payload));
  return bytes;
}

// Feeds `bytes` in pieces of `step` and returns what comes out; "malformed" as the last entry when
// it was.
std::vector<std::string> Decode(const std::string& bytes, size_t step) {
  std::vector<char> buffer(kMaxFrame);
  FrameDecoder decoder(buffer.data(), buffer.size());
  std::vector<std::string> frames;
  for (size_t at = 0; at < bytes.size();) {
    const std::span<char> space = decoder.Space();
    REQUIRE(!space.empty());
    const size_t count = std::min({step, space.size(), bytes.size() - at});
    std::memcpy(space.data(), bytes.data() + at, count);
    decoder.Received(count);
    at += count;
    for (;;) {
      Frame frame{};
      const auto outcome = decoder.Next(frame);
      if (outcome == FrameDecoder::Outcome::kNeedMore) break;
      if (outcome == FrameDecoder::Outcome::kMalformed) {
        frames.emplace_back("malformed");
        return frames;
      }
      frames.push_back(std::to_string(static_cast<int>(frame.type)) + ":" +
                       std::string(frame.text()));
    }
  }
  return frames;
}

TEST_CASE("frames survive every cut of the stream") {
  const std::string stream = Encoded(FrameType::kStdout, "hello") +
                             Encoded(FrameType::kStderr, "") +
                             Encoded(FrameType::kStdin, std::string(kMaxPayload, 'x'));
  const size_t step = GENERATE(1, 2, 7, 8, 9, 4096, 1 << 20);

  const auto frames = Decode(stream, step);

  REQUIRE(frames.size() == 3);
  CHECK(frames[0] == "2:hello");
  CHECK(frames[1] == "3:");
  CHECK(frames[2].size() == 2 + kMaxPayload);
}

TEST_CASE("a frame that is not one ends the stream for good") {
  std::string bytes = Encoded(FrameType::kStdin, "abc");
  SECTION("unknown type") { bytes[0] = 99; }
  SECTION("type zero") { bytes[0] = 0; }
  SECTION("reserved bytes") { bytes[2] = 1; }
  SECTION("longer than allowed") { bytes[6] = 2; }
  SECTION("longest length") { bytes[7] = '\xff'; }

  const auto frames = Decode(bytes + Encoded(FrameType::kStdin, "good"), 1000);

  REQUIRE(frames.size() == 1);
  CHECK(frames[0] == "malformed");
}

TEST_CASE("a frame that does not fit the reader's buffer is malformed") {
  std::vector<char> buffer(16);
  FrameDecoder decoder(buffer.data(), buffer.size());
  const std::string bytes = Encoded(FrameType::kStdin, "123456789");
  std::memcpy(decoder.Space().data(), bytes.data(), 16);
  decoder.Received(16);

  Frame frame{};
  CHECK(decoder.Next(frame) == FrameDecoder::Outcome::kMalformed);
}

TEST_CASE("what does not fit is not written") {
  char small[10];
  CHECK(PutFrame(small, sizeof small, FrameType::kStdout, "123") == 0);
  CHECK(PutFrame(small, sizeof small, FrameType::kStdout, "12") == 10);
  CHECK(PutMessage(small, sizeof small, FrameType::kResize, WindowSize{80, 25}) == 0);
  CHECK(Encoded(FrameType::kStdout, std::string(kMaxPayload + 1, 'x')).empty());
}

template <typename Message>
Message RoundTrip(const Message& message, std::string& bytes) {
  bytes.assign(kMaxText + 64, '\0');
  bytes.resize(message.Encode(bytes.data(), bytes.size()));
  Message decoded;
  REQUIRE(decoded.Decode(bytes));
  return decoded;
}

TEST_CASE("messages come back as they were") {
  std::string bytes;

  const WindowSize size = RoundTrip(WindowSize{80, 65535}, bytes);
  CHECK((size.columns == 80 && size.rows == 65535));
  const ExitStatus status = RoundTrip(ExitStatus{137, 9, "because"}, bytes);
  CHECK((status.code == 137 && status.signal == 9 && status.reason == "because"));
  const SignalRequest signal = RoundTrip(SignalRequest{15, true}, bytes);
  CHECK((signal.signal == 15 && signal.all));
  const ErrorAnswer error = RoundTrip(ErrorAnswer{ESRCH, "gone"}, bytes);
  CHECK((error.error == ESRCH && error.text == "gone"));
  const SessionRequest request =
      RoundTrip(SessionRequest{true, true, false, false, true, "/p.json"}, bytes);
  CHECK((request.tty && request.in && !request.out && !request.err && request.kill_on_close));
  CHECK(request.process == "/p.json");
  const ContainerState state =
      RoundTrip(ContainerState{Phase::kExited, 42, 1ULL << 60, 1ULL << 40, 3, 255}, bytes);
  CHECK((state.phase == Phase::kExited && state.pid == 42 && state.started_ns == 1ULL << 60));
  CHECK((state.log_size == 1ULL << 40 && state.sessions == 3 && state.code == 255));
}

TEST_CASE("hostile payloads are refused") {
  SessionRequest request;
  CHECK_FALSE(request.Decode(""));
  CHECK_FALSE(request.Decode(std::string("\x20\0\0\0/x", 6)));     // unknown flag
  CHECK_FALSE(request.Decode(std::string("\x01\0\0\0/x\0y", 8)));  // NUL inside a path
  CHECK_FALSE(request.Decode(std::string(4, '\0') + std::string(kMaxText + 1, 'x')));
  SignalRequest signal;
  CHECK_FALSE(signal.Decode(std::string(8, '\0')));                        // signal 0
  CHECK_FALSE(signal.Decode(std::string("\x41\0\0\0\0\0\0\0", 8)));        // signal 65
  CHECK_FALSE(signal.Decode(std::string("\x09\0\0\0\x02\0\0\0", 8)));      // flag 2
  CHECK_FALSE(signal.Decode(std::string("\xff\xff\xff\xff\0\0\0\0", 8)));  // signal -1
  ContainerState state;
  CHECK_FALSE(state.Decode(std::string(ContainerState::kSize, '\0')));  // phase 0
  CHECK_FALSE(state.Decode("short"));
  WindowSize size;
  CHECK_FALSE(size.Decode("12345"));
  LogOffset offset;
  CHECK_FALSE(offset.Decode("1234567"));
  ExitStatus status;
  CHECK_FALSE(status.Decode("1234567"));
}

TEST_CASE("random bytes never break the decoder") {
  std::mt19937 random(4711);  // NOLINT: the same bytes each time
  for (int round = 0; round < 300; ++round) {
    std::string bytes(random() % 2000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 4 == 0 ? random() : 0);
    if (!bytes.empty() && random() % 2 == 0) bytes[0] = static_cast<char>(1 + random() % 7);
    for (const std::string& frame : Decode(bytes, 1 + random() % 300)) {
      REQUIRE(frame.size() <= kMaxPayload + 3);
      SessionRequest request;
      ExitStatus status;
      static_cast<void>(request.Decode(frame));
      static_cast<void>(status.Decode(frame));
    }
  }
}

TEST_CASE("the client receives one frame and leaves the next in the socket") {
  int pair[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  const int64_t deadline = MonotonicMs() + 10000;
  REQUIRE(SendMessage(pair[0], FrameType::kError, ErrorAnswer{EAGAIN, "not yet"}, deadline) == 0);
  REQUIRE(SendFrame(pair[0], FrameType::kStdout, "next", deadline) == 0);

  char buffer[8192];
  std::string_view text;
  CHECK(ReceiveAnswer(pair[1], buffer, sizeof buffer, text, deadline) == EAGAIN);
  CHECK(text == "not yet");
  char rest[100];
  CHECK(recv(pair[1], rest, sizeof rest, MSG_DONTWAIT) == 12);

  Frame frame{};
  CHECK(ReceiveFrame(pair[1], buffer, sizeof buffer, frame, MonotonicMs()) == ETIMEDOUT);
  close(pair[0]);
  CHECK(ReceiveFrame(pair[1], buffer, sizeof buffer, frame, deadline) == ECONNRESET);
  close(pair[1]);
}

TEST_CASE("a directory without a shim refuses the connection") {
  char directory[] = "/tmp/interlink-shim-XXXXXX";
  REQUIRE(mkdtemp(directory) != nullptr);
  int fd = -1;
  CHECK(ConnectControl(directory, fd) == ENOENT);
  CHECK(ConnectControl("/no/such/directory", fd) == ENOENT);
  CHECK(fd == -1);
  rmdir(directory);
}

}  // namespace
}  // namespace interlink::shim
