// Io: the threads that own every socket of a daemon (DESIGN 12.2). Nothing on them blocks.
// Thread-safe.
#ifndef INTERLINK_NET_IO_H_
#define INTERLINK_NET_IO_H_

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <utility>

#include "net/awaitable.h"

namespace interlink::net {

class Io {
 public:
  explicit Io(int threads = 2);
  // Stops.
  ~Io();
  Io(const Io&) = delete;
  Io& operator=(const Io&) = delete;

  // A fresh strand: what is spawned on one strand never runs concurrently.
  boost::asio::any_io_executor Strand();
  // Runs the coroutine on `strand`; it must not throw.
  static void Spawn(const boost::asio::any_io_executor& strand, Awaitable<void> coroutine);
  // Drops what waits and joins. Idempotent.
  void Stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace interlink::net

#endif  // INTERLINK_NET_IO_H_
