#include "streaming/websocket_command.h"

#include "net/base64.h"
#include "streaming/command_end.h"
#include "streaming/waits.h"

namespace interlink::streaming {
namespace {

using node::SessionInput;
using node::SessionOutput;

}  // namespace

WebSocketCommand::WebSocketCommand(std::shared_ptr<net::WebSocket> socket,
                                   const ChannelProtocol& protocol,
                                   const node::StreamRequest& request, Duration pause)
    : socket_(std::move(socket)),
      protocol_(protocol),
      in_(request.in),
      out_(request.out),
      err_(request.err && !request.tty),
      tty_(request.tty),
      pause_(pause),
      read_is_over_(std::make_shared<net::Signal>(socket_->connection().executor())) {}

bool WebSocketCommand::Asked(Channel channel) const {
  if (channel == Channel::kStdout) return out_;
  if (channel == Channel::kStderr) return err_;
  return channel == Channel::kError;
}

net::Awaitable<Status> WebSocketCommand::Send(Channel channel, std::string_view bytes) {
  const std::string prefix = MessagePrefix(protocol_, static_cast<uint8_t>(channel));
  if (!protocol_.base64) {
    co_return co_await socket_->Write(net::WebSocket::Kind::kBinary, prefix, bytes, In(pause_));
  }
  const std::string text = net::EncodeBase64(bytes);
  co_return co_await socket_->Write(net::WebSocket::Kind::kText, prefix, text, In(pause_));
}

net::Awaitable<Status> WebSocketCommand::Begin() {
  // v5 clients know by the 101 alone.
  if (protocol_.can_close) co_return Status::Ok();
  const Channel lowest = out_ ? Channel::kStdout : err_ ? Channel::kStderr : Channel::kError;
  co_return co_await Send(lowest, "");
}

net::Awaitable<void> WebSocketCommand::Refuse(Status why) {
  gone_ = true;
  // A frame may be on its way to a client that does not read: that one is not waited for.
  boost::asio::steady_timer limit(socket_->connection().executor(), kFarewell);
  limit.async_wait([socket = socket_](const boost::system::error_code& error) {
    if (!error) socket->Cancel();
  });
  const Status told =
      co_await socket_->Close(net::WebSocket::kProtocolError, why.message(), In(kFarewell));
  if (!told.ok()) socket_->Cancel();
}

net::Awaitable<Result<std::string>> WebSocketCommand::ReadMessage() {
  reading_ = true;
  auto message = co_await socket_->Read(In(kUntilWoken));
  reading_ = false;
  if (finishing_) read_is_over_->Set();
  if (message.ok() && message->has_value()) co_return std::move(**message);
  gone_ = true;
  if (message.ok()) co_return Unavailable("the client has closed the connection");
  if (message.status().code() == Code::kInvalidArgument) co_await Refuse(message.status());
  co_return message.status();
}

Result<std::optional<SessionInput>> WebSocketCommand::Close(const ChannelMessage& message) {
  if (message.bytes.size() != 1)
    return InvalidArgument("one byte, the channel, must follow the close of a channel");
  if (message.bytes[0] != static_cast<char>(Channel::kStdin) || in_ended_)
    return std::optional<SessionInput>();
  in_ended_ = true;
  return std::optional<SessionInput>({.kind = SessionInput::Kind::kEnd});
}

Result<std::optional<SessionInput>> WebSocketCommand::Understand(std::string message) {
  if (message.empty()) return std::optional<SessionInput>();
  ASSIGN_OR_RETURN(ChannelMessage decoded, DecodeMessage(protocol_, std::move(message)));
  if (protocol_.can_close && decoded.channel == kChannelClose) return Close(decoded);
  if (decoded.channel == static_cast<uint8_t>(Channel::kResize) && tty_)
    return sizes_.Feed(decoded.bytes);
  // Other channels are ours, or were not asked for: dropped, as by kubelet.
  if (decoded.channel != static_cast<uint8_t>(Channel::kStdin) || !in_ || in_ended_ ||
      decoded.bytes.empty()) {
    return std::optional<SessionInput>();
  }
  SessionInput input;
  input.bytes = std::move(decoded.bytes);
  return std::optional<SessionInput>(std::move(input));
}

net::Awaitable<Result<SessionInput>> WebSocketCommand::Read() {
  if (!in_ && !in_ended_) {
    in_ended_ = true;
    SessionInput end;
    end.kind = SessionInput::Kind::kEnd;
    co_return end;
  }
  while (!finishing_ && !gone_) {
    auto message = co_await ReadMessage();
    if (!message.ok()) co_return message.status();
    auto input = Understand(*std::move(message));
    if (!input.ok()) {
      co_await Refuse(input.status());
      co_return input.status();
    }
    if (input->has_value()) co_return std::move(**input);
  }
  co_return CancelledError("the session is over");
}

net::Awaitable<Status> WebSocketCommand::Write(SessionOutput::Channel channel,
                                               std::string_view bytes) {
  const Channel to =
      channel == SessionOutput::Channel::kStdout ? Channel::kStdout : Channel::kStderr;
  // An empty message would say nothing.
  if (!Asked(to) || bytes.empty()) co_return Status::Ok();
  co_return co_await Send(to, bytes);
}

net::Awaitable<Status> WebSocketCommand::Finish(CommandEnd end) {
  finishing_ = true;
  const std::string status = protocol_.json_status ? CommandEndJson(end) : CommandEndText(end);
  if (!status.empty()) CO_RETURN_IF_ERROR(co_await Send(Channel::kError, status));
  CO_RETURN_IF_ERROR(co_await socket_->Close(net::WebSocket::kNormalClosure, "", In(pause_)));
  // Closing while something of the client is unread would reset the connection, and the client
  // would lose what it has not read yet.
  const SteadyTime deadline = In(pause_);
  while (!gone_ && std::chrono::steady_clock::now() < deadline) {
    if (reading_) {
      co_await read_is_over_->Wait(deadline);
      continue;
    }
    const auto dropped = co_await ReadMessage();
    if (!dropped.ok()) break;
  }
  co_return Status::Ok();
}

}  // namespace interlink::streaming
