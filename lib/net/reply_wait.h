// Waits, in a coroutine, for a value that another thread brings through a callback.
#ifndef INTERLINK_NET_REPLY_WAIT_H_
#define INTERLINK_NET_REPLY_WAIT_H_

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "net/awaitable.h"

namespace interlink::net {

// An event that may be set from any thread and is awaited on one strand. Owners: the waiter and
// whoever sets it.
class Signal : public std::enable_shared_from_this<Signal> {
 public:
  explicit Signal(boost::asio::any_io_executor executor) : timer_(std::move(executor)) {
    timer_.expires_at(boost::asio::steady_timer::time_point::max());
  }
  // From any thread.
  void Set() {
    boost::asio::post(timer_.get_executor(), [self = shared_from_this()] {
      self->set_ = true;
      self->timer_.cancel();
    });
  }
  // On the strand. True: set (and cleared now); false: `deadline` has passed.
  Awaitable<bool> Wait(std::chrono::steady_clock::time_point deadline) {
    if (!set_) {
      timer_.expires_at(deadline);
      boost::system::error_code ignored;
      co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    }
    co_return std::exchange(set_, false);
  }

 private:
  boost::asio::steady_timer timer_;
  bool set_ = false;
};

// Starts `start(callback)` and waits for the callback's value. The callback must be called once,
// from any thread.
template <typename T>
Awaitable<T> WaitFor(boost::asio::any_io_executor executor,
                     std::function<void(std::function<void(T)> callback)> start) {
  struct Brought {
    std::optional<T> value;
  };
  auto signal = std::make_shared<Signal>(executor);
  auto brought = std::make_shared<Brought>();  // owners: this coroutine and the callback
  start([signal, brought](T value) {
    brought->value = std::move(value);
    signal->Set();
  });
  // Whoever calls back has a deadline of its own.
  while (!co_await signal->Wait(std::chrono::steady_clock::now() + std::chrono::hours(1))) {
  }
  co_return std::move(*brought->value);
}

}  // namespace interlink::net

#endif  // INTERLINK_NET_REPLY_WAIT_H_
