#include "rest/log_session.h"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace interlink::rest {
namespace {

using interlink::v1::LogResponse;

constexpr size_t kChunk = 64U << 10U;    // DESIGN 5
constexpr uint64_t kHalf = 384U << 10U;  // half of the window
constexpr size_t kMaxBusy = 16;          // containers whose bytes are in memory at once
constexpr size_t kMaxSubscriptions = 20'000;
constexpr size_t kMaxFailures = kMaxSubscriptions;  // that the node has not read
constexpr size_t kMaxIdText = 256;
constexpr auto kReadLimit = std::chrono::seconds(10);
constexpr auto kRetry = std::chrono::seconds(1);
constexpr auto kWrite = std::chrono::seconds(30);

SteadyTime Now() { return std::chrono::steady_clock::now(); }

}  // namespace

net::Awaitable<Status> LogSession::Run() {
  net::Io::Spawn(strand_, ReadLoop(shared_from_this()));
  const auto watch = exchange_->site().WatchLogs(exchange_->caller.node,
                                                 [weak = weak_from_this()](const ContainerId& id) {
                                                   if (const auto self = weak.lock())
                                                     self->Grew(id);
                                                 });
  Status why = co_await WriteLoop();
  socket_->Cancel();
  co_return why;
}

net::Awaitable<void> LogSession::ReadLoop(std::shared_ptr<LogSession> self) {
  while (self->ended_.ok()) {
    const auto message = co_await self->socket_->Read(Now() + std::chrono::hours(24));
    if (!message.ok()) {
      self->ended_ = message.status();
    } else if (!message->has_value()) {
      self->ended_ = CancelledError("the node has closed it");
    } else {
      interlink::v1::LogRequest request;
      self->ended_ = request.ParseFromString(**message)
                         ? self->Take(request)
                         : InvalidArgument("the node sends something that is no log request");
    }
  }
  self->signal_->Set();
  self->socket_->Cancel();  // a message that the node does not take
}

net::Awaitable<Status> LogSession::WriteLoop() {
  const Duration heartbeat = std::min(exchange_->state->options.heartbeat, kMaxHeartbeat);
  SteadyTime beat = Now() + heartbeat;
  while (ended_.ok()) {
    if (exchange_->state->Stopping()) co_return Unavailable("the site is shutting down");
    TakeGrown();
    StartReads();
    LogResponse message;
    if (!NextMessage(message) && Now() < beat) {
      // A read that failed is tried again without anybody's wake.
      co_await signal_->Wait(std::min(beat, Now() + kRetry));
      continue;
    }
    // An empty message is the heartbeat.
    const std::string bytes = message.SerializeAsString();
    const Status written = co_await socket_->Write(bytes, Now() + kWrite);
    if (!written.ok()) co_return ended_.ok() ? written : ended_;
    beat = Now() + heartbeat;
  }
  co_return ended_;
}

Status LogSession::Take(const interlink::v1::LogRequest& request) {
  switch (request.kind_case()) {
    case interlink::v1::LogRequest::kSubscribe:
      RETURN_IF_ERROR(Subscribe(request.subscribe()));
      break;
    case interlink::v1::LogRequest::kCredit: {
      const auto it = subscriptions_.find(ContainerId(request.credit().container_id()));
      if (it != subscriptions_.end()) it->second.credit += request.credit().bytes();
      break;
    }
    case interlink::v1::LogRequest::kAcknowledge:
      Acknowledge(request.acknowledge());
      break;
    case interlink::v1::LogRequest::kUnsubscribe: {
      const auto it = subscriptions_.find(ContainerId(request.unsubscribe().container_id()));
      if (it != subscriptions_.end()) subscriptions_.erase(it);
      break;
    }
    case interlink::v1::LogRequest::KIND_NOT_SET:
      break;  // of a newer node
  }
  signal_->Set();
  return {};
}

Status LogSession::Subscribe(const interlink::v1::LogSubscribe& request) {
  if (failures_.size() >= kMaxFailures)
    return ResourceExhausted("the node subscribes, and does not read what it is told of it");
  if (request.container_id().size() > kMaxIdText)
    return InvalidArgument("the node subscribes to what is no container id");
  const ContainerId id(request.container_id());
  if (!IsFullId(request.container_id()) || !IsFullId(request.sandbox_id())) {
    Fail(id, InvalidArgument("a subscription needs a full sandbox id and container id"));
    return {};
  }
  if (subscriptions_.size() >= kMaxSubscriptions && !subscriptions_.contains(id)) {
    Fail(id, ResourceExhausted("too many logs are subscribed to"));
    return {};
  }
  Subscription fresh;
  fresh.sandbox = SandboxId(request.sandbox_id());
  fresh.generation = next_generation_++;
  fresh.acknowledged = fresh.sent = fresh.asked_from = request.offset();
  fresh.credit = request.credit();
  subscriptions_[id] = std::move(fresh);
  return {};
}

void LogSession::Acknowledge(const interlink::v1::LogAcknowledge& request) {
  const auto it = subscriptions_.find(ContainerId(request.container_id()));
  if (it == subscriptions_.end()) return;
  Subscription& subscription = it->second;
  // What was not sent cannot be durable.
  const uint64_t offset = std::min(request.offset(), subscription.sent);
  if (offset <= subscription.acknowledged) return;
  subscription.acknowledged = offset;
  // The backend learns it by the next read: soon when all is said, else when there is room again.
  if (offset == subscription.sent || offset - subscription.asked_from >= kHalf)
    subscription.dirty = true;
}

