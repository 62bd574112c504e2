#include "net/io.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <thread>
#include <vector>

namespace interlink::net {

struct Io::State {
  boost::asio::io_context context;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard{
      context.get_executor()};
  std::vector<std::jthread> threads;
};

Io::Io(int threads) : state_(std::make_unique<State>()) {
  for (int i = 0; i < threads; ++i) state_->threads.emplace_back([this] { state_->context.run(); });
}

Io::~Io() { Stop(); }

void Io::Stop() {
  state_->guard.reset();
  state_->context.stop();
  state_->threads.clear();
}

boost::asio::any_io_executor Io::Strand() { return boost::asio::make_strand(state_->context); }

void Io::Spawn(const boost::asio::any_io_executor& strand, Awaitable<void> coroutine) {
  boost::asio::co_spawn(strand, std::move(coroutine), boost::asio::detached);
}

}  // namespace interlink::net
