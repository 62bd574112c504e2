#include "net/http_server.h"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <map>
#include <set>

#include "base/mutex.h"
#include "net/body_budget.h"
#include "net/http_feed.h"

namespace interlink::net {
namespace {

namespace http = boost::beast::http;
using RequestParser = http::request_parser<http::string_body>;

// A peer that takes less than this piece in this time is too slow.
constexpr auto kWrite = std::chrono::seconds(30);
constexpr size_t kPiece = 256U << 10U;
constexpr auto kHandshake = std::chrono::seconds(10);
// After an error the rest of the request is read and dropped for so long: closing at once would
// reset the connection, and the peer would never see the answer.
constexpr auto kLinger = std::chrono::seconds(2);
constexpr int kTooMany = 429;

const char* ReasonPhrase(int status) {
  const auto text = http::obsolete_reason(static_cast<http::status>(status));
  return text.empty() ? "Unknown" : text.data();
}

std::string HeadOf(const HttpResponse& response, const std::string& framing, bool keep) {
  std::string head =
      "HTTP/1.1 " + std::to_string(response.status) + " " + ReasonPhrase(response.status) + "\r\n";
  for (const auto& [name, value] : response.headers.items()) head += name + ": " + value + "\r\n";
  if (!framing.empty()) head += framing + "\r\n";
  if (!keep) head += "Connection: close\r\n";
  return head + "\r\n";
}

HttpRequest Convert(RequestParser& parser, const Peer& peer) {
  auto message = parser.release();
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  for (const auto& field : message)
    request.headers.Add(std::string(field.name_string()), std::string(field.value()));
  request.body = std::move(message.body());
  request.peer = peer;
  return request;
}

// Beast takes a Transfer-Encoding that it does not know for none at all: what follows would be read
// as the next request (RFC 9112, 6.1).
bool HasPlainFraming(const RequestParser& parser) {
  const auto range = parser.get().equal_range(http::field::transfer_encoding);
  if (range.first == range.second) return true;
  return std::next(range.first) == range.second && parser.get().version() == 11 &&
         EqualNoCase(range.first->value(), "chunked");
}

struct ReadError {
  int status = 0;  // 0: close without a word
  std::string text;
};

}  // namespace

struct HttpServer::State {
  State(Io& i, HttpServerOptions o, HttpHandler h)
      : io(i),
        options(std::move(o)),
        handler(std::move(h)),
        bodies(options.max_bodies, options.max_bodies_per_peer) {}

  Io& io;
  std::unique_ptr<Listener> listener;
  const HttpServerOptions options;
  const HttpHandler handler;
  BodyBudget bodies;
  Mutex mutex;
  bool stopping GUARDED_BY(mutex) = false;
  // Connections in their TLS handshake: all, and by address.
  size_t shaking GUARDED_BY(mutex) = 0;
  std::map<std::string, size_t> shaking_of GUARDED_BY(mutex);
  std::set<Connection*> open GUARDED_BY(mutex);
  std::set<Connection*> idle GUARDED_BY(mutex);
  std::map<std::string, size_t> per_peer GUARDED_BY(mutex);
  CondVar changed;
};

namespace {

using ServerState = HttpServer::State;

std::string AddressOf(const Peer& peer) { return peer.address.substr(0, peer.address.rfind(':')); }

// Whose connections are counted together. All names of a certificate: which of them the edge goes
// by is not known here.
std::string PeerKey(const Peer& peer) {
  if (!peer.verified) return "address " + AddressOf(peer);
  std::string key = "certificate " + peer.common_name;
  for (const std::string& uri : peer.uris) key += " " + uri;
  return key;
}

// Serves one connection to its end.
class Session final : public Responder {
 public:
  Session(ServerState& state, std::shared_ptr<Connection> connection, std::string early)
      : state_(state),
        connection_(std::move(connection)),
        peer_key_(PeerKey(connection_->peer())),
        feed_(std::move(early)) {}

