// Any bytes as what a client sends to the HTTP server: a handler only sees requests that are whole,
// within limits and of one meaning; what is sent back are answers; the connection ends. Input: a
// byte for how much comes at once, then what the client sends.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "net/http_server.h"

namespace interlink::net {
namespace {

namespace asio = boost::asio;

constexpr size_t kMostBody = 4096;

class FedConnection final : public Connection {
 public:
  FedConnection(asio::any_io_executor executor, std::string_view input, size_t step, bool* over)
      : executor_(std::move(executor)), input_(input), step_(step), over_(over) {}
  ~FedConnection() override {
    if (!sent_.empty() && !sent_.starts_with("HTTP/1.1 ")) abort();
    *over_ = true;
  }
  FedConnection(const FedConnection&) = delete;
  FedConnection& operator=(const FedConnection&) = delete;

  Awaitable<Result<size_t>> Read(std::span<char> buffer, SteadyTime) override {
    co_await asio::post(executor_, asio::use_awaitable);  // others run in between, as with a socket
    if (cancelled_) co_return CancelledError("given up");
    const size_t n = std::min({buffer.size(), step_, input_.size()});
    input_.copy(buffer.data(), n);
    input_.remove_prefix(n);
    co_return n;
  }
  Awaitable<Status> Write(std::string_view bytes, SteadyTime) override {
    co_await asio::post(executor_, asio::use_awaitable);
    if (cancelled_) co_return CancelledError("given up");
    if (sent_.size() < 16) sent_ += bytes.substr(0, 16);
    co_return Status::Ok();
  }
  Awaitable<void> ShutdownWrite() override { co_return; }
  void Cancel() override { cancelled_ = true; }
  const Peer& peer() const override { return peer_; }
  asio::any_io_executor executor() const override { return executor_; }

 private:
  const asio::any_io_executor executor_;
  std::string_view input_;
  const size_t step_;
  bool* const over_;
  Peer peer_;
  bool cancelled_ = false;
  std::string sent_;
};

bool HasControl(std::string_view text, bool and_space) {
  return std::any_of(text.begin(), text.end(), [and_space](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f || (and_space && (c == ' ' || c == '\t'));
  });
}

// What no handler may see: it would believe it.
void CheckRequest(const HttpRequest& request) {
  if (request.method.empty() || HasControl(request.method, true)) abort();
  if (request.target.empty() || HasControl(request.target, true)) abort();
  if (request.body.size() > kMostBody) abort();
  for (const auto& [name, value] : request.headers.items()) {
    if (name.empty() || HasControl(name, true) || HasControl(value, false)) abort();
  }
  // Two readers of these would find two different ends of the body.
  if (request.headers.Get("Transfer-Encoding") && request.headers.Get("Content-Length")) abort();
}

Awaitable<void> Handle(HttpRequest request, Responder& responder) {
  CheckRequest(request);
  HttpResponse response;
  response.body = request.body;
  const Status sent = co_await responder.Send(std::move(response));
  static_cast<void>(sent);  // the client may be gone
}

}  // namespace
}  // namespace interlink::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace interlink::net;  // NOLINT(google-build-using-namespace): a program of one
                                   // function
  static Io io(1);                 // of listeners, which are not here
  if (size < 1) return 0;
  boost::asio::io_context context;
  const std::string_view input(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  bool over = false;
  HttpServerOptions options;
  options.max_body = kMostBody;
  ServeConnection(io,
                  std::make_shared<FedConnection>(boost::asio::make_strand(context), input,
                                                  size_t{bytes[0]} + 1, &over),
                  "", options, Handle);
  context.run_for(std::chrono::seconds(5));
  if (!over) abort();
  return 0;
}
