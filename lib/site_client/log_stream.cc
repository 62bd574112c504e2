#include "site_client/log_stream.h"

#include <algorithm>
#include <deque>

#include "interlink/v1/logs.pb.h"
#include "net/reply_wait.h"
#include "net/websocket.h"

namespace interlink::site_client {
namespace {

constexpr auto kConnect = std::chrono::seconds(10);
constexpr auto kSilence =
    std::chrono::hours(1);  // logs may be quiet; the event stream finds a dead site
constexpr auto kLastWords = std::chrono::seconds(1);
constexpr auto kMinBackoff = std::chrono::milliseconds(100);
constexpr auto kMaxBackoff = std::chrono::seconds(10);
constexpr size_t kMaxQueued = 100'000;

// Shared by the handle, the coroutines and nobody else; the handle's death ends the coroutines.
struct Shared : std::enable_shared_from_this<Shared> {
  Shared(std::shared_ptr<Requests> r, node::LogSink& s, boost::asio::any_io_executor e)
      : requests(std::move(r)), sink(s), strand(e), changed(std::make_shared<net::Signal>(e)) {}

  const std::shared_ptr<Requests> requests;
  node::LogSink& sink;
  const boost::asio::any_io_executor strand;
  const std::shared_ptr<net::Signal> changed;
  Mutex mutex;
  CondVar ended_signal;
  std::deque<interlink::v1::LogRequest> queue GUARDED_BY(mutex);
  std::shared_ptr<net::WebSocket> socket GUARDED_BY(mutex);
  bool closing GUARDED_BY(mutex) = false;
  bool ended GUARDED_BY(mutex) = false;
  int inside GUARDED_BY(mutex) = 0;         // calls into the sink
  bool in_reach GUARDED_BY(mutex) = false;  // the site has come into reach since the last try