  Awaitable<void> Run() {
    while (keep_) {
      SetIdle(true);
      BodyBudget::Share body(state_.bodies, peer_key_, connection_->peer().verified);
      RequestParser parser;
      parser.eager(true);
      parser.header_limit(kMaxHead);
      parser.body_limit(state_.options.max_body);
      const ReadError error = co_await ReadRequest(parser, body);
      SetIdle(false);
      if (error.status != 0) {
        keep_ = false;
        // The others need not wait for the end of this one.
        parser.get().body() = std::string();
        body.Hold(0);
        co_await SendError(error);
        co_await Linger();
        break;
      }
      if (!parser.is_done()) break;
      keep_ = parser.keep_alive();
      head_only_ = parser.get().method() == http::verb::head;
      sent_ = false;
      streaming_ = false;
      co_await state_.handler(Convert(parser, connection_->peer()), *this);
      if (hijacked_ || streaming_) break;
      if (!sent_) {
        keep_ = false;
        // A name of its own: GCC 12 destroys braced temporaries of a co_await twice.
        const ReadError unanswered{500, "the request was not answered"};
        co_await SendError(unanswered);
      }
      if (Stopping()) keep_ = false;
    }
    if (streaming_) {
      // The end of an endless answer.
      const Status status =
          co_await connection_->Write("0\r\n\r\n", Deadline(std::chrono::seconds(1)));
      if (!status.ok()) co_return;
    }
    co_await connection_->ShutdownWrite();
    // Who watches the peer reads until now.
    if (watched_) connection_->Cancel();
  }

  Awaitable<Status> Send(HttpResponse response) override {
    if (sent_) co_return FailedPrecondition("the request has been answered");
    sent_ = true;
    const bool bodiless = response.status == 204 || response.status == 304 || response.status < 200;
    std::string bytes = HeadOf(
        response, bodiless ? "" : "Content-Length: " + std::to_string(response.body.size()), keep_);
    if (!head_only_ && !bodiless) bytes += response.body;
    Status status;
    std::string_view rest = bytes;
    while (status.ok() && !rest.empty()) {
      const std::string_view piece = rest.substr(0, kPiece);
      status = co_await connection_->Write(piece, Deadline(kWrite));
      rest.remove_prefix(piece.size());
    }
    if (!status.ok()) keep_ = false;
    co_return status;
  }

  Awaitable<Status> Begin(HttpResponse head) override {
    if (sent_) co_return FailedPrecondition("the request has been answered");
    sent_ = true;
    streaming_ = true;
    keep_ = false;
    co_return co_await connection_->Write(HeadOf(head, "Transfer-Encoding: chunked", false),
                                          Deadline(kWrite));
  }

  Awaitable<Status> Write(std::string_view chunk) override {
    if (chunk.empty()) co_return Status::Ok();
    std::array<char, 32> size{};
    const int digits = std::snprintf(size.data(), size.size(), "%zx\r\n", chunk.size());
    std::string bytes(size.data(), static_cast<size_t>(digits));
    bytes.append(chunk);
    bytes += "\r\n";
    co_return co_await connection_->Write(bytes, Deadline(kWrite));
  }

  std::shared_ptr<Connection> Hijack(std::string* early) override {
    hijacked_ = true;
    *early = feed_.Take();
    return connection_;
  }

  void WatchPeer(std::function<void()> gone) override {
    keep_ = false;
    watched_ = true;
    boost::asio::co_spawn(connection_->executor(), Watch(connection_, std::move(gone)),
                          boost::asio::detached);
  }

 private:
  static SteadyTime Deadline(Duration timeout) {
    return std::chrono::steady_clock::now() + timeout;
  }

  static Awaitable<void> Watch(std::shared_ptr<Connection> connection, std::function<void()> gone) {
    std::array<char, 256> ignored{};
    // Whatever is sent meanwhile is dropped: the connection ends after this answer.
    while (true) {
      const auto n = co_await connection->Read(ignored, Deadline(std::chrono::hours(24)));
      if (!n.ok() || *n == 0) break;
    }
    gone();
  }

  bool Stopping() {
    MutexLock lock(state_.mutex);
    return state_.stopping;
  }
  void SetIdle(bool idle) {
    MutexLock lock(state_.mutex);
    if (idle) {
      state_.idle.insert(connection_.get());
    } else {
      state_.idle.erase(connection_.get());
    }
  }

