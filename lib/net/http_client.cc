#include "net/http_client.h"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/parser.hpp>
#include <deque>
#include <optional>

#include "base/mutex.h"
#include "net/http_feed.h"

namespace interlink::net {

struct HttpClient::State {
  State(Io& i, HttpClientOptions o) : io(i), options(std::move(o)) {}

  struct Idle {
    std::shared_ptr<Connection> connection;
    SteadyTime since;
  };

  Io& io;
  const HttpClientOptions options;
  Mutex mutex;
  std::deque<Idle> idle GUARDED_BY(mutex);
  bool sweeping GUARDED_BY(mutex) = false;

  std::shared_ptr<Connection> TakeIdle() {
    MutexLock lock(mutex);
    while (!idle.empty()) {
      Idle last = std::move(idle.back());
      idle.pop_back();
      // One of a certificate of before may be about to lose its right.
      const bool good =
          options.endpoint.tls == nullptr || last.connection->MadeWith(*options.endpoint.tls);
      if (good && std::chrono::steady_clock::now() - last.since < options.idle_timeout)
        return last.connection;
    }
    return nullptr;
  }
  // True: nobody sweeps yet, the caller starts it.
  bool Keep(std::shared_ptr<Connection> connection) {
    MutexLock lock(mutex);
    if (idle.size() >= options.max_idle) return false;
    idle.push_back({std::move(connection), std::chrono::steady_clock::now()});
    return !std::exchange(sweeping, true);
  }
  // Lets go of what was not used for too long: the oldest stand in front. Returns when to come
  // again; nothing: no connection is left, and the sweep ends.
  std::optional<SteadyTime> DropExpired() {
    std::deque<Idle> dropped;  // they end outside of the lock
    MutexLock lock(mutex);
    const SteadyTime now = std::chrono::steady_clock::now();
    while (!idle.empty() && now - idle.front().since >= options.idle_timeout) {
      dropped.push_back(std::move(idle.front()));
      idle.pop_front();
    }
    sweeping = !idle.empty();
    if (!sweeping) return std::nullopt;
    return idle.front().since + options.idle_timeout;
  }
};

namespace {

namespace http = boost::beast::http;
using ClientState = HttpClient::State;

Awaitable<void> Sweep(std::weak_ptr<ClientState> weak, boost::asio::any_io_executor executor) {
  boost::asio::steady_timer timer(executor);
  while (true) {
    std::optional<SteadyTime> next;
    if (const auto state = weak.lock()) next = state->DropExpired();
    if (!next) co_return;
    timer.expires_at(*next);
    boost::system::error_code ignored;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }
}

void Keep(const std::shared_ptr<ClientState>& state, std::shared_ptr<Connection> connection) {
  if (!state->Keep(std::move(connection))) return;
  const auto strand = state->io.Strand();
  Io::Spawn(strand, Sweep(state, strand));
}

// As http::string_body, without room for all that the head announces: a layer of an image may be
// larger than memory, and is handed on piece by piece.
struct GrowingBody {
  using value_type = std::string;
  class reader {
   public:
    template <bool kIsRequest, typename Fields>
    reader(http::header<kIsRequest, Fields>& /*head*/, value_type& body) : body_(body) {}
    void init(const boost::optional<uint64_t>& /*size*/, boost::system::error_code& error) {
      error = {};
    }
    template <typename Buffers>
    size_t put(const Buffers& buffers, boost::system::error_code& error) {
      error = {};
      size_t size = 0;
      for (const boost::asio::const_buffer buffer : boost::beast::buffers_range_ref(buffers)) {
        body_.append(static_cast<const char*>(buffer.data()), buffer.size());
        size += buffer.size();
      }
      return size;
    }
    void finish(boost::system::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};
using ResponseParser = http::response_parser<GrowingBody>;

std::string Serialize(const ClientState& state, const HttpRequest& request) {
  const Endpoint& endpoint = state.options.endpoint;
  std::string host = state.options.host_header;
  if (host.empty()) host = endpoint.unix_path.empty() ? endpoint.Name() : "localhost";
  std::string bytes = request.method + " " + request.target + " HTTP/1.1\r\nHost: " + host + "\r\n";
  for (const auto& [name, value] : request.headers.items()) bytes += name + ": " + value + "\r\n";
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    bytes += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return bytes + "\r\n" + request.body;
}

HttpResponse Convert(ResponseParser& parser) {
  HttpResponse response;
  response.status = parser.get().result_int();
  for (const auto& field : parser.get())
    response.headers.Add(std::string(field.name_string()), std::string(field.value()));
  response.body = std::move(parser.get().body());
  return response;
}

struct Attempt {
  Result<HttpResponse> result = Unavailable("no answer");
  bool answered = false;  // a byte of the answer came
};

Awaitable<Status> Fill(Connection& connection, ResponseParser& parser, HttpFeed& feed,
                       SteadyTime deadline) {
  std::array<char, 16384> chunk;
  const auto n = co_await connection.Read(chunk, deadline);
  if (!n.ok()) co_return n.status();
  boost::system::error_code error;
  if (*n == 0) {
    if (!parser.got_some()) co_return Unavailable("the server closed the connection unanswered");
    parser.put_eof(error);
    if (error || !parser.is_done())
      co_return Unavailable("the server closed the connection before its answer was complete");
    co_return Status::Ok();
  }
  error = feed.Put(parser, {chunk.data(), *n});
  if (error) co_return Unavailable("the answer is not HTTP: " + error.message());
  co_return Status::Ok();
}

Awaitable<Attempt> Exchange(std::shared_ptr<ClientState> state,
                            std::shared_ptr<Connection> connection, const HttpRequest& request,
                            SteadyTime deadline) {
  Attempt attempt;
  const std::string bytes = Serialize(*state, request);
  const Status written = co_await connection->Write(bytes, deadline);
  if (!written.ok()) {
    attempt.result = written;
    co_return attempt;
  }
  ResponseParser parser;
  parser.eager(true);
  parser.header_limit(kMaxHead);
  parser.body_limit(state->options.max_response);
  if (request.method == "HEAD") parser.skip(true);
  HttpFeed feed;
  while (!parser.is_done()) {
    const Status status = co_await Fill(*connection, parser, feed, deadline);
    attempt.answered = attempt.answered || parser.got_some();
    if (!status.ok()) {
      attempt.result = status;
      co_return attempt;
    }
  }
  const bool keep = parser.keep_alive() && feed.empty();
  attempt.result = Convert(parser);
  if (keep) Keep(state, connection);
  co_return attempt;
}

// The connection of a request, so that the end of the call can end it. Owners: the coroutine and
// the registration.
struct Current {
  Mutex mutex;
  std::shared_ptr<Connection> connection GUARDED_BY(mutex);
  bool cancelled GUARDED_BY(mutex) = false;

