// Any bytes as what a client sends over WebSocket to an exec or a port-forward: the transports end
// when the client has closed, and what they send are whole frames, not masked. Input: a byte for
// the protocol, one for how much comes at once, then what the client sends after the upgrade.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "net/io.h"
#include "streaming/websocket_command.h"
#include "streaming/websocket_forward.h"

namespace interlink::streaming {
namespace {

namespace asio = boost::asio;

constexpr auto kPause = std::chrono::seconds(5);

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
    // One write is one frame of a server.
    const auto byte = [bytes](size_t at) { return static_cast<uint8_t>(bytes.at(at)); };
    size_t head = 2;
    uint64_t size = byte(1);
    if (size == 126) {
      head = 4;
      size = static_cast<uint64_t>(byte(2)) << 8U | byte(3);
    } else if (size == 127) {
      head = 10;
      size = 0;
      for (size_t i = 2; i < 10; ++i) size = size << 8U | byte(i);
    }
    if (bytes.size() != head + size || (byte(0) & 0x80U) == 0 || closed_) abort();
    closed_ = (byte(0) & 15U) == 8;
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
  net::Peer peer_;
  bool cancelled_ = false;
  bool closed_ = false;  // a close frame was sent: none may follow
};

std::shared_ptr<net::WebSocket> SocketOf(const std::shared_ptr<net::Connection>& connection) {
  return std::make_shared<net::WebSocket>(connection, "", net::WebSocket::Role::kServer);
}

// Echoes stdin.
net::Awaitable<void> ServeCommand(std::shared_ptr<net::Connection> connection, uint8_t what,
                                  bool* over) {
  node::StreamRequest request;
  request.tty = (what & 64U) != 0;
  request.in = request.out = request.err = true;
  const auto protocols = CommandProtocols();
  auto socket = SocketOf(connection);
  WebSocketCommand command(socket, protocols[what % protocols.size()], request, kPause);
  Status status = co_await command.Begin();
  while (status.ok()) {
    const auto input = co_await command.Read();
    status = input.status();
    if (!status.ok() || input->kind == node::SessionInput::Kind::kEnd) break;
    if (input->bytes.size() > net::WebSocket::kMaxMessage) abort();
    status = co_await command.Write(node::SessionOutput::Channel::kStdout, input->bytes);
  }
  CommandEnd end;
  end.error = status;
  const Status finished = co_await command.Finish(end);
  static_cast<void>(finished);
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

net::Awaitable<void> ServeForward(std::shared_ptr<net::Connection> connection, uint8_t what,
                                  bool* over) {
  const auto protocols = ForwardProtocols();
  const std::vector<uint16_t> ports = {80, 8080, 443};
  auto socket = SocketOf(connection);
  auto forward =
      std::make_shared<WebSocketForward>(socket, protocols[what % protocols.size()], ports, kPause);
  const Status begun = co_await forward->Begin();
  while (begun.ok()) {
    auto stream = co_await forward->Accept();
    if (!stream.ok() || !stream->has_value()) break;
    net::Io::Spawn(connection->executor(), Echo(**stream));
  }
  *over = true;
}

}  // namespace
}  // namespace interlink::streaming

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace interlink::streaming;  // NOLINT(google-build-using-namespace)
  if (size < 2) return 0;
  boost::asio::io_context context;
  const std::string_view input(reinterpret_cast<const char*>(bytes) + 2, size - 2);
  auto connection = std::make_shared<MemoryConnection>(boost::asio::make_strand(context), input,
                                                       size_t{bytes[1]} + 1);
  bool over = false;
  const auto executor = connection->executor();
  if ((bytes[0] & 128U) != 0) {
    interlink::net::Io::Spawn(executor, ServeForward(connection, bytes[0] & 127U, &over));
  } else {
    interlink::net::Io::Spawn(executor, ServeCommand(connection, bytes[0], &over));
  }
  connection.reset();
  context.run_for(std::chrono::seconds(5));
  if (!over) abort();
  return 0;
}