  Awaitable<void> SendError(const ReadError& error) {
    HttpResponse response;
    response.status = error.status;
    response.body = error.text + "\n";
    if (state_.options.error_page) response = state_.options.error_page(error.status, error.text);
    if (error.status == kTooMany) response.headers.Set("Retry-After", "1");
    sent_ = false;
    const Status status = co_await Send(std::move(response));
    if (!status.ok()) keep_ = false;
  }

  Awaitable<void> Linger() {
    const SteadyTime deadline = Deadline(kLinger);
    std::array<char, 16384> ignored;
    while (std::chrono::steady_clock::now() < deadline) {
      const auto n = co_await connection_->Read(ignored, deadline);
      if (!n.ok() || *n == 0) break;
    }
  }

  Awaitable<ReadError> ReadRequest(RequestParser& parser, BodyBudget::Share& body) {
    SteadyTime deadline = Deadline(state_.options.idle_timeout);
    SteadyTime body_end = SteadyTime::max();
    bool begun = !feed_.empty();
    if (begun) deadline = Deadline(state_.options.head_timeout);
    bool continued = false;
    std::array<char, 16384> chunk;
    std::string_view fresh;
    while (true) {
      if (begun) {
        const boost::system::error_code error = feed_.Put(parser, fresh);
        if (error) co_return Explain(error);
        if (parser.is_header_done() && !HasPlainFraming(parser)) {
          co_return ReadError{400, "the only Transfer-Encoding here is \"chunked\", with HTTP/1.1"};
        }
        if (!body.Hold(parser.get().body().size())) {
          co_return ReadError{
              kTooMany,
              "too many large requests of this client or of all are under way: ask again"};
        }
        if (parser.is_done()) co_return ReadError{};
      }
      if (parser.is_header_done()) {
        if (body_end == SteadyTime::max()) body_end = Deadline(LongestBody());
        deadline = std::min(body_end, Deadline(state_.options.body_timeout));
        if (!continued &&
            http::token_list(parser.get()[http::field::expect]).exists("100-continue")) {
          continued = true;
          const Status sent =
              co_await connection_->Write("HTTP/1.1 100 Continue\r\n\r\n", Deadline(kWrite));
          if (!sent.ok()) co_return ReadError{};
        }
      }
      const auto n = co_await connection_->Read(chunk, deadline);
      if (!n.ok() || *n == 0) {
        if (!begun || !n.ok()) {
          const bool slow = !n.ok() && n.status().code() == Code::kDeadlineExceeded && begun;
          co_return slow ? ReadError{408, "the request did not arrive in time"} : ReadError{};
        }
        co_return ReadError{400, "the request ends too early"};
      }
      if (!begun) deadline = Deadline(state_.options.head_timeout);
      begun = true;
      fresh = {chunk.data(), *n};
    }
  }

  // Else one byte now and then would hold what is read for ever.
  Duration LongestBody() const {
    const HttpServerOptions& options = state_.options;
    return options.body_timeout + std::chrono::seconds(options.max_body / options.least_body_rate);
  }

  ReadError Explain(const boost::system::error_code& error) const {
    if (error == http::error::header_limit)
      return {431, "a head of the request is larger than " + std::to_string(kMaxHead) + " bytes"};
    if (error == http::error::body_limit) {
      return {413, "the body is larger than " + std::to_string(state_.options.max_body) + " bytes"};
    }
    return {400, "this is not an HTTP/1.1 request: " + error.message()};
  }

  ServerState& state_;
  std::shared_ptr<Connection> connection_;
  const std::string peer_key_;
  HttpFeed feed_;
  bool keep_ = true;
  bool sent_ = false;
  bool streaming_ = false;
  bool hijacked_ = false;
  bool watched_ = false;
  bool head_only_ = false;
};

// Handshakes cost memory and time before anybody is known: they have limits of their own, so that
// one machine that begins many and ends none keeps nobody else out.
class ShakingPlace {
 public:
  ShakingPlace(ServerState& state, std::string address)
      : state_(state), address_(std::move(address)) {
    MutexLock lock(state_.mutex);
    if (state_.stopping || state_.shaking >= state_.options.max_connections) return;
    size_t& mine = state_.shaking_of[address_];
    if (mine >= state_.options.max_connections_per_peer) return;
    ++mine;
    ++state_.shaking;
    taken_ = true;
  }
  ~ShakingPlace() {
    if (!taken_) return;
    MutexLock lock(state_.mutex);
    --state_.shaking;
    const auto it = state_.shaking_of.find(address_);
    if (--it->second == 0) state_.shaking_of.erase(it);
  }
  ShakingPlace(const ShakingPlace&) = delete;
  ShakingPlace& operator=(const ShakingPlace&) = delete;
  bool taken() const { return taken_; }