  void Set(std::shared_ptr<Connection> now) {
    bool cancel = false;
    {
      MutexLock lock(mutex);
      connection = now;
      cancel = cancelled;
    }
    if (cancel && now != nullptr) now->Cancel();
  }
  void Cancel() {
    std::shared_ptr<Connection> now;
    {
      MutexLock lock(mutex);
      cancelled = true;
      now = connection;
    }
    if (now != nullptr) now->Cancel();
  }
};

Awaitable<Result<HttpResponse>> Request(std::shared_ptr<ClientState> state,
                                        boost::asio::any_io_executor strand, Call call,
                                        HttpRequest request, bool idempotent,
                                        std::shared_ptr<Current> current) {
  for (int attempts = 0; attempts < 2; ++attempts) {
    if (const Status status = call.Check(request.method + " " + request.target); !status.ok())
      co_return status;
    // The server may close a kept connection at any moment; what cannot be repeated gets a new one.
    std::shared_ptr<Connection> connection =
        attempts == 0 && idempotent ? state->TakeIdle() : nullptr;
    const bool fresh = connection == nullptr;
    if (fresh) {
      const auto limit = std::min(
          call.deadline(), std::chrono::steady_clock::now() + state->options.connect_timeout);
      auto connected = co_await Connect(strand, state->options.endpoint, limit);
      if (!connected.ok()) co_return connected.status();
      connection = *std::move(connected);
    }
    current->Set(connection);
    Attempt attempt;
    if (fresh) {
      attempt = co_await Exchange(state, connection, request, call.deadline());
    } else {
      // A kept connection lives on a strand of its own.
      attempt = co_await boost::asio::co_spawn(
          connection->executor(), Exchange(state, connection, request, call.deadline()),
          boost::asio::use_awaitable);
    }
    current->Set(nullptr);
    if (attempt.result.ok()) co_return std::move(attempt.result);
    const bool stale =
        !fresh && !attempt.answered && attempt.result.status().code() == Code::kUnavailable;
    if (!stale) co_return attempt.result.status();
  }
  co_return Unavailable("the server closes every connection");
}

}  // namespace

HttpClient::HttpClient(Io& io, HttpClientOptions options)
    : state_(std::make_shared<ClientState>(io, std::move(options))) {}
HttpClient::~HttpClient() { DropIdle(); }

void HttpClient::DropIdle() {
  std::deque<ClientState::Idle> dropped;
  MutexLock lock(state_->mutex);
  dropped.swap(state_->idle);
}

namespace {

Awaitable<void> RequestAndReply(std::shared_ptr<ClientState> state,
                                boost::asio::any_io_executor strand, Call call, HttpRequest request,
                                bool idempotent, std::function<void(Result<HttpResponse>)> reply) {
  // Spawned on an io thread it would begin, and could end, within the call of DoAsync.
  co_await boost::asio::post(strand, boost::asio::use_awaitable);
  auto current = std::make_shared<Current>();
  const auto registration = call.OnCancel([current] { current->Cancel(); });
  auto result =
      co_await Request(std::move(state), strand, call, std::move(request), idempotent, current);
  reply(std::move(result));
}

// A value that one thread waits for and an io thread brings. Owners: both.
template <typename T>
struct Slot {
  Mutex mutex;
  CondVar wake;
  std::optional<T> value;

