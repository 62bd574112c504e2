// The only file of the site that knows gRPC: the generic callback service over TLS, dispatch by
// method name, the check of the pod token before anything is read.
#include "agent_hub/server.h"

#include <grpc/grpc.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <atomic>
#include <mutex>
#include <utility>

#include "agent_hub/token.h"

namespace interlink::agent_hub {
namespace {

constexpr unsigned kLookEverySeconds = 1;  // at the certificate
constexpr int kMaxAgentMessage = 16 << 20;
// A peer that is gone without a word is noticed after both.
constexpr int kPingEveryMs = 20'000;
constexpr int kPingAnswerMs = 20'000;
constexpr int kShortestPingMs = 5'000;
constexpr int kHandshakeMs = 10'000;
// Of one connection: a control stream and the sessions of one pod.
constexpr int kMaxCallsOfConnection = 256;

constexpr std::string_view kControlMethod = "/interlink.agent.v1.AgentHub/Control";
constexpr std::string_view kStreamMethod = "/interlink.agent.v1.AgentHub/Stream";

struct ServerShared {
  ServerShared(const HubServerOptions& given, StreamSink& to, Log& its_log)
      : options(given), sink(to), log(its_log) {}
  const HubServerOptions options;
  StreamSink& sink;
  Log& log;
  std::atomic<size_t> calls = 0;
};

grpc::Status ToGrpc(const Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), status.message()};
}

std::string FlatBytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return {};
  std::string bytes;
  bytes.reserve(buffer.Length());
  for (const auto& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

std::string MetadataValue(const grpc::GenericCallbackServerContext& context,
                          const std::string& key) {
  const auto& all = context.client_metadata();
  // Two of one name: whoever sends that gets what nobody asked for.
  if (all.count(key) != 1) return {};
  const auto found = all.find(key);
  return std::string(found->second.data(), found->second.size());
}

// What a call is for, once it may be at all.
struct Admitted {
  SandboxId sandbox;
  std::string stream_id;  // empty: control
};

Result<Admitted> Admit(const ServerShared& shared,
                       const grpc::GenericCallbackServerContext& context) {
  const std::string& method = context.method();
  if (method != kControlMethod && method != kStreamMethod) {
    return Unimplemented("method " + method + " is not implemented");
  }
  Admitted admitted;
  admitted.sandbox = SandboxId(MetadataValue(context, "interlink-sandbox"));
  if (!IsFullId(admitted.sandbox.str())) {
    return Unauthenticated("metadata interlink-sandbox is not one id of 64 hex digits");
  }
  const std::string authorization = MetadataValue(context, "authorization");
  if (!IsAuthorized(shared.options.agent_key, admitted.sandbox, authorization)) {
    return Unauthenticated("the token is not that of this sandbox");
  }
  if (method == kControlMethod) return admitted;
  admitted.stream_id = MetadataValue(context, "interlink-stream");
  if (!IsFullId(admitted.stream_id)) {
    return InvalidArgument("metadata interlink-stream is not one id of 64 hex digits");
  }
  return admitted;
}

// A call. It owns itself until OnDone: `self_`.
//
//   open -> ending -> finished -> done        ending: a write is under way, Finish follows it
class ServerStream final : public grpc::ServerGenericBidiReactor,
                           public Stream,
                           public std::enable_shared_from_this<ServerStream> {
 public:
  ServerStream(std::shared_ptr<ServerShared> shared, grpc::GenericCallbackServerContext& context)
      : shared_(std::move(shared)), context_(context) {
    ++shared_->calls;
  }
  ~ServerStream() override { --shared_->calls; }

  void Begin() {
    self_ = shared_from_this();
    if (shared_->calls > shared_->options.max_calls) {
      return End(ResourceExhausted("the site has " + std::to_string(shared_->options.max_calls) +
                                   " calls of agents already: come back later"));
    }
    const auto admitted = Admit(*shared_, context_);
    if (!admitted.ok()) {
      shared_->log.Warning("a call of an agent is refused",
                           {{"peer", context_.peer()}, {"why", admitted.status().ToString()}});
      return End(admitted.status());
    }
    StartSendInitialMetadata();
    if (admitted->stream_id.empty()) {
      shared_->sink.OnControl(admitted->sandbox, self_);
    } else {
      shared_->sink.OnStream(admitted->sandbox, admitted->stream_id, self_);
    }
  }

  void Read(std::function<void(std::optional<std::string>)> done) override {
    {
      std::unique_lock lock(mutex_);
      if (!finish_ && !finished_ && !read_ended_) {
        on_read_ = std::move(done);
        StartRead(&incoming_);
        return;
      }
    }
    done({});
  }

  void Write(std::string message, std::function<void(bool)> done) override {
    {
      std::unique_lock lock(mutex_);
      if (!finish_ && !finished_) {
        on_write_ = std::move(done);
        const grpc::Slice slice(message);
        outgoing_ = grpc::ByteBuffer(&slice, 1);
        StartWrite(&outgoing_);
        return;
      }
    }
    done(false);
  }

  void End(const Status& status) override {
    std::unique_lock lock(mutex_);
    if (finish_ || finished_) return;
    finish_ = ToGrpc(status);
    FinishLocked();
  }

  void Cut() override {
    std::unique_lock lock(mutex_);
    if (done_) return;
    context_.TryCancel();
    if (!finish_ && !finished_) finish_ = grpc::Status(grpc::StatusCode::CANCELLED, "cut");
    FinishLocked();
  }

  void OnSendInitialMetadataDone(bool) override {}

  void OnReadDone(bool ok) override {
    std::function<void(std::optional<std::string>)> done;
    std::optional<std::string> message;
    {
      std::unique_lock lock(mutex_);
      done = std::exchange(on_read_, nullptr);
      if (ok && !finish_ && !finished_) message = FlatBytes(incoming_);
      incoming_.Clear();
      read_ended_ = !ok;
    }
    if (done) done(std::move(message));
  }

  void OnWriteDone(bool ok) override {
    std::function<void(bool)> done;
    {
      std::unique_lock lock(mutex_);
      done = std::exchange(on_write_, nullptr);
      FinishLocked();
    }
    if (done) done(ok);
  }

  // The agent is gone, or Cut was called: gRPC ends the operations, and the call needs its Finish.
  void OnCancel() override {
    std::unique_lock lock(mutex_);
    if (!finish_ && !finished_) finish_ = grpc::Status(grpc::StatusCode::CANCELLED, "gone");
    FinishLocked();
  }

  void OnDone() override {
    std::shared_ptr<ServerStream> self;
    {
      std::unique_lock lock(mutex_);
      done_ = true;
      self = std::move(self_);
    }
  }

 private:
  void FinishLocked() {
    if (!finish_ || on_write_ != nullptr || finished_) return;
    finished_ = true;
    Finish(*finish_);
  }

  const std::shared_ptr<ServerShared> shared_;   // owners: the service and every call
  grpc::GenericCallbackServerContext& context_;  // gRPC's: valid until OnDone
  // Not base/mutex.h: the headers of gRPC bring annotations of the same names.
  std::mutex mutex_;
  std::shared_ptr<ServerStream> self_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  std::function<void(std::optional<std::string>)> on_read_;
  std::function<void(bool)> on_write_;
  std::optional<grpc::Status> finish_;
  bool finished_ = false;
  bool read_ended_ = false;
  bool done_ = false;
};

class HubService final : public grpc::CallbackGenericService {
 public:
  explicit HubService(std::shared_ptr<ServerShared> shared) : shared_(std::move(shared)) {}
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    const auto stream = std::make_shared<ServerStream>(shared_, *context);
    stream->Begin();
    return stream.get();
  }

 private:
  const std::shared_ptr<ServerShared> shared_;
};

