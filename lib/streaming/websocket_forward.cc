#include "streaming/websocket_forward.h"

#include <boost/asio/post.hpp>

#include "net/base64.h"
#include "streaming/waits.h"

namespace interlink::streaming {
namespace {

// What a stream holds before the client is held back; a message more may come on top.
constexpr size_t kMaxHeld = size_t{256} * 1024;

}  // namespace

class WebSocketForward::Stream final : public ForwardStream,
                                       public std::enable_shared_from_this<Stream> {
 public:
  Stream(std::weak_ptr<WebSocketForward> transport, const boost::asio::any_io_executor& executor,
         size_t index, uint16_t port)
      : transport_(std::move(transport)),
        executor_(executor),
        index_(index),
        port_(port),
        readable_(std::make_shared<net::Signal>(executor)) {}

  uint16_t port() const override { return port_; }

  net::Awaitable<Result<std::string>> Read() override {
    while (true) {
      if (!held_.empty()) {
        std::string bytes = std::move(held_.front());
        held_.pop_front();
        held_size_ -= bytes.size();
        if (const auto transport = transport_.lock()) transport->has_room_->Set();
        co_return bytes;
      }
      if (!over_.ok()) co_return over_;
      if (pod_ended_) co_return std::string();
      co_await readable_->Wait(In(kUntilWoken));
    }
  }

  net::Awaitable<Status> Write(std::string_view bytes) override {
    if (!over_.ok()) co_return over_;
    const auto transport = transport_.lock();
    if (transport == nullptr) co_return Unavailable("the client has left");
    co_return co_await transport->Send(2 * index_, bytes);
  }

  net::Awaitable<Status> CloseWrite() override {
    pod_ended_ = true;
    readable_->Set();
    co_return Status::Ok();
  }

  net::Awaitable<void> Finish(const Status& why) override {
    if (finished_) co_return;
    finished_ = true;
    const bool tell = !why.ok() && over_.ok();
    const std::string text = why.message();
    const auto transport = transport_.lock();
    if (transport == nullptr) co_return;
    if (tell) {
      const Status told = co_await transport->Send(2 * index_ + 1, text);
      if (!told.ok()) transport->Cancel();
    }
    End(CancelledError("the forwarded connection is over"));
    ++transport->finished_;
    co_await transport->CloseAfterLast();
  }

  void Cancel() override {
    boost::asio::post(executor_,
                      [self = shared_from_this()] { self->End(CancelledError("given up")); });
  }

  // What came for it; nothing is kept when it is over.
  void Hold(std::string bytes) {
    if (!over_.ok() || bytes.empty()) return;
    held_size_ += bytes.size();
    held_.push_back(std::move(bytes));
    readable_->Set();
  }
  void End(Status why) {
    if (over_.ok()) over_ = std::move(why);
    if (finished_) held_.clear();
    readable_->Set();
    if (const auto transport = transport_.lock()) transport->has_room_->Set();
  }
  bool HasRoom() const { return held_size_ < kMaxHeld || !over_.ok() || finished_; }

 private:
  const std::weak_ptr<WebSocketForward> transport_;
  const boost::asio::any_io_executor executor_;
  const size_t index_;
  const uint16_t port_;
  std::deque<std::string> held_;
  size_t held_size_ = 0;
  Status over_;
  bool pod_ended_ = false;
  bool finished_ = false;
  const std::shared_ptr<net::Signal> readable_;  // owners: this and its waiter
};

WebSocketForward::WebSocketForward(std::shared_ptr<net::WebSocket> socket,
                                   const ChannelProtocol& protocol,
                                   const std::vector<uint16_t>& ports, Duration pause)
    : socket_(std::move(socket)),
      protocol_(protocol),
      ports_(ports),
      pause_(pause),
      over_(std::make_shared<net::Signal>(socket_->connection().executor())),
      has_room_(std::make_shared<net::Signal>(socket_->connection().executor())) {}

net::Awaitable<Status> WebSocketForward::Send(size_t channel, std::string_view bytes) {
  const std::string prefix = MessagePrefix(protocol_, static_cast<uint8_t>(channel));
  if (!protocol_.base64) {
    co_return co_await socket_->Write(net::WebSocket::Kind::kBinary, prefix, bytes, In(pause_));
  }
  const std::string text = net::EncodeBase64(bytes);
  co_return co_await socket_->Write(net::WebSocket::Kind::kText, prefix, text, In(pause_));
}

net::Awaitable<Status> WebSocketForward::Begin() {
  const auto executor = socket_->connection().executor();
  for (size_t i = 0; i < ports_.size(); ++i) {
    streams_.push_back(std::make_shared<Stream>(weak_from_this(), executor, i, ports_[i]));
    const std::string port = {static_cast<char>(ports_[i] & 255U),
                              static_cast<char>(ports_[i] >> 8U)};
    CO_RETURN_IF_ERROR(co_await Send(2 * i, port));
    CO_RETURN_IF_ERROR(co_await Send(2 * i + 1, port));
  }
  net::Io::Spawn(executor, ReadLoop(shared_from_this()));
  co_return Status::Ok();
}

net::Awaitable<Status> WebSocketForward::Take(std::string message) {
  if (message.empty()) co_return Status::Ok();
  auto decoded = DecodeMessage(protocol_, std::move(message));
  if (!decoded.ok()) co_return decoded.status();
  const size_t index = decoded->channel / 2;
  // Nothing is taken from a client on an error channel.
  if (decoded->channel % 2 != 0 || index >= streams_.size()) co_return Status::Ok();
  const std::shared_ptr<Stream> stream = streams_[index];
  stream->Hold(std::move(decoded->bytes));
  // One stream that is not read holds all of them back: the protocol has one order.
  while (!stream->HasRoom() && !closing_) co_await has_room_->Wait(In(kUntilWoken));
  co_return Status::Ok();
}

net::Awaitable<void> WebSocketForward::ReadLoop(Self self) {
  while (self->ended_.ok()) {
    auto message = co_await self->socket_->Read(In(kUntilWoken));
    if (!message.ok()) {
      self->End(message.status());
    } else if (!message->has_value()) {
      self->End(CancelledError("the client has closed the connection"));
    } else if (!self->closing_) {
      const Status taken = co_await self->Take(std::move(**message));
      if (!taken.ok()) self->End(taken);
    }
  }
  if (self->ended_.code() != Code::kInvalidArgument) co_return;
  const Status told = co_await self->socket_->Close(net::WebSocket::kProtocolError,
                                                    self->ended_.message(), In(kFarewell));
  if (!told.ok()) self->socket_->Cancel();
}

void WebSocketForward::Cancel() {
  socket_->Cancel();
  // The reading may wait for a stream that nobody reads any more.
  boost::asio::post(socket_->connection().executor(),
                    [self = shared_from_this()] { self->End(CancelledError("given up")); });
}

void WebSocketForward::End(Status why) {
  if (!ended_.ok()) return;
  ended_ = std::move(why);
  for (const auto& stream : streams_) stream->End(ended_);
  over_->Set();
}

net::Awaitable<void> WebSocketForward::CloseAfterLast() {
  if (finished_ < streams_.size() || closing_) co_return;
  closing_ = true;
  has_room_->Set();
  const Status closed = co_await socket_->Close(net::WebSocket::kNormalClosure, "", In(pause_));
  if (!closed.ok()) socket_->Cancel();
}

net::Awaitable<Result<std::optional<std::shared_ptr<ForwardStream>>>> WebSocketForward::Accept() {
  using Accepted = std::optional<std::shared_ptr<ForwardStream>>;
  if (accepted_ < streams_.size()) {
    std::shared_ptr<ForwardStream> next = streams_[accepted_++];
    co_return Accepted(std::move(next));
  }
  // The client closes when it has read all; closing before it would reset the connection.
  while (ended_.ok()) co_await over_->Wait(In(kUntilWoken));
  if (ended_.code() == Code::kCancelled) co_return Accepted();
  co_return ended_;
}

}  // namespace interlink::streaming
