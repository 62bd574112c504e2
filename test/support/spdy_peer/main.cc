// spdy_peer: the server's half of SPDY without HTTP, for clients that are not ours (cmd/spdy of the
// test tools). Prints its port; ends when its stdin does. A client first sends a line:
//   command    v4: stdin comes back on stdout, "note" on stderr, exit code 3
//   terminal   v4 with a tty: each size comes back on stdout as a line "80x24"; exit code 0
//   forward    connections echo; those to port 9 fail
#include <unistd.h>

#include <iostream>
#include <string>

#include "net/connection.h"
#include "streaming/spdy_command.h"
#include "streaming/spdy_forward.h"

namespace interlink::streaming {
namespace {

using node::SessionInput;
using Channel = node::SessionOutput::Channel;

SteadyTime Soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }

net::Awaitable<void> ServeCommand(std::shared_ptr<net::Connection> connection, std::string early,
                                  bool tty) {
  const CommandStreams streams{.tty = tty, .in = true, .out = true, .err = true};
  auto command = co_await AcceptSpdyCommand(connection, early, streams, SpdyOptions());
  if (!command.ok()) {
    std::cerr << "spdy_peer: " << command.status().ToString() << "\n";
    co_return;
  }
  Status status = co_await (*command)->Write(Channel::kStderr, "note");
  while (status.ok()) {
    const auto input = co_await (*command)->Read();
    if (!input.ok()) co_return;
    if (input->kind == SessionInput::Kind::kEnd) break;
    std::string back = input->bytes;
    if (input->kind == SessionInput::Kind::kResize)
      back = std::to_string(input->columns) + "x" + std::to_string(input->rows) + "\n";
    status = co_await (*command)->Write(Channel::kStdout, back);
  }
  CommandEnd end;
  end.exit_code = tty ? 0 : 3;
  status = co_await (*command)->Finish(end);
  if (!status.ok()) std::cerr << "spdy_peer: " << status.ToString() << "\n";
}

net::Awaitable<void> Echo(std::shared_ptr<ForwardStream> stream) {
  Status status;
  if (stream->port() == 9) status = Unavailable("connect to 127.0.0.1:9: refused");
  while (status.ok()) {
    const auto bytes = co_await stream->Read();
    status = bytes.status();
    if (!bytes.ok() || bytes->empty()) break;
    status = co_await stream->Write(*bytes);
  }
  if (status.ok()) status = co_await stream->CloseWrite();
  co_await stream->Finish(status);
}

net::Awaitable<void> ServeForward(std::shared_ptr<net::Connection> connection, std::string early) {
  const auto forward = StartSpdyForward(connection, early, SpdyOptions());
  while (true) {
    auto stream = co_await forward->Accept();
    if (!stream.ok() || !stream->has_value()) co_return;
    net::Io::Spawn(connection->executor(), Echo(**stream));
  }
}

net::Awaitable<void> Serve(std::shared_ptr<net::Connection> connection) {
  std::string early;
  std::string buffer(4096, '\0');
  size_t end = std::string::npos;
  while ((end = early.find('\n')) == std::string::npos) {
    const auto n = co_await connection->Read(buffer, Soon());
    if (!n.ok() || *n == 0) co_return;
    early.append(buffer, 0, *n);
  }
  const std::string what = early.substr(0, end);
  early.erase(0, end + 1);
  if (what == "forward") co_await ServeForward(connection, early);
  if (what == "command" || what == "terminal") {
    const bool tty = what == "terminal";
    co_await ServeCommand(connection, early, tty);
  }
}

net::Awaitable<void> AcceptAll(net::Listener* listener, net::Io* io) {
  while (true) {
    auto connection = co_await listener->Accept(*io);
    if (connection.status().code() == Code::kCancelled) co_return;
    if (connection.ok()) net::Io::Spawn((*connection)->executor(), Serve(*connection));
  }
}

int Run() {
  net::Io io;
  auto listener = net::Listener::Tcp(io, "127.0.0.1", 0, nullptr);
  if (!listener.ok()) {
    std::cerr << "spdy_peer: " << listener.status().ToString() << "\n";
    return 1;
  }
  net::Io::Spawn((*listener)->executor(), AcceptAll(listener->get(), &io));
  std::cout << (*listener)->port() << std::endl;
  std::string ignored;
  while (std::getline(std::cin, ignored)) {
  }
  io.Stop();
  return 0;
}

}  // namespace
}  // namespace interlink::streaming

int main() { return interlink::streaming::Run(); }
