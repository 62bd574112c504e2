#include "streaming/server.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <vector>

#include "base/metric_names.h"
#include "net/http_server.h"
#include "streaming/negotiate.h"
#include "streaming/run.h"
#include "streaming/spdy_command.h"
#include "streaming/spdy_forward.h"
#include "streaming/tokens.h"
#include "streaming/watch.h"
#include "streaming/websocket_command.h"
#include "streaming/websocket_forward.h"
#include "streaming/websocket_tunnel.h"

namespace interlink::streaming {

using Kind = node::StreamRequest::Kind;

struct Server::State {
  State(Options o, const Ports& p) : options(std::move(o)), ports(p), tokens(p.clock) {}

  // What Stop must end: the run, or before there is one its connection.
  struct Entry {
    std::shared_ptr<net::Connection> connection;
    std::shared_ptr<Run> run;
    Kind kind = Kind::kExec;
  };

  const Options options;
  const Ports ports;
  Tokens tokens;
  std::unique_ptr<net::Listener> listener;  // until Start
  uint16_t port = 0;
  Mutex mutex;
  CondVar changed;
  bool stopping GUARDED_BY(mutex) = false;
  std::shared_ptr<RunPorts> run_ports GUARDED_BY(mutex);    // null: not started
  std::unique_ptr<net::HttpServer> http GUARDED_BY(mutex);  // the same
  std::map<uint64_t, Entry> entries GUARDED_BY(mutex);
  uint64_t next_entry GUARDED_BY(mutex) = 1;
};

namespace {

using net::HttpRequest;
using net::HttpResponse;
using StatePtr = std::shared_ptr<Server::State>;

constexpr auto kHeadTime = std::chrono::seconds(10);
constexpr auto kServerFarewell = std::chrono::seconds(1);
// Connections that have not become sessions: a client sends its request at once.
constexpr size_t kStrangers = 1024;

struct Place {
  Kind kind;
  std::string_view name;
  std::string_view path;
};
constexpr std::array kPlaces = {
    Place{Kind::kExec, "exec", "/exec/"},
    Place{Kind::kAttach, "attach", "/attach/"},
    Place{Kind::kPortForward, "port-forward", "/portforward/"},
};

const Place& PlaceOf(Kind kind) { return kPlaces.at(static_cast<size_t>(kind)); }

struct Admitted {
  node::StreamRequest request;
  Upgrade upgrade;
  std::shared_ptr<RunPorts> ports;
  std::optional<Slots::Slot> slot;
};

HttpResponse Unknown() {
  return TextAnswer(404,
                    "there is no such address: each is good for one use within a minute, ask CRI "
                    "for another");
}

HttpResponse Busy(size_t limit) {
  HttpResponse response =
      TextAnswer(429, std::to_string(limit) + " sessions are open, which is CRI.StreamSessions");
  response.headers.Add("Retry-After", "1");
  return response;
}

// The answer of a request that is not admitted. An address is used up by the one that is.
std::optional<HttpResponse> Admit(Server::State& state, const HttpRequest& http,
                                  Admitted& admitted) {
  {
    MutexLock lock(state.mutex);
    admitted.ports = state.stopping ? nullptr : state.run_ports;
  }
  if (admitted.ports == nullptr) return TextAnswer(503, "interlink-cri is shutting down");
  const std::string path = http.target.substr(0, http.target.find('?'));
  for (const Place& place : kPlaces) {
    if (!path.starts_with(place.path)) continue;
    if (http.method != "GET" && http.method != "POST") {
      HttpResponse response = TextAnswer(405, "the methods are GET and POST");
      response.headers.Add("Allow", "GET, POST");
      return response;
    }
    const std::string token = path.substr(place.path.size());
    const auto request = state.tokens.Look(place.kind, token);
    if (!request) return Unknown();
    auto negotiated = Negotiate(http, *request);
    if (auto* refusal = std::get_if<HttpResponse>(&negotiated)) return std::move(*refusal);
    admitted.upgrade = std::get<Upgrade>(std::move(negotiated));
    admitted.slot.emplace(admitted.ports->slots.Take());
    if (!*admitted.slot) return Busy(admitted.ports->slots.limit());
    auto taken = state.tokens.Take(place.kind, token);
    if (!taken) return Unknown();
    admitted.request = *std::move(taken);
    return std::nullopt;
  }
  return TextAnswer(404, "there is nothing here: addresses come from CRI's streaming calls");
}

// Keeps a session in the server's table, and the metrics true.
class Registration {
 public:
  Registration(StatePtr state, std::shared_ptr<net::Connection> connection, Kind kind)
      : state_(std::move(state)), kind_(kind) {
    bool late = false;
    {
      MutexLock lock(state_->mutex);
      key_ = state_->next_entry++;
      state_->entries[key_] = {connection, nullptr, kind};
      late = state_->stopping;
    }
    // Who comes after Stop has looked is ended here.
    if (late) connection->Cancel();
    Tell();
  }
  ~Registration() {
    {
      MutexLock lock(state_->mutex);
      state_->entries.erase(key_);
      state_->changed.NotifyAll();
    }
    Tell();
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  void SetRun(const std::shared_ptr<Run>& run) {
    bool late = false;
    {
      MutexLock lock(state_->mutex);
      state_->entries[key_].run = run;
      late = state_->stopping;
    }
    if (late) run->End(node::ShuttingDown());
  }

 private:
  size_t Count() {
    MutexLock lock(state_->mutex);
    return static_cast<size_t>(
        std::count_if(state_->entries.begin(), state_->entries.end(),
                      [this](const auto& entry) { return entry.second.kind == kind_; }));
  }
  // Whoever is the last to tell has told what is so.
  void Tell() {
    size_t told = 0;
    do {
      told = Count();
      state_->ports.metrics.Gauge(kMetricStreamSessions,
                                  {{"kind", std::string(PlaceOf(kind_).name)}},
                                  static_cast<double>(told));
    } while (told != Count());
  }

  const StatePtr state_;
  const Kind kind_;
  uint64_t key_ = 0;
};

SpdyOptions SpdyOptionsOf(const Server::State& state) {
  SpdyOptions options;
  options.idle = state.options.limits.idle;
  options.stalled = state.options.limits.idle;
  options.log = &state.ports.log;
  return options;
}

std::shared_ptr<net::WebSocket> SocketOf(const Server::State& state,
                                         std::shared_ptr<net::Connection> connection,
                                         std::string early) {
  const auto executor = connection->executor();
  auto socket = std::make_shared<net::WebSocket>(std::move(connection), std::move(early),
                                                 net::WebSocket::Role::kServer);
  net::Io::Spawn(executor, ProbeUnread(socket, executor, state.options.limits.tick));
  return socket;
}

net::Awaitable<Result<std::shared_ptr<CommandTransport>>> CommandTransportOf(
    const Server::State& state, const Admitted& admitted,
    std::shared_ptr<net::Connection> connection, std::string early) {
  const node::StreamRequest& request = admitted.request;
  if (admitted.upgrade.kind == Upgrade::Kind::kSpdy) {
    const CommandStreams streams{admitted.upgrade.version, request.tty, request.in, request.out,
                                 request.err};
    const SpdyOptions options = SpdyOptionsOf(state);
    co_return co_await AcceptSpdyCommand(std::move(connection), std::move(early), streams, options);
  }
  auto socket = SocketOf(state, std::move(connection), std::move(early));
  auto transport = std::make_shared<WebSocketCommand>(std::move(socket), admitted.upgrade.channels,
                                                      request, state.options.limits.idle);
  CO_RETURN_IF_ERROR(co_await transport->Begin());
  co_return std::shared_ptr<CommandTransport>(std::move(transport));
}

net::Awaitable<Result<std::shared_ptr<ForwardTransport>>> ForwardTransportOf(
    const Server::State& state, const Admitted& admitted,
    std::shared_ptr<net::Connection> connection, std::string early) {
  if (admitted.upgrade.kind == Upgrade::Kind::kSpdy) {
    const SpdyOptions options = SpdyOptionsOf(state);
    co_return StartSpdyForward(std::move(connection), std::move(early), options);
  }
  auto socket = SocketOf(state, std::move(connection), std::move(early));
  if (admitted.upgrade.kind == Upgrade::Kind::kTunnel) {
    auto tunnel = std::make_shared<WebSocketTunnel>(std::move(socket));
    const SpdyOptions options = SpdyOptionsOf(state);
    co_return StartSpdyForward(std::move(tunnel), "", options);
  }
  auto transport =
      std::make_shared<WebSocketForward>(std::move(socket), admitted.upgrade.channels,
                                         admitted.request.ports, state.options.limits.idle);
  CO_RETURN_IF_ERROR(co_await transport->Begin());
  co_return std::shared_ptr<ForwardTransport>(std::move(transport));
}

// To the session's end; why it ended.
net::Awaitable<Status> ServeSession(const Server::State& state, const Admitted& admitted,
                                    std::shared_ptr<net::Connection> connection, std::string early,
                                    Registration& registration) {
  if (admitted.request.kind == Kind::kPortForward) {
    auto transport = co_await ForwardTransportOf(state, admitted, connection, std::move(early));
    if (!transport.ok()) co_return transport.status();
    auto run = std::make_shared<ForwardRun>(admitted.ports, connection, *std::move(transport),
                                            admitted.request.sandbox);
    registration.SetRun(run);
    co_return co_await run->Serve();
  }
  auto transport = co_await CommandTransportOf(state, admitted, connection, std::move(early));
  if (!transport.ok()) co_return transport.status();
  auto run = std::make_shared<CommandRun>(admitted.ports, connection, *std::move(transport),
                                          admitted.request);
  registration.SetRun(run);
  co_return co_await run->Serve();
}

// The access log: never the path (the token is in it), nor the command.
void TellEnd(const Server::State& state, const Admitted& admitted, SteadyTime begun,
             const Status& why) {
  const node::StreamRequest& request = admitted.request;
  const std::string kind(PlaceOf(request.kind).name);
  const char* transport = admitted.upgrade.kind == Upgrade::Kind::kSpdy ? "spdy" : "websocket";
  state.ports.metrics.Count(
      kMetricStreamSessionsTotal,
      {{"kind", kind}, {"transport", transport}, {"code", std::string(CodeName(why.code()))}}, 1);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begun);
  state.ports.log.Info("a streaming session has ended",
                       {{"kind", kind},
                        {"sandbox", request.sandbox.str()},
                        {"container", request.container.str()},
                        {"protocol", std::string(transport) + " " + admitted.upgrade.protocol},
                        {"ms", std::to_string(milliseconds.count())},
                        {"result", why.ok() ? "OK" : why.ToString()}});
}

net::Awaitable<void> Handle(StatePtr state, HttpRequest http, net::Responder& responder) {
  Admitted admitted;
  if (auto refusal = Admit(*state, http, admitted)) {
    const std::string reason = refusal->body.substr(0, refusal->body.find('\n'));
    state->ports.log.Info("a streaming request was refused",
                          {{"status", std::to_string(refusal->status)}, {"reason", reason}});
    const Status sent = co_await responder.Send(*std::move(refusal));
    if (!sent.ok())
      state->ports.log.Debug("an answer did not reach its client", {{"reason", sent.message()}});
    co_return;
  }
  const SteadyTime begun = std::chrono::steady_clock::now();
  std::string early;
  const std::shared_ptr<net::Connection> connection = responder.Hijack(&early);
  // Somebody pauses the terminal: that ends nothing.
  connection->AllowPauses();
  Status why;
  {
    Registration registration(state, connection, admitted.request.kind);
    why = co_await connection->Write(admitted.upgrade.answer, begun + kHeadTime);
    if (why.ok())
      why = co_await ServeSession(*state, admitted, connection, std::move(early), registration);
  }
  TellEnd(*state, admitted, begun, why);
}

net::HttpServerOptions HttpOptions(const Server::State& state) {
  net::HttpServerOptions options;
  options.max_connections = state.options.limits.sessions + kStrangers;
  options.max_connections_per_peer = options.max_connections;  // kubelet is one peer
  options.head_timeout = kHeadTime;
  options.idle_timeout = kHeadTime;
  options.max_body = 0;
  options.error_page = TextAnswer;
  options.on_handshake_error = [&log = state.ports.log](const net::Peer&, const Status& why) {
    log.Info("a streaming client did not get through the TLS handshake",
             {{"reason", why.message()}});
  };
  return options;
}

}  // namespace

Server::Server(std::shared_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() { Stop(Duration::zero()); }

Result<std::unique_ptr<Server>> Server::Create(Options options, const Ports& ports) {
  auto state = std::make_shared<State>(std::move(options), ports);
  ASSIGN_OR_RETURN(state->listener, net::Listener::Tcp(ports.io, state->options.address,
                                                       state->options.port, state->options.tls));
  state->port = state->listener->port();
  return std::unique_ptr<Server>(
      new Server(std::move(state)));  // NOLINT: the constructor is private
}

void Server::Start(node::Sessions& sessions) {
  auto http = std::make_unique<net::HttpServer>(
      state_->ports.io, std::move(state_->listener), HttpOptions(*state_),
      [state = state_](HttpRequest request, net::Responder& responder) {
        return Handle(state, std::move(request), responder);
      });
  MutexLock lock(state_->mutex);
  state_->run_ports =
      std::make_shared<RunPorts>(sessions, state_->ports.metrics, state_->options.limits);
  state_->http = std::move(http);
  state_->http->Start();
}

void Server::Stop(Duration limit) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + limit;
  std::unique_ptr<net::HttpServer> http;
  std::vector<State::Entry> entries;
  const auto look = [this, &entries]() NO_LOCK_ANALYSIS {
    entries.clear();
    for (const auto& [key, entry] : state_->entries) entries.push_back(entry);
  };
  {
    MutexLock lock(state_->mutex);
    state_->stopping = true;
    http = std::move(state_->http);
    look();
  }
  for (const State::Entry& entry : entries) {
    if (entry.run != nullptr) {
      entry.run->End(node::ShuttingDown());
    } else {
      entry.connection->Cancel();
    }
  }
  {
    MutexLock lock(state_->mutex);
    state_->changed.WaitUntil(state_->mutex, deadline,
                              [this]() NO_LOCK_ANALYSIS { return state_->entries.empty(); });
    look();
  }
  if (!entries.empty()) {
    state_->ports.log.Warning("streaming sessions did not end in time and are cut",
                              {{"sessions", std::to_string(entries.size())}});
  }
  for (const State::Entry& entry : entries) entry.connection->Cancel();
  if (http != nullptr) http->Stop(kServerFarewell);
}

Result<std::string> Server::AddressFor(node::StreamRequest request) {
  {
    MutexLock lock(state_->mutex);
    if (state_->stopping) return node::ShuttingDown();
    if (state_->run_ports == nullptr) return Unavailable("interlink-cri is starting");
  }
  const Place& place = PlaceOf(request.kind);
  ASSIGN_OR_RETURN(const std::string token, state_->tokens.Mint(std::move(request)));
  const std::string& address = state_->options.address;
  const bool six = address.find(':') != std::string::npos;
  return std::string(state_->options.tls == nullptr ? "http://" : "https://") +
         (six ? "[" + address + "]" : address) + ":" + std::to_string(state_->port) +
         std::string(place.path) + token;
}

uint16_t Server::port() const { return state_->port; }

}  // namespace interlink::streaming