// Follow the file, from one that StageCertificate has made.
std::shared_ptr<grpc::ServerCredentials> CredentialsOf(const std::string& file) {
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(file, file,
                                                                           kLookEverySeconds));
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return grpc::experimental::TlsServerCredentials(options);
}

class GrpcHubServer final : public HubServer {
 public:
  GrpcHubServer(const HubServerOptions& options, StreamSink& sink, Log& log)
      : shared_(std::make_shared<ServerShared>(options, sink, log)), service_(shared_) {}
  ~GrpcHubServer() override { Stop(); }

  Status Begin() {
    const HubServerOptions& options = shared_->options;
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(&service_);
    builder.SetMaxReceiveMessageSize(kMaxAgentMessage);
    builder.SetMaxSendMessageSize(kMaxAgentMessage);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCallsOfConnection);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kPingEveryMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingAnswerMs);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               kShortestPingMs);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    const std::string where = options.address + ":" + std::to_string(options.port);
    builder.AddListeningPort(where, CredentialsOf(options.certificate), &port_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) {
      return Unavailable("the agents' port " + where + " cannot be served: is it taken?");
    }
    return {};
  }

  uint16_t port() const override { return static_cast<uint16_t>(port_); }

  void Stop() override {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }

 private:
  const std::shared_ptr<ServerShared> shared_;
  HubService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<HubServer>> HubServer::Start(const HubServerOptions& options,
                                                    StreamSink& sink, Log& log) {
  auto server = std::make_unique<GrpcHubServer>(options, sink, log);
  RETURN_IF_ERROR(server->Begin());
  return std::unique_ptr<HubServer>(std::move(server));
}

}  // namespace interlink::agent_hub
