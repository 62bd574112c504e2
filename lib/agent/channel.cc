// The only file of the agent that knows gRPC.
#include "agent/channel.h"

#include <grpc/grpc.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <mutex>
#include <string_view>
#include <utility>

namespace interlink::agent {
namespace {

constexpr int kMaxHubMessage = 16 << 20;
constexpr int kPingEveryMs = 20'000;
constexpr int kPingAnswerMs = 20'000;
constexpr int kConnectMs = 10'000;
// Our own back-off decides when the next try comes; gRPC's must not make it longer.
constexpr int kReconnectMs = 500;
// A relay takes one connection, and any channel of this process that still has a call may connect
// again by itself: none does.
constexpr int kNeverReconnectMs = 1 << 30;
constexpr std::string_view kRelayScheme = "unix:";
// gRPC answers a cancelled call at once.
constexpr auto kLetGoWithin = std::chrono::seconds(10);

Status FromGrpc(const grpc::Status& status) {
  const int code = static_cast<int>(status.error_code());
  if (code == 0) return {};
  const bool known = code > 0 && code <= static_cast<int>(Code::kUnauthenticated);
  // kDeadlineExceeded is what Read says while the call goes on.
  if (code == static_cast<int>(Code::kDeadlineExceeded)) return Unavailable(status.error_message());
  return {known ? static_cast<Code>(code) : Code::kUnknown, status.error_message()};
}

// A call as gRPC drives it. Owners: the stream object and gRPC, until OnDone.
class Reactor final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  static std::shared_ptr<Reactor> Make() {
    auto made = std::make_shared<Reactor>();
    made->self_ = made;
    return made;
  }

  grpc::ClientContext& context() { return context_; }

  void Begin() {
    // Ours until the end: reads and writes are started from outside of gRPC's callbacks.
    AddHold();
    StartRead(&incoming_);
    StartCall();
  }

  Status Write(std::string message, SteadyTime deadline) {
    std::unique_lock lock(mutex_);
    const auto free = [&]() { return !writing_ || over_; };
    if (!changed_.wait_until(lock, deadline, free)) {
      return DeadlineExceeded("the hub does not read");
    }
    if (over_) return Unavailable("the call is over");
    writing_ = true;
    const grpc::Slice slice(message);
    outgoing_ = grpc::ByteBuffer(&slice, 1);
    StartWrite(&outgoing_);
    const auto sent = [&]() { return !writing_; };
    if (!changed_.wait_until(lock, deadline, sent)) {
      return DeadlineExceeded("the hub does not read");
    }
    return write_ok_ ? Status() : Unavailable("the call is over");
  }

  Result<std::optional<std::string>> Read(SteadyTime deadline) {
    std::unique_lock lock(mutex_);
    const auto ready = [&]() { return arrived_.has_value() || done_; };
    if (!changed_.wait_until(lock, deadline, ready)) {
      return DeadlineExceeded("no message of the hub in time");
    }
    if (!arrived_) {
      if (!status_.ok()) return status_;
      return std::optional<std::string>();
    }
    std::optional<std::string> message = std::exchange(arrived_, std::nullopt);
    if (!over_) StartRead(&incoming_);
    return message;
  }

  void Cancel() { context_.TryCancel(); }

  // No operation is started any more; returns after OnDone.
  void Release() {
    context_.TryCancel();
    bool held = false;
    {
      std::unique_lock lock(mutex_);
      over_ = true;
      held = !std::exchange(released_, true);
      changed_.notify_all();
    }
    if (held) RemoveHold();
    std::unique_lock lock(mutex_);
    abandoned_ = !changed_.wait_for(lock, kLetGoWithin, [&]() { return done_; });
  }

  void OnReadDone(bool ok) override {
    std::string bytes;
    if (ok) {
      std::vector<grpc::Slice> slices;
      if (incoming_.Dump(&slices).ok()) {
        for (const auto& slice : slices)
          bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
      }
      incoming_.Clear();
    }
    bool drop = false;
    {
      std::unique_lock lock(mutex_);
      if (ok) {
        arrived_ = std::move(bytes);
      } else {
        over_ = true;
        drop = !std::exchange(released_, true);
      }
      changed_.notify_all();
    }
    // Nothing more comes: gRPC may tell the status now.
    if (drop) RemoveHold();
  }