  void Put(T brought) {
    MutexLock lock(mutex);
    value = std::move(brought);
    wake.NotifyAll();
  }
  // Every io operation ends with its call, so the value comes; unless the io threads have been
  // stopped before their users, or a caller's function holds one: nothing.
  std::optional<T> Take(const Call& call) {
    constexpr int kPatience = 10;
    int late = 0;
    MutexLock lock(mutex);
    while (!wake.WaitFor(mutex, std::chrono::seconds(1),
                         [this]() NO_LOCK_ANALYSIS { return value.has_value(); })) {
      late = call.Check("").ok() ? 0 : late + 1;
      if (late > kPatience) return std::nullopt;
    }
    return std::move(value);
  }
};

Status NoIo() { return Unavailable("no io thread has answered, long after the end of the call"); }

}  // namespace

void HttpClient::DoAsync(const Call& call, HttpRequest request, bool idempotent,
                         std::function<void(Result<HttpResponse>)> reply) {
  auto strand = state_->io.Strand();
  Io::Spawn(strand, RequestAndReply(state_, strand, call, std::move(request), idempotent,
                                    std::move(reply)));
}

Result<HttpResponse> HttpClient::Do(const Call& call, HttpRequest request, bool idempotent) {
  auto slot = std::make_shared<Slot<Result<HttpResponse>>>();
  DoAsync(call, std::move(request), idempotent,
          [slot](Result<HttpResponse> result) { slot->Put(std::move(result)); });
  auto result = slot->Take(call);
  return result ? *std::move(result) : NoIo();
}

namespace {

// The caller's functions use what is the caller's: none of them runs once Stream has returned.
class StreamJob {
 public:
  StreamJob(const Call& its_call, HttpRequest its_request, Duration its_idle,
            std::function<Status(const HttpResponse&)> on_head,
            std::function<Status(std::string_view)> on_bytes)
      : call(its_call),
        request(std::move(its_request)),
        idle(its_idle),
        on_head_(std::move(on_head)),
        on_bytes_(std::move(on_bytes)) {}

  Status TellHead(const HttpResponse& head) {
    MutexLock lock(running_);
    return abandoned_ ? NoIo() : on_head_(head);
  }
  Status TellBytes(std::string_view bytes) {
    MutexLock lock(running_);
    return abandoned_ ? NoIo() : on_bytes_(bytes);
  }
  // Waits for the one that runs.
  void Abandon() {
    MutexLock lock(running_);
    abandoned_ = true;
  }

  const Call call;
  const HttpRequest request;
  const Duration idle;

