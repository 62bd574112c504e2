#include "streaming/watch.h"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace interlink::streaming {

net::Awaitable<void> ProbeUnread(std::weak_ptr<net::WebSocket> socket,
                                 boost::asio::any_io_executor executor, Duration tick) {
  boost::asio::steady_timer timer(std::move(executor));
  Status sent;
  bool read = true;  // since the last tick
  while (sent.ok()) {
    timer.expires_after(tick);
    boost::system::error_code ignored;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    const auto alive = socket.lock();
    if (alive == nullptr) co_return;
    const bool reads = alive->reading();
    if (!reads && !read) {
      // A client that takes nothing for long is not gone.
      sent = co_await alive->Ping(std::chrono::steady_clock::now() + std::chrono::hours(24));
    }
    read = reads;
  }
}

Watch::Watch(std::shared_ptr<net::Connection> connection, const Limits& limits)
    : connection_(std::move(connection)),
      idle_(limits.idle),
      tick_(std::min(limits.tick, limits.idle)),
      stopped_(std::make_shared<net::Signal>(connection_->executor())) {}

void Watch::Start(std::function<void(Status)> give_up) {
  give_up_ = std::move(give_up);
  still_since_ = std::chrono::steady_clock::now();
  net::Io::Spawn(connection_->executor(), Loop(shared_from_this()));
}

void Watch::Stop() {
  give_up_ = nullptr;
  stopped_->Set();
}

net::Awaitable<void> Watch::Loop(std::shared_ptr<Watch> self) {
  while (self->give_up_) {
    co_await self->stopped_->Wait(std::chrono::steady_clock::now() + self->tick_);
    if (!self->give_up_) co_return;
    Status why = self->Look();
    if (why.ok()) continue;
    const auto give_up = std::exchange(self->give_up_, nullptr);
    give_up(std::move(why));
  }
}

Status Watch::Look() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (std::exchange(moved_, false)) {
    still_since_ = now;
    return {};
  }
  if (connection_->PeerFinished()) return Unavailable("the client has left");
  if (now - still_since_ < idle_) return {};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(idle_);
  return DeadlineExceeded("nothing was sent either way for " + std::to_string(seconds.count()) +
                          " s");
}

}  // namespace interlink::streaming