  void Hurry() {
    {
      MutexLock lock(mutex);
      in_reach = true;
    }
    changed->Set();
  }
  bool Hurried() {
    MutexLock lock(mutex);
    return in_reach;
  }
  bool Closing() {
    MutexLock lock(mutex);
    return closing;
  }
  // Calls into the sink, unless the handle dies: it waits for those that are inside only, since a
  // connection that is being made can take longer.
  template <typename Word>
  void Tell(Word word) {
    {
      MutexLock lock(mutex);
      if (closing) return;
      ++inside;
    }
    word(sink);
    MutexLock lock(mutex);
    --inside;
    ended_signal.NotifyAll();
  }
};

void Deliver(node::LogSink& sink, const interlink::v1::LogResponse& response) {
  switch (response.kind_case()) {
    case interlink::v1::LogResponse::kChunk:
      return sink.OnLogChunk(ContainerId(response.chunk().container_id()),
                             response.chunk().offset(), response.chunk().data(),
                             response.chunk().next());
    case interlink::v1::LogResponse::kEnd:
      return sink.OnLogEnd(ContainerId(response.end().container_id()), response.end().offset());
    case interlink::v1::LogResponse::kFailed: {
      const auto code = static_cast<Code>(response.failed().code());
      return sink.OnLogFailed(
          ContainerId(response.failed().container_id()),
          Status(code == Code::kOk ? Code::kUnknown : code, response.failed().message()));
    }
    case interlink::v1::LogResponse::KIND_NOT_SET:
      return;  // of a newer site
  }
}

net::Awaitable<void> WriteLoop(std::shared_ptr<Shared> shared,
                               std::shared_ptr<net::WebSocket> socket) {
  while (true) {
    std::deque<interlink::v1::LogRequest> batch;
    {
      MutexLock lock(shared->mutex);
      if (shared->socket != socket) co_return;
      batch.swap(shared->queue);
    }
    for (const auto& request : batch) {
      const Status status = co_await socket->Write(
          request.SerializeAsString(), std::chrono::steady_clock::now() + std::chrono::seconds(30));
      if (!status.ok()) {
        socket->Cancel();
        co_return;
      }
    }
    if (batch.empty())
      co_await shared->changed->Wait(std::chrono::steady_clock::now() + std::chrono::seconds(5));
  }
}

net::Awaitable<Status> ReadLoop(std::shared_ptr<Shared> shared,
                                std::shared_ptr<net::WebSocket> socket) {
  while (true) {
    auto message = co_await socket->Read(std::chrono::steady_clock::now() + kSilence);
    if (!message.ok()) co_return message.status();
    if (!message->has_value()) co_return Unavailable("the site has closed the log stream");
    interlink::v1::LogResponse response;
    if (!response.ParseFromString(**message))
      co_return Unavailable("the site sends something that is no log message");
    shared->Tell([&response](node::LogSink& sink) { Deliver(sink, response); });
  }
}

net::Awaitable<Status> OneConnection(std::shared_ptr<Shared> shared) {
  {
    MutexLock lock(shared->mutex);
    shared->in_reach = false;
  }
  CO_RETURN_IF_ERROR(shared->requests->reachable());
  const Call call = Call::WithTimeout(kConnect);
  auto request = shared->requests->Build(call, {.route = wire::Route::kLogs});
  if (!request.ok()) co_return request.status();
  auto upgraded = co_await shared->requests->http().Upgrade(shared->strand, *std::move(request),
                                                            call.deadline());
  if (!upgraded.ok()) co_return upgraded.status();
  const std::shared_ptr<net::WebSocket> socket = upgraded->socket;
  if (socket == nullptr) co_return shared->requests->Understand(upgraded->refusal, nullptr);
  {
    MutexLock lock(shared->mutex);
    if (shared->closing) co_return CancelledError("closing");
    shared->socket = socket;
    shared->queue.clear();  // subscriptions are made anew
  }
  shared->Tell([](node::LogSink& sink) { sink.OnLogStreamOpen(); });
  net::Io::Spawn(shared->strand, WriteLoop(shared, socket));
  const Status status = co_await ReadLoop(shared, socket);
  {
    MutexLock lock(shared->mutex);
    shared->socket = nullptr;
  }
  shared->changed->Set();
  shared->Tell([&status](node::LogSink& sink) { sink.OnLogStreamLost(status); });
  co_return status;
}

net::Awaitable<void> KeepOpen(std::shared_ptr<Shared> shared) {
  Duration backoff = kMinBackoff;
  while (!shared->Closing()) {
    const SteadyTime begun = std::chrono::steady_clock::now();
    const Status status = co_await OneConnection(shared);
    if (std::chrono::steady_clock::now() - begun > kMaxBackoff) backoff = kMinBackoff;
    const SteadyTime until = std::chrono::steady_clock::now() + backoff;
    // Signals of the handle wake this too; only its death ends the pause, and a site that is back:
    // what ends then must not be shown without its log.
    while (!shared->Closing() && !shared->Hurried() && std::chrono::steady_clock::now() < until)
      co_await shared->changed->Wait(until);
    const bool anew = shared->Hurried() || status.code() == Code::kCancelled;
    backoff = anew ? kMinBackoff : std::min<Duration>(2 * backoff, kMaxBackoff);
  }
  MutexLock lock(shared->mutex);
  shared->ended = true;
  shared->ended_signal.NotifyAll();
}

class LogHandle final : public node::Site::LogStream {
 public:
  explicit LogHandle(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {
    shared_->requests->OnReachable([weak = std::weak_ptr<Shared>(shared_)] {
      if (const auto still = weak.lock()) still->Hurry();
    });
    net::Io::Spawn(shared_->strand, KeepOpen(shared_));
  }
  ~LogHandle() override {
    std::shared_ptr<net::WebSocket> socket;
    {
      MutexLock lock(shared_->mutex);
      shared_->closing = true;
      socket = shared_->socket;
    }
    if (socket != nullptr) socket->Cancel();
    shared_->changed->Set();
    // The sink dies after this object: no call into it may be under way.
    MutexLock lock(shared_->mutex);
    const bool ended = shared_->ended_signal.WaitFor(
        shared_->mutex, kLastWords, [this]() NO_LOCK_ANALYSIS { return shared_->ended; });
    if (ended) return;
    shared_->ended_signal.WaitFor(shared_->mutex, kConnect,
                                  [this]() NO_LOCK_ANALYSIS { return shared_->inside == 0; });
  }

  void Subscribe(const SandboxId& sandbox, const ContainerId& id, uint64_t offset,
                 uint64_t credit) override {
    interlink::v1::LogRequest request;
    auto* subscribe = request.mutable_subscribe();
    subscribe->set_sandbox_id(sandbox.str());
    subscribe->set_container_id(id.str());
    subscribe->set_offset(offset);
    subscribe->set_credit(credit);
    Enqueue(std::move(request));
  }
  void Credit(const ContainerId& id, uint64_t bytes) override {
    interlink::v1::LogRequest request;
    request.mutable_credit()->set_container_id(id.str());
    request.mutable_credit()->set_bytes(bytes);
    Enqueue(std::move(request));
  }
  void Acknowledge(const ContainerId& id, uint64_t offset) override {
    interlink::v1::LogRequest request;
    request.mutable_acknowledge()->set_container_id(id.str());
    request.mutable_acknowledge()->set_offset(offset);
    Enqueue(std::move(request));
  }
  void Unsubscribe(const ContainerId& id) override {
    interlink::v1::LogRequest request;
    request.mutable_unsubscribe()->set_container_id(id.str());
    Enqueue(std::move(request));
  }

 private:
  void Enqueue(interlink::v1::LogRequest request) {
    {
      MutexLock lock(shared_->mutex);
      // Without a stream there is nothing to tell: OnLogStreamOpen makes everything anew.
      if (shared_->socket == nullptr) return;
      if (shared_->queue.size() >= kMaxQueued) {
        shared_->socket->Cancel();
        return;
      }
      shared_->queue.push_back(std::move(request));
    }
    shared_->changed->Set();
  }

  const std::shared_ptr<Shared> shared_;
};

}  // namespace

std::unique_ptr<node::Site::LogStream> OpenLogStream(net::Io& io,
                                                     std::shared_ptr<Requests> requests,
                                                     node::LogSink& sink, Log&) {
  return std::make_unique<LogHandle>(
      std::make_shared<Shared>(std::move(requests), sink, io.Strand()));
}

}  // namespace interlink::site_client
