// The only file of the node's daemon that knows gRPC: the generic callback service, dispatch by
// method name, deadline and cancellation -> Call, Status -> grpc::Status, and the one place that
// logs and measures every call.
#include "cri/server.h"

#include <grpc/grpc.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <atomic>

#include "base/metric_names.h"
#include "cri/acceptor.h"
#include "cri/audited.h"
#include "cri/method.h"
#include "cri/named_peers.h"

namespace interlink::cri {
namespace {

constexpr int kMaxMessage = 16 << 20;
// A call without a deadline that may take long (a pull, a hook) still ends one day.
constexpr auto kForever = std::chrono::hours(24 * 7);

struct Shared {
  ServerOptions options;
  ServerPorts ports;
  std::shared_ptr<NamedPeers> peers;  // owners: this and what they carry; null without an audit log
};

std::string Flatten(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return {};
  std::string bytes;
  bytes.reserve(buffer.Length());
  for (const auto& slice : slices)
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

// A slice that keeps its record's bytes alive while gRPC sends them: nothing is copied.
grpc::Slice Lend(const node::Slice& slice) {
  auto* owner = new node::Slice(slice);  // NOLINT: released below, by gRPC
  return grpc::Slice(
      const_cast<char*>((*owner)->data()), (*owner)->size(),
      [](void* user) { delete static_cast<node::Slice*>(user); }, owner);  // NOLINT
}

Call CallOf(const grpc::GenericCallbackServerContext& context, const Method& method,
            Duration timeout) {
  const auto now = std::chrono::steady_clock::now();
  SteadyTime deadline = now + (method.unbounded ? Duration(kForever) : timeout);
  const auto given = context.deadline();
  if (given != std::chrono::system_clock::time_point::max()) {
    // The caller's clock is this one: the difference is what counts.
    deadline = std::min(
        now + std::chrono::duration_cast<Duration>(given - std::chrono::system_clock::now()),
        now + Duration(kForever));
  }
  std::string traceparent;
  const auto it = context.client_metadata().find("traceparent");
  if (it != context.client_metadata().end())
    traceparent.assign(it->second.data(), it->second.size());
  return Call(deadline, MintRequestId(), std::move(traceparent));
}

// One call. Deleted by OnDone, which comes after Finish: every method calls `done` exactly once,
// and every feed answers each Next.
//
//   unary:   read -> run -> (write and finish)
//   stream:  read -> open -> headers -> Next -> write -> Next -> ... -> finish
// A stream has one message on its way: the next one is asked for when gRPC has room for it.
class Rpc final : public grpc::ServerGenericBidiReactor {
 public:
  Rpc(std::shared_ptr<const Shared> shared, grpc::GenericCallbackServerContext& context)
      : shared_(std::move(shared)),
        name_(context.method()),
        method_(FindMethod(name_)),
        audited_(shared_->ports.audit == nullptr ? nullptr : FindAudited(name_)),
        begun_(std::chrono::steady_clock::now()),
        call_(method_ == nullptr ? Call(begun_)
                                 : CallOf(context, *method_, shared_->options.request_timeout)) {
    if (method_ == nullptr) {
      End(Unimplemented("method " + name_ + " is not implemented"));
      return;
    }
    if (shared_->peers != nullptr) peer_ = shared_->peers->Find(context.peer());
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return End(InvalidArgument("the request has no message"));
    const std::string bytes = Flatten(request_);
    request_.Clear();
    if (audited_ != nullptr) {
      about_ = audited_->describe(bytes);
      if (audited_->begins) {
        const Status may = shared_->ports.audit->MayBegin();
        if (!may.ok()) return End(may);
      }
    }
    try {
      if (method_->open) return Open(bytes);
      method_->run(shared_->ports.node, call_, bytes,
                   [this](const Result<Body>& body) { End(body); });
    } catch (const std::exception& error) {
      // The last resort: our code does not throw, and a kubelet must get an answer whatever
      // happens.
      shared_->ports.log.Error("a call has thrown", {{"method", name_}, {"error", error.what()}});
      End(InternalError(std::string("internal error: ") + error.what()));
    }
  }

  void OnSendInitialMetadataDone(bool ok) override {
    ok ? Next() : End(CancelledError("the caller has gone"));
  }
  void OnWriteDone(bool ok) override { ok ? Next() : End(CancelledError("the caller has gone")); }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { delete this; }  // NOLINT: gRPC's reactors own themselves

 private:
  void Open(std::string_view request) {
    auto feed = method_->open(shared_->ports.node, request);
    if (!feed.ok()) return End(feed.status());
    feed_ = *std::move(feed);
    feed_cancelled_ = call_.OnCancel([feed = feed_] { feed->Cancel(); });
    // At once: whoever has them knows that nothing is missed from now on.
    StartSendInitialMetadata();
  }

  void Next() {
    const node::FeedPtr feed = feed_;  // its reply may be the last of this object
    feed->Next([this](const Result<std::optional<Body>>& message) {
      if (!message.ok() || !message->has_value()) return End(message.status());
      Fill(**message);
      StartWrite(&response_);
    });
  }

  void Fill(const Body& body) {
    std::vector<grpc::Slice> slices;
    slices.reserve(body.size());
    for (const node::Slice& slice : body) {
      if (!slice->empty()) slices.push_back(Lend(slice));
    }
    response_ = grpc::ByteBuffer(slices.data(), slices.size());
  }

  void End(const Result<Body>& body) {
    if (!body.ok()) return End(body.status());
    if (ended_.exchange(true)) return;
    Note({});
    Record({});
    Fill(*body);
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
  }

  void End(const Status& status) {
    if (ended_.exchange(true)) return;
    Note(status);
    Record(status);
    Finish(grpc::Status(static_cast<grpc::StatusCode>(status.code()), status.message()));
  }

  void Note(const Status& status) const {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
    // A name that the caller has made up would be a metric for ever.
    const std::string rpc = method_ == nullptr ? "other" : name_.substr(name_.rfind('/') + 1);
    shared_->ports.metrics.Count(kMetricCriCalls,
                                 {{"rpc", rpc}, {"code", std::string(CodeName(status.code()))}}, 1);
    shared_->ports.metrics.Observe(kMetricCriCallSeconds, {{"rpc", rpc}}, seconds);
    const std::initializer_list<LogField> fields = {{"rpc", method_ == nullptr ? name_ : rpc},
                                                    {"request", call_.request_id().str()},
                                                    {"seconds", std::to_string(seconds)},
                                                    {"status", status.ToString()}};
    // A stream that never ends is always ended by its reader.
    const bool expected =
        status.code() == Code::kNotFound || (feed_ != nullptr && status.code() == Code::kCancelled);
    if (status.ok() || expected) {
      shared_->ports.log.Debug("call", fields);
    } else {
      shared_->ports.log.Info("call failed", fields);
    }
  }

  // What changes something or reaches into a container, and what was denied.
  void Record(const Status& status) {
    const bool denied =
        status.code() == Code::kPermissionDenied || status.code() == Code::kUnauthenticated;
    if (shared_->ports.audit == nullptr || (audited_ == nullptr && !denied)) return;
    auth::AuditRecord record;
    record.event = "call";
    record.request = call_.request_id().str();
    record.traceparent = call_.traceparent();
    record.from = "unix";
    if (peer_) {
      record.process =
          auth::AuditRecord::Process{peer_->pid, peer_->uid, peer_->gid, peer_->executable};
    }
    record.call = name_.substr(name_.rfind('/') + 1);
    record.about = std::move(about_);
    record.code = std::string(CodeName(status.code()));
    if (!status.ok())
      record.result = denied ? auth::AuditResult::kDenied : auth::AuditResult::kFailed;
    if (denied) record.why = status.message();
    record.took = std::chrono::steady_clock::now() - begun_;
    shared_->ports.audit->Append(std::move(record));
  }

  const std::shared_ptr<const Shared> shared_;  // owners: the service and every call
  const std::string name_;
  const Method* const method_;
  const Audited* const audited_;  // null: it is recorded only when it is denied
  const SteadyTime begun_;
  const Call call_;
  std::optional<PeerProcess> peer_;  // with an audit log
  std::vector<std::pair<std::string, std::string>> about_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  std::atomic<bool> ended_ = false;
  node::FeedPtr feed_;  // of a stream; set before anything of it can end
  Call::Registration feed_cancelled_;
};

class Service final : public grpc::CallbackGenericService {
 public:
  explicit Service(std::shared_ptr<const Shared> shared) : shared_(std::move(shared)) {}
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new Rpc(shared_, *context);  // NOLINT: deletes itself
  }

 private:
  const std::shared_ptr<const Shared> shared_;
};

class GrpcServer final : public Server {
 public:
  GrpcServer(const ServerOptions& options, const ServerPorts& ports)
      : shared_(std::make_shared<const Shared>(
            Shared{options, ports,
                   ports.audit == nullptr ? nullptr : std::make_shared<NamedPeers>(ports.io)})),
        service_(shared_) {}
  ~GrpcServer() override { Stop(Duration::zero()); }