void LogSession::Grew(const ContainerId& id) {
  bool wake = false;
  {
    MutexLock lock(mutex_);
    wake = grown_.empty();
    grown_.insert(id);
  }
  if (wake) signal_->Set();
}

void LogSession::TakeGrown() {
  std::set<ContainerId> grown;
  {
    MutexLock lock(mutex_);
    grown.swap(grown_);
  }
  for (const ContainerId& id : grown) {
    const auto it = subscriptions_.find(id);
    if (it != subscriptions_.end()) it->second.dirty = true;
  }
}

void LogSession::StartReads() {
  size_t busy = 0;
  for (const auto& [id, subscription] : subscriptions_)
    busy += subscription.reading || !subscription.buffer.empty() ? 1 : 0;
  for (auto& [id, subscription] : subscriptions_) {
    if (busy >= kMaxBusy) return;
    const bool room = subscription.sent - subscription.acknowledged <= kHalf;
    // Without credit only what the node has acknowledged is passed on.
    const bool useful =
        subscription.credit > 0 || subscription.acknowledged > subscription.asked_from;
    if (!subscription.dirty || subscription.reading || !subscription.buffer.empty() || !room ||
        !useful || Now() < subscription.not_before) {
      continue;
    }
    StartRead(id, subscription);
    ++busy;
  }
}

void LogSession::StartRead(const ContainerId& id, Subscription& subscription) {
  subscription.dirty = false;
  subscription.reading = true;
  const uint64_t from = subscription.acknowledged;
  const size_t max = static_cast<size_t>(subscription.sent - from + kHalf);
  subscription.asked_from = from;
  exchange_->site().ReadLog(
      Call::WithTimeout(kReadLimit), exchange_->caller.node, subscription.sandbox, id, from, max,
      [self = shared_from_this(), id, generation = subscription.generation, from,
       max](Result<sdk::LogChunk> chunk) {
        boost::asio::post(self->strand_,
                          [self, id, generation, from, max, chunk = std::move(chunk)]() mutable {
                            self->Fetched(id, generation, from, max, std::move(chunk));
                          });
      });
}

void LogSession::Fetched(const ContainerId& id, uint64_t generation, uint64_t from, size_t max,
                         Result<sdk::LogChunk> chunk) {
  const auto it = subscriptions_.find(id);
  if (it == subscriptions_.end() || it->second.generation != generation) return;
  Subscription& subscription = it->second;
  subscription.reading = false;
  if (chunk.ok()) {
    Store(subscription, from, max, *std::move(chunk));
  } else if (chunk.status().code() == Code::kUnavailable ||
             chunk.status().code() == Code::kDeadlineExceeded) {
    subscription.dirty = true;
    subscription.not_before = Now() + kRetry;
  } else {
    Fail(id, chunk.status());
  }
  signal_->Set();
}

void LogSession::Store(Subscription& subscription, uint64_t from, size_t max, sdk::LogChunk chunk) {
  const uint64_t size = chunk.bytes.size();
  subscription.at_end = chunk.end;
  // A read that was cut by `max` has more behind it.
  if (size >= max && !chunk.end) subscription.dirty = true;
  if (chunk.next <= subscription.sent) return;  // nothing new
  subscription.taken = 0;
  subscription.next = chunk.next;
  // Bytes that the site had to drop: what it gives instead does not map to offsets and goes as one
  // message.
  subscription.whole = chunk.next != from + size;
  const uint64_t known = subscription.whole ? 0 : subscription.sent - from;
  subscription.buffer = chunk.bytes.substr(static_cast<size_t>(known));
  if (subscription.buffer.empty()) subscription.sent = chunk.next;
}

bool LogSession::NextMessage(LogResponse& message) {
  if (!failures_.empty()) {
    message = std::move(failures_.front());
    failures_.pop_front();
    return true;
  }
  // Round robin: first those after the one that was served last, then from the beginning.
  auto it = subscriptions_.upper_bound(last_served_);
  for (size_t i = 0; i < subscriptions_.size(); ++i, ++it) {
    if (it == subscriptions_.end()) it = subscriptions_.begin();
    Subscription& subscription = it->second;
    const size_t left = subscription.buffer.size() - subscription.taken;
    if (left == 0 && subscription.at_end && !subscription.end_told && !subscription.reading) {
      subscription.end_told = true;
      message.mutable_end()->set_container_id(it->first.str());
      message.mutable_end()->set_offset(subscription.sent);
      return true;
    }
    if (left == 0 || subscription.credit == 0) continue;
    const size_t size =
        subscription.whole
            ? left
            : static_cast<size_t>(std::min<uint64_t>({kChunk, left, subscription.credit}));
    auto* chunk = message.mutable_chunk();
    chunk->set_container_id(it->first.str());
    chunk->set_offset(subscription.sent);
    chunk->set_data(subscription.buffer.data() + subscription.taken, size);
    subscription.taken += size;
    subscription.credit -= std::min<uint64_t>(subscription.credit, size);
    const bool last = subscription.taken == subscription.buffer.size();
    subscription.sent = last ? subscription.next : subscription.sent + size;
    chunk->set_next(subscription.sent);
    if (last) subscription.buffer.clear();
    if (last) subscription.taken = 0;
    last_served_ = it->first;
    return true;
  }
  return false;
}

void LogSession::Fail(const ContainerId& id, const Status& why) {
  LogResponse response;
  auto* failed = response.mutable_failed();
  failed->set_container_id(id.str());
  failed->set_code(static_cast<int32_t>(why.code()));
  failed->set_message(why.message());
  failures_.push_back(std::move(response));
  subscriptions_.erase(id);
}

}  // namespace interlink::rest
