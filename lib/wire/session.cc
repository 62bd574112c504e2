#include "wire/session.h"

#include <algorithm>
#include <cassert>
#include <string>

#include "base/utf8.h"

namespace interlink::wire {
namespace {

constexpr uint32_t kGrantStep = kSessionWindow / 4;
constexpr size_t kMaxText = 4096;
constexpr uint32_t kMaxSide = 65535;

std::string Begin(Channel channel, size_t size) {
  std::string message;
  message.reserve(1 + size);
  message += static_cast<char>(channel);
  return message;
}

std::string Encode(Channel channel, const google::protobuf::MessageLite& payload) {
  std::string message = Begin(channel, payload.ByteSizeLong());
  payload.AppendToString(&message);
  return message;
}

bool SendsData(Sender sender, Channel channel) {
  return sender == Sender::kNode ? channel == Channel::kStdin
                                 : channel == Channel::kStdout || channel == Channel::kStderr;
}

Status NotSent(Sender sender, uint8_t channel) {
  return InvalidArgument(std::string(sender == Sender::kNode ? "a node" : "a site") +
                         " sends nothing on channel " + std::to_string(channel));
}

Status Malformed(std::string_view what) {
  return InvalidArgument("a malformed message on the " + std::string(what) + " channel");
}

Status DecodeClose(Sender sender, std::string_view payload, ChannelMessage& out) {
  const auto closed = static_cast<Channel>(payload.empty() ? '\xff' : payload[0]);
  const bool may = sender == Sender::kNode ? closed == Channel::kStdin : closed == Channel::kStdout;
  if (payload.size() != 1 || !may) return Malformed("close");
  out.closed = closed;
  return {};
}

}  // namespace

Result<ChannelMessage> DecodeChannel(Sender sender, std::string_view message) {
  if (message.empty()) return InvalidArgument("an empty message: the channel is missing");
  const auto number = static_cast<uint8_t>(message[0]);
  const std::string_view payload = message.substr(1);
  if (payload.size() > kMaxSessionPayload)
    return InvalidArgument("a message of more than 64 KiB on channel " + std::to_string(number));
  ChannelMessage out;
  out.channel = static_cast<Channel>(number);
  const auto size = static_cast<int>(payload.size());
  switch (out.channel) {
    case Channel::kStdin:
    case Channel::kStdout:
    case Channel::kStderr:
      if (!SendsData(sender, out.channel)) return NotSent(sender, number);
      out.data = payload;
      return out;
    case Channel::kStatus:
      if (sender != Sender::kSite) return NotSent(sender, number);
      if (!out.status.ParseFromArray(payload.data(), size)) return Malformed("status");
      return out;
    case Channel::kResize:
      if (sender != Sender::kNode) return NotSent(sender, number);
      if (!out.resize.ParseFromArray(payload.data(), size) || out.resize.columns() > kMaxSide ||
          out.resize.rows() > kMaxSide)
        return Malformed("resize");
      return out;
    case Channel::kCredit: {
      interlink::v1::SessionCredit credit;
      if (!credit.ParseFromArray(payload.data(), size)) return Malformed("credit");
      out.credit = credit.bytes();
      return out;
    }
    case Channel::kClose:
      RETURN_IF_ERROR(DecodeClose(sender, payload, out));
      return out;
  }
  return NotSent(sender, number);
}

std::string EncodeData(Channel channel, std::string_view bytes) {
  assert(bytes.size() <= kMaxSessionPayload);
  std::string message = Begin(channel, bytes.size());
  message += bytes;
  return message;
}

std::string EncodeClose(Channel closed) {
  std::string message = Begin(Channel::kClose, 1);
  message += static_cast<char>(closed);
  return message;
}

std::string EncodeCredit(uint32_t bytes) {
  interlink::v1::SessionCredit credit;
  credit.set_bytes(bytes);
  return Encode(Channel::kCredit, credit);
}

std::string EncodeResize(uint32_t columns, uint32_t rows) {
  interlink::v1::SessionResize resize;
  resize.set_columns(columns);
  resize.set_rows(rows);
  return Encode(Channel::kResize, resize);
}

std::string EncodeStatus(const interlink::v1::SessionStatus& status) {
  return Encode(Channel::kStatus, status);
}

interlink::v1::SessionProblem ToProblem(const Status& status) {
  interlink::v1::SessionProblem problem;
  problem.set_code(static_cast<int32_t>(status.code()));
  problem.set_message(Utf8Prefix(status.message(), kMaxText));
  return problem;
}

Status FromProblem(const interlink::v1::SessionProblem& problem) {
  constexpr auto kLast = static_cast<int32_t>(Code::kUnauthenticated);
  const bool known = problem.code() > 0 && problem.code() <= kLast;
  return {known ? static_cast<Code>(problem.code()) : Code::kUnknown, problem.message()};
}

size_t SessionCredit::Sendable() const {
  return static_cast<size_t>(std::min<uint64_t>(send_left_, kMaxSessionPayload));
}

Status SessionCredit::Granted(uint32_t bytes) {
  if (bytes > kSessionWindow - send_left_)
    return InvalidArgument("the peer gives credit for more than it was sent");
  send_left_ += bytes;
  return {};
}

Status SessionCredit::Received(size_t bytes) {
  if (bytes > receive_left_) return InvalidArgument("the peer sends more than it has credit for");
  receive_left_ -= bytes;
  return {};
}

uint32_t SessionCredit::TakeGrant() {
  if (owed_ < kGrantStep) return 0;
  const auto grant = static_cast<uint32_t>(std::min<uint64_t>(owed_, kSessionWindow));
  owed_ -= grant;
  receive_left_ += grant;
  return grant;
}

}  // namespace interlink::wire