  Status Begin() {
    ASSIGN_OR_RETURN(acceptor_, Acceptor::Listen(shared_->options.socket_path, shared_->ports.log));
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(&service_);
    builder.SetMaxReceiveMessageSize(kMaxMessage);
    builder.SetMaxSendMessageSize(-1);
    // Clients that ping an idle stream must not be cut off (facts: GOAWAY too_many_pings after 5 s
    // by default).
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 500);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
    auto acceptor = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        grpc::InsecureServerCredentials());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) return InternalError("gRPC cannot start");
    const auto take_grpc =
        [acceptor =
             std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor>(std::move(acceptor)),
         shared = shared_](UniqueFd fd, PeerProcess peer) {
          if (shared->peers != nullptr) {
            auto carried = shared->peers->Carry(std::move(fd), std::move(peer));
            if (!carried.ok()) {
              shared->ports.log.Error("a connection to the CRI socket cannot be served",
                                      {{"reason", carried.status().message()}});
              return;
            }
            fd = *std::move(carried);
          }
          grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
          parameters.listener_fd = -1;
          parameters.fd = fd.Release();
          acceptor->HandleNewConnection(&parameters);
        };
    const auto take_http = [shared = shared_](UniqueFd fd, const PeerProcess& /*peer*/) {
      auto connection = net::AdoptUnix(shared->ports.io, fd.Release());
      if (connection.ok())
        net::ServeConnection(shared->ports.io, *connection, "", {}, shared->ports.http);
    };
    acceptor_->Run(take_grpc, take_http);
    return {};
  }

  void Stop(Duration grace) override {
    if (acceptor_ != nullptr) acceptor_->Stop();
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now() + grace);
    server_.reset();
    acceptor_.reset();
  }

 private:
  const std::shared_ptr<const Shared> shared_;
  Service service_;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                              const ServerPorts& ports) {
  auto server = std::make_unique<GrpcServer>(options, ports);
  RETURN_IF_ERROR(server->Begin());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace interlink::cri
