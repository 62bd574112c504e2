// Any bytes as what a client sends to an exec or a port-forward: the transports end within their
// deadlines, and what they send is SPDY. Input: a byte for what is served (even: a command; bit 1:
// a terminal), a byte for how much comes at once, then what the client sends before it closes.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "streaming/spdy_command.h"
#include "streaming/spdy_forward.h"

namespace interlink::streaming {
namespace {

namespace asio = boost::asio;

class MemoryConnection final : public net::Connection {
 public:
  MemoryConnection(asio::any_io_executor executor, std::string_view input, size_t step)
      : executor_(std::move(executor)), input_(input), step_(step) {}

  net::Awaitable<Result<size_t>> Read(std::span<char> buffer, SteadyTime) override {
    co_await asio::post(executor_, asio::use_awaitable);  // others run in between, as with a socket
    if (cancelled_) co_return CancelledError("given up");
    const size_t n = std::min({buffer.size(), step_, input_.size()});
    input_.copy(buffer.data(), n);
    input_.remove_prefix(n);
    co_return n;
  }
  net::Awaitable<Status> Write(std::string_view bytes, SteadyTime) override {
    co_await asio::post(executor_, asio::use_awaitable);
    if (cancelled_) co_return CancelledError("given up");
    while (true) {
      auto frame = decoder_.Next(bytes);
      if (!frame.ok()) abort();
      if (!frame->has_value()) break;
    }
    if (!decoder_.AtBoundary()) abort();  // frames are not cut
    co_return Status::Ok();
  }
  net::Awaitable<void> ShutdownWrite() override { co_return; }
  void Cancel() override { cancelled_ = true; }
  const net::Peer& peer() const override { return peer_; }
  asio::any_io_executor executor() const override { return executor_; }

 private:
  const asio::any_io_executor executor_;
  std::string_view input_;
  const size_t step_;
  SpdyDecoder decoder_;
  net::Peer peer_;
  bool cancelled_ = false;
};

net::Awaitable<void> ServeCommand(std::shared_ptr<net::Connection> connection, bool tty,
                                  bool* over) {
  const CommandStreams streams{.tty = tty, .in = true, .out = true, .err = true};
  auto command = co_await AcceptSpdyCommand(connection, "", streams, SpdyOptions());
  Status status = command.status();
  while (status.ok()) {
    const auto input = co_await (*command)->Read();
    status = input.status();
    if (!status.ok() || input->kind == node::SessionInput::Kind::kEnd) break;
    status = co_await (*command)->Write(node::SessionOutput::Channel::kStdout, input->bytes);
  }
  if (command.ok()) {
    CommandEnd end;
    end.error = status;
    const Status finished = co_await (*command)->Finish(end);
    static_cast<void>(finished);
  }
  *over = true;
}

net::Awaitable<void> Echo(std::shared_ptr<ForwardStream> stream) {
  Status status;
  while (status.ok()) {
    const auto bytes = co_await stream->Read();
    status = bytes.status();
    if (!bytes.ok() || bytes->empty()) break;
    status = co_await stream->Write(*bytes);
  }
  co_await stream->Finish(status);
}

net::Awaitable<void> ServeForward(std::shared_ptr<net::Connection> connection, bool* over) {
  const auto forward = StartSpdyForward(connection, "", SpdyOptions());
  while (true) {
    auto stream = co_await forward->Accept();
    if (!stream.ok() || !stream->has_value()) break;
    net::Io::Spawn(connection->executor(), Echo(**stream));
  }
  *over = true;
}

}  // namespace
}  // namespace interlink::streaming

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  using namespace interlink::streaming;  // NOLINT(google-build-using-namespace)
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(input) + 2, size - 2);
  boost::asio::io_context context;
  auto connection = std::make_shared<MemoryConnection>(boost::asio::make_strand(context), bytes,
                                                       size_t{1} + input[1] * size_t{16});
  bool over = false;
  interlink::net::Io::Spawn(connection->executor(),
                            input[0] % 2 == 0
                                ? ServeCommand(connection, (input[0] & 2U) != 0, &over)
                                : ServeForward(connection, &over));
  context.run_for(std::chrono::seconds(5));
  if (!over || !context.stopped()) abort();
  return 0;
}