 private:
  const std::function<Status(const HttpResponse&)> on_head_;
  const std::function<Status(std::string_view)> on_bytes_;
  Mutex running_;  // held while one of them runs
  bool abandoned_ GUARDED_BY(running_) = false;
};

Awaitable<Status> ReadStream(std::shared_ptr<ClientState> state,
                             boost::asio::any_io_executor strand, StreamJob& job,
                             std::shared_ptr<Current> current) {
  const auto limit = std::min(job.call.deadline(),
                              std::chrono::steady_clock::now() + state->options.connect_timeout);
  auto connected = co_await Connect(strand, state->options.endpoint, limit);
  if (!connected.ok()) co_return connected.status();
  std::shared_ptr<Connection> connection = *std::move(connected);
  current->Set(connection);
  const std::string bytes = Serialize(*state, job.request);
  CO_RETURN_IF_ERROR(
      co_await connection->Write(bytes, std::chrono::steady_clock::now() + job.idle));
  ResponseParser parser;
  parser.eager(true);
  parser.header_limit(kMaxHead);
  parser.body_limit(boost::none);
  HttpFeed feed;
  bool has_head = false;
  while (!parser.is_done()) {
    const auto deadline =
        std::min(job.call.deadline(), std::chrono::steady_clock::now() + job.idle);
    CO_RETURN_IF_ERROR(co_await Fill(*connection, parser, feed, deadline));
    if (!parser.is_header_done()) continue;
    // An error's body is collected whole, so that it can be explained.
    const bool error = parser.get().result_int() >= 300;
    if (error && parser.get().body().size() > kMaxHead)
      co_return Unavailable("the server answers with an error that is too large");
    if (error && !parser.is_done()) continue;
    if (!has_head) {
      HttpResponse head;
      head.status = parser.get().result_int();
      for (const auto& field : parser.get())
        head.headers.Add(std::string(field.name_string()), std::string(field.value()));
      if (error) head.body = parser.get().body();
      CO_RETURN_IF_ERROR(job.TellHead(head));
      has_head = true;
      if (error) co_return Status::Ok();
    }
    std::string& body = parser.get().body();
    if (!body.empty()) {
      CO_RETURN_IF_ERROR(job.TellBytes(body));
      body.clear();
    }
  }
  co_return Status::Ok();
}

Awaitable<void> RunStream(std::shared_ptr<ClientState> state, boost::asio::any_io_executor strand,
                          std::shared_ptr<StreamJob> job, std::function<void(Status)> done) {
  auto current = std::make_shared<Current>();
  const auto registration = job->call.OnCancel([current] { current->Cancel(); });
  const Status status = co_await ReadStream(state, strand, *job, current);
  done(status);
}

}  // namespace

Status HttpClient::Stream(const Call& call, HttpRequest request, Duration idle,
                          std::function<Status(const HttpResponse& head)> on_head,
                          std::function<Status(std::string_view bytes)> on_bytes) {
  auto slot = std::make_shared<Slot<Status>>();
  const auto job = std::make_shared<StreamJob>(call, std::move(request), idle, std::move(on_head),
                                               std::move(on_bytes));
  auto strand = state_->io.Strand();
  Io::Spawn(strand, RunStream(state_, strand, job,
                              [slot](Status status) { slot->Put(std::move(status)); }));
  auto status = slot->Take(call);
  if (!status) job->Abandon();
  return status ? *std::move(status) : NoIo();
}

Awaitable<Result<Upgraded>> HttpClient::Upgrade(boost::asio::any_io_executor strand,
                                                HttpRequest request, SteadyTime deadline) {
  auto connected = co_await Connect(strand, state_->options.endpoint, deadline);
  if (!connected.ok()) co_return connected.status();
  std::shared_ptr<Connection> connection = *std::move(connected);
  const std::string key = WebSocket::MintKey();
  request.method = "GET";
  request.headers.Set("Connection", "Upgrade");
  request.headers.Set("Upgrade", "websocket");
  request.headers.Set("Sec-WebSocket-Version", "13");
  request.headers.Set("Sec-WebSocket-Key", key);
  const std::string bytes = Serialize(*state_, request);
  CO_RETURN_IF_ERROR(co_await connection->Write(bytes, deadline));
  ResponseParser parser;
  parser.eager(true);
  parser.header_limit(kMaxHead);
  parser.body_limit(kMaxHead);
  HttpFeed feed;
  while (!parser.is_done() && !(parser.is_header_done() && parser.get().result_int() == 101)) {
    CO_RETURN_IF_ERROR(co_await Fill(*connection, parser, feed, deadline));
  }
  HttpResponse response = Convert(parser);
  Upgraded upgraded;
  if (response.status != 101) {
    upgraded.refusal = std::move(response);
    co_return upgraded;
  }
  if (response.headers.Get("Sec-WebSocket-Accept").value_or("") != WebSocket::AcceptFor(key)) {
    co_return Unavailable("the server's upgrade does not answer our key");
  }
  upgraded.socket = std::make_shared<WebSocket>(connection, feed.Take(), WebSocket::Role::kClient);
  co_return upgraded;
}

}  // namespace interlink::net
