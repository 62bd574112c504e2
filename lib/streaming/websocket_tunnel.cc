#include "streaming/websocket_tunnel.h"

#include <algorithm>

namespace interlink::streaming {
namespace {

constexpr auto kClose = std::chrono::seconds(10);

}  // namespace

net::Awaitable<Result<size_t>> WebSocketTunnel::Read(std::span<char> buffer, SteadyTime deadline) {
  while (taken_ == message_.size()) {
    auto message = co_await socket_->Read(deadline);
    if (!message.ok()) co_return message.status();
    if (!message->has_value()) co_return size_t{0};
    message_ = std::move(**message);
    taken_ = 0;
  }
  const size_t size = std::min(buffer.size(), message_.size() - taken_);
  std::copy_n(message_.data() + taken_, size, buffer.data());
  taken_ += size;
  co_return size;
}

net::Awaitable<Status> WebSocketTunnel::Write(std::string_view bytes, SteadyTime deadline) {
  co_return co_await socket_->Write(bytes, deadline);
}

net::Awaitable<void> WebSocketTunnel::ShutdownWrite() {
  const Status closed =
      co_await socket_->Close(1000, "", std::chrono::steady_clock::now() + kClose);
  if (!closed.ok()) socket_->Cancel();
}

}  // namespace interlink::streaming