 private:
  ServerState& state_;
  const std::string address_;
  bool taken_ = false;
};

// Of a connection that is served.
class ServedPlace {
 public:
  ServedPlace(ServerState& state, Connection& connection)
      : state_(state), connection_(connection), key_(PeerKey(connection.peer())) {
    MutexLock lock(state_.mutex);
    if (state_.stopping || state_.open.size() >= state_.options.max_connections) return;
    size_t& mine = state_.per_peer[key_];
    if (mine >= state_.options.max_connections_per_peer) return;
    ++mine;
    state_.open.insert(&connection_);
    taken_ = true;
  }
  ~ServedPlace() {
    if (!taken_) return;
    MutexLock lock(state_.mutex);
    state_.open.erase(&connection_);
    state_.idle.erase(&connection_);
    const auto it = state_.per_peer.find(key_);
    if (--it->second == 0) state_.per_peer.erase(it);
    state_.changed.NotifyAll();
  }
  ServedPlace(const ServedPlace&) = delete;
  ServedPlace& operator=(const ServedPlace&) = delete;
  bool taken() const { return taken_; }

 private:
  ServerState& state_;
  Connection& connection_;
  const std::string key_;
  bool taken_ = false;
};

Awaitable<void> Serve(std::shared_ptr<ServerState> state, std::shared_ptr<Connection> connection,
                      std::string early) {
  Status shaken;
  {
    const ShakingPlace place(*state, AddressOf(connection->peer()));
    if (!place.taken()) co_return;
    shaken = co_await Handshake(*connection, std::chrono::steady_clock::now() + kHandshake);
  }
  if (!shaken.ok()) {
    if (state->options.on_handshake_error)
      state->options.on_handshake_error(connection->peer(), shaken);
    co_return;
  }
  const ServedPlace place(*state, *connection);
  if (!place.taken()) {
    const Status refused = co_await connection->Write(
        "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: "
        "close\r\n\r\n",
        std::chrono::steady_clock::now() + std::chrono::seconds(2));
    if (!refused.ok()) co_return;
    co_await connection->ShutdownWrite();
    co_return;
  }
  Session session(*state, connection, std::move(early));
  co_await session.Run();
}

Awaitable<void> AcceptLoop(std::shared_ptr<ServerState> state) {
  while (true) {
    auto accepted = co_await state->listener->Accept(state->io);
    if (!accepted.ok()) {
      if (accepted.status().code() == Code::kCancelled) co_return;
      continue;
    }
    Io::Spawn((*accepted)->executor(), Serve(state, *accepted, ""));
  }
}

}  // namespace

HttpServer::HttpServer(Io& io, std::unique_ptr<Listener> listener, HttpServerOptions options,
                       HttpHandler handler)
    : state_(std::make_shared<ServerState>(io, std::move(options), std::move(handler))) {
  state_->listener = std::move(listener);
}

HttpServer::~HttpServer() { Stop(Duration::zero()); }

void HttpServer::Start() { Io::Spawn(state_->listener->executor(), AcceptLoop(state_)); }

uint16_t HttpServer::port() const { return state_->listener->port(); }

void HttpServer::Stop(Duration grace) {
  state_->listener->Close();
  MutexLock lock(state_->mutex);
  state_->stopping = true;
  for (Connection* connection : state_->idle) connection->Cancel();
  state_->changed.WaitFor(state_->mutex, grace,
                          [this]() NO_LOCK_ANALYSIS { return state_->open.empty(); });
  for (Connection* connection : state_->open) connection->Cancel();
}

void ServeConnection(Io& io, std::shared_ptr<Connection> connection, std::string early,
                     HttpServerOptions options, HttpHandler handler) {
  auto state = std::make_shared<ServerState>(io, std::move(options), std::move(handler));
  const auto executor = connection->executor();
  Io::Spawn(executor, Serve(std::move(state), std::move(connection), std::move(early)));
}

}  // namespace interlink::net