  void OnWriteDone(bool ok) override {
    std::unique_lock lock(mutex_);
    writing_ = false;
    write_ok_ = ok;
    changed_.notify_all();
  }

  // The context keeps the channel, and a thread of gRPC that dropped the last one would wait for
  // its own end: the stream object outlives gRPC's share, but where it has given up.
  void OnDone(const grpc::Status& status) override {
    std::shared_ptr<Reactor> last;
    std::unique_lock lock(mutex_);
    if (abandoned_) last = std::move(self_);
    self_.reset();
    done_ = true;
    over_ = true;
    writing_ = false;
    write_ok_ = false;
    status_ = FromGrpc(status);
    changed_.notify_all();
  }

 private:
  grpc::ClientContext context_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  std::shared_ptr<Reactor> self_;
  // Not base/mutex.h: the headers of gRPC bring annotations of the same names.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<std::string> arrived_;
  bool writing_ = false;
  bool write_ok_ = false;
  bool over_ = false;      // no operation may be started
  bool released_ = false;  // the hold is gone
  bool done_ = false;
  bool abandoned_ = false;  // Release has given up
  Status status_;
};

class GrpcStream final : public Stream {
 public:
  explicit GrpcStream(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}
  ~GrpcStream() override { reactor_->Release(); }
  Status Write(std::string message, SteadyTime deadline) override {
    return reactor_->Write(std::move(message), deadline);
  }
  Result<std::optional<std::string>> Read(SteadyTime deadline) override {
    return reactor_->Read(deadline);
  }
  void Cancel() override { reactor_->Cancel(); }

 private:
  const std::shared_ptr<Reactor> reactor_;
};

class GrpcChannel final : public Channel {
 public:
  explicit GrpcChannel(const ChannelOptions& options)
      : options_(options),
        relayed_(options.address.starts_with(kRelayScheme)),
        channel_(Dial(options, relayed_)) {}

  std::unique_ptr<Stream> OpenControl() override { return Open("Control", ""); }
  std::unique_ptr<Stream> OpenStream(const std::string& stream_id) override {
    return Open("Stream", stream_id);
  }

 private:
  static std::shared_ptr<grpc::Channel> Dial(const ChannelOptions& options, bool relayed) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = options.ca;
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMaxHubMessage);
    arguments.SetMaxSendMessageSize(kMaxHubMessage);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kPingEveryMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingAnswerMs);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
    const int again_ms = relayed ? kNeverReconnectMs : kReconnectMs;
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, again_ms);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, again_ms);
    // Else channels to one address share the wait after a failure.
    if (relayed) arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    // A proxy of the user's environment is not ours, and a name server's word no configuration.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetServiceConfigJSON("{}");
    arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    if (!options.server_name.empty()) arguments.SetSslTargetNameOverride(options.server_name);
    return grpc::CreateCustomChannel(options.address, grpc::SslCredentials(tls), arguments);
  }

  // One that has failed stays so, through a relay: the next call has a new one.
  std::shared_ptr<grpc::Channel> Current() {
    std::unique_lock lock(mutex_);
    if (relayed_ && channel_->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE) {
      channel_ = Dial(options_, relayed_);
    }
    return channel_;
  }

  std::unique_ptr<Stream> Open(const std::string& method, const std::string& stream_id) {
    const auto reactor = Reactor::Make();
    grpc::ClientContext& context = reactor->context();
    context.AddMetadata("interlink-sandbox", options_.sandbox.str());
    context.AddMetadata("authorization", "Bearer " + options_.token);
    if (!stream_id.empty()) context.AddMetadata("interlink-stream", stream_id);
    grpc::GenericStub stub(Current());
    stub.PrepareBidiStreamingCall(&context, "/interlink.agent.v1.AgentHub/" + method,
                                  grpc::StubOptions(), reactor.get());
    reactor->Begin();
    return std::make_unique<GrpcStream>(reactor);
  }

  const ChannelOptions options_;
  const bool relayed_;
  std::mutex mutex_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace

std::unique_ptr<Channel> MakeChannel(const ChannelOptions& options) {
  return std::make_unique<GrpcChannel>(options);
}

}  // namespace interlink::agent
