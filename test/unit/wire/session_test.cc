#include "wire/session.h"

#include <catch2/catch.hpp>

namespace interlink::wire {
namespace {

using interlink::v1::SessionStatus;

TEST_CASE("data goes through its channel unchanged") {
  const auto [sender, channel] =
      GENERATE(table<Sender, Channel>({{Sender::kNode, Channel::kStdin},
                                       {Sender::kSite, Channel::kStdout},
                                       {Sender::kSite, Channel::kStderr}}));
  const size_t size = GENERATE(0U, 1U, 65536U);
  const std::string bytes(size, '\xfe');

  const std::string message = EncodeData(channel, bytes);
  const auto decoded = DecodeChannel(sender, message);

  REQUIRE(decoded.ok());
  CHECK(static_cast<uint8_t>(message[0]) == static_cast<uint8_t>(channel));
  CHECK(decoded->channel == channel);
  CHECK(decoded->data == bytes);
}

TEST_CASE("control messages say what they said") {
  const auto resize = DecodeChannel(Sender::kNode, EncodeResize(80, 24));
  REQUIRE(resize.ok());
  CHECK(resize->resize.columns() == 80);
  CHECK(resize->resize.rows() == 24);

  for (const Sender sender : {Sender::kNode, Sender::kSite}) {
    const auto credit = DecodeChannel(sender, EncodeCredit(4711));
    REQUIRE(credit.ok());
    CHECK(credit->credit == 4711);
    CHECK(DecodeChannel(sender, EncodeCredit(0)).ok());
  }
  CHECK(DecodeChannel(Sender::kNode, EncodeClose(Channel::kStdin)).ok());
  const auto closed = DecodeChannel(Sender::kSite, EncodeClose(Channel::kStdout));
  REQUIRE(closed.ok());
  CHECK(closed->closed == Channel::kStdout);

  SessionStatus status;
  status.set_exit_code(137);
  status.set_reason("killed");
  const auto ended = DecodeChannel(Sender::kSite, EncodeStatus(status));
  REQUIRE(ended.ok());
  CHECK(ended->status.exit_code() == 137);
  CHECK(ended->status.reason() == "killed");
  CHECK_FALSE(ended->status.has_problem());
}

TEST_CASE("exit code 0 is a message, not its absence") {
  const std::string message = EncodeStatus(SessionStatus());
  CHECK(message == std::string(1, '\3'));
  CHECK(DecodeChannel(Sender::kSite, message).ok());
}

TEST_CASE("what a side may not send is refused") {
  const auto [sender, message] = GENERATE(table<Sender, std::string>({
      {Sender::kNode, ""},
      {Sender::kSite, ""},
      {Sender::kNode, EncodeData(Channel::kStdout, "x")},
      {Sender::kNode, EncodeData(Channel::kStderr, "x")},
      {Sender::kSite, EncodeData(Channel::kStdin, "x")},
      {Sender::kNode, EncodeStatus(SessionStatus())},
      {Sender::kSite, EncodeResize(1, 1)},
      {Sender::kNode, EncodeResize(65536, 1)},
      {Sender::kNode, EncodeResize(1, 65536)},
      {Sender::kNode, EncodeClose(Channel::kStdout)},
      {Sender::kSite, EncodeClose(Channel::kStdin)},
      {Sender::kSite, EncodeClose(Channel::kStderr)},
      {Sender::kNode, std::string("\xff", 1)},
      {Sender::kNode, std::string("\xff\0\0", 3)},
      {Sender::kNode, std::string("\6x", 2)},
      {Sender::kSite, std::string("\xfex", 2)},
      {Sender::kNode, std::string("\4\xff", 2)},
      {Sender::kNode, std::string("\5\xff", 2)},
      {Sender::kSite, std::string("\3\xff", 2)},
      {Sender::kNode, std::string(65538, '\0')},
  }));
  CHECK(DecodeChannel(sender, message).status().code() == Code::kInvalidArgument);
}

TEST_CASE("a problem keeps its code and its text") {
  const Status status = FailedPrecondition("not running");
  CHECK(FromProblem(ToProblem(status)).ToString() == status.ToString());
  CHECK(FromProblem(ToProblem(NotFound("no \xff"))).code() == Code::kNotFound);

  interlink::v1::SessionProblem odd;
  for (const int code : {0, -1, 17, 1000}) {
    odd.set_code(code);
    CHECK(FromProblem(odd).code() == Code::kUnknown);
  }
}

TEST_CASE("a problem with bytes that are no text can still be parsed") {
  const auto problem = ToProblem(InvalidArgument("no such file: \xc3\x28"));
  interlink::v1::SessionProblem parsed;
  CHECK(parsed.ParseFromString(problem.SerializeAsString()));
}

TEST_CASE("no more is sent than the receiver can hold, and all of it in the end") {
  SessionCredit sender;
  SessionCredit receiver;
  uint64_t sent = 0;
  while (sender.Sendable() > 0) {
    const size_t bytes = sender.Sendable();
    REQUIRE(bytes <= kMaxSessionPayload);
    sender.Sent(bytes);
    REQUIRE(receiver.Received(bytes).ok());
    sent += bytes;
  }
  CHECK(sent == kSessionWindow);
  CHECK(receiver.TakeGrant() == 0);

  for (int i = 0; i < 1000; ++i) {
    receiver.Consumed(1000);
    if (const uint32_t grant = receiver.TakeGrant(); grant > 0) {
      REQUIRE(sender.Granted(grant).ok());
      while (sender.Sendable() > 0) {
        const size_t bytes = sender.Sendable();
        sender.Sent(bytes);
        REQUIRE(receiver.Received(bytes).ok());
        sent += bytes;
      }
    }
  }
  CHECK(sent > kSessionWindow + 700'000);
  CHECK(sent <= kSessionWindow + 1'000'000);
}

TEST_CASE("a peer that overdraws its credit, or gives too much, is noticed") {
  SessionCredit credit;
  CHECK(credit.Received(kSessionWindow).ok());
  CHECK(credit.Received(1).code() == Code::kInvalidArgument);
  CHECK(credit.Granted(1).code() == Code::kInvalidArgument);
  credit.Sent(10);
  CHECK(credit.Granted(10).ok());
  CHECK(credit.Granted(1).code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace interlink::wire
