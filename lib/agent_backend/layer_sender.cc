#include "agent_backend/layer_sender.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "layer_archive/verdict.h"
#include "layer_archive/write_layer.h"

namespace interlink::agent_backend {
namespace {

constexpr size_t kMaxQueuedLayers = 100'000;
constexpr auto kLongestDelivery = std::chrono::hours(24);
constexpr auto kOpenWithin = std::chrono::seconds(10);
// It only serves the words.
constexpr auto kMeasureWithin = std::chrono::seconds(20);
// From the layer's last byte to the agent's word: its disk has to be flushed.
constexpr auto kVerdictWithin = std::chrono::minutes(10);
// How soon one that is forgotten ends.
constexpr auto kLookAgain = std::chrono::milliseconds(500);
constexpr int kMaxPauseDoublings = 10;

std::string InMebibytes(uint64_t bytes) { return std::to_string((bytes + (1U << 19U)) >> 20U); }

std::string NameOfLayer(const std::string& folder) {
  const size_t slash = folder.rfind('/');
  return slash == std::string::npos ? folder : folder.substr(slash + 1);
}

Status AnsweredEarly() { return {Code::kAborted, "the agent has answered before the end"}; }

// True: there is something to read, or the other side is gone.
Result<bool> AwaitSocket(int end, short events, const Call& call, SteadyTime limit) {
  while (true) {
    RETURN_IF_ERROR(call.Check("sending the layer"));
    pollfd ready{end, events, 0};
    const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(kLookAgain).count();
    const int count = poll(&ready, 1, static_cast<int>(wait));
    if (count < 0 && errno != EINTR) return ErrnoStatus(errno, "wait for the agent");
    if (count > 0) return (ready.revents & (POLLIN | POLLERR | POLLHUP)) != 0;
    if (std::chrono::steady_clock::now() >= limit) {
      return Unavailable("the agent does not take the layer");
    }
  }
}

// What the agent says of a layer, for whoever creates a container.
Status AnswerOf(const Status& verdict) {
  switch (verdict.code()) {
    case Code::kResourceExhausted:
    case Code::kPermissionDenied:
      // Its disk is full, say: whoever wants the container has to know, and may ask again.
      return FailedPrecondition(verdict.message());
    case Code::kOk:
    case Code::kInvalidArgument:
    case Code::kUnimplemented:
    case Code::kFailedPrecondition:
      return verdict;
    default:
      return Unavailable(verdict.message());
  }
}

}  // namespace

LayerSender::LayerSender(std::shared_ptr<Agents> agents, Log& log, const Clock& clock,
                         LayerSenderOptions options, std::function<void(const SandboxId&)> settled)
    : agents_(std::move(agents)),
      log_(log),
      clock_(clock),
      options_(options),
      settled_(std::move(settled)),
      steps_("layers", options.threads, kMaxQueuedLayers) {}

LayerSender::~LayerSender() {
  {
    MutexLock lock(mutex_);
    for (const auto& [sandbox, layers] : deliveries_) {
      for (const auto& [name, delivery] : layers) delivery->call.Cancel();
    }
  }
  steps_.Stop(std::chrono::seconds(5));
}

Result<sdk::UnpackedImage> LayerSender::Bring(const Call& call, const SandboxId& sandbox,
                                              const sdk::UnpackedImage& image,
                                              const std::string& host) {
  sdk::UnpackedImage brought = image;
  std::vector<DeliveryPtr> wanted;
  MutexLock lock(mutex_);
  auto& known = deliveries_[sandbox];
  for (std::string& layer : brought.layers) {
    const std::string folder = std::exchange(layer, NameOfLayer(layer));
    DeliveryPtr& delivery = known[layer];
    const bool due = delivery == nullptr ||
                     (delivery->state == State::kFailed && clock_.Steady() >= delivery->again);
    if (due) {
      auto fresh =
          std::make_shared<Delivery>(Delivery{.call = Call::WithTimeout(kLongestDelivery)});
      if (delivery != nullptr) fresh->failures = delivery->failures;
      delivery = fresh;
      BeginLocked({layer, folder, sandbox}, delivery);
    }
    wanted.push_back(delivery);
  }
  const auto settled = [&]() NO_LOCK_ANALYSIS {
    bool all_there = true;
    for (const DeliveryPtr& one : wanted) {
      if (one->state == State::kFailed) return true;
      all_there = all_there && one->state == State::kThere;
    }
    return all_there;
  };
  const SteadyTime limit = std::chrono::steady_clock::now() + options_.wait;
  changed_.WaitUntil(mutex_, std::min(limit, call.deadline()), settled);
  RETURN_IF_ERROR(StateLocked(wanted, host));
  return brought;
}

Status LayerSender::StateLocked(const std::vector<DeliveryPtr>& deliveries,
                                const std::string& host) {
  const std::string where = host.empty() ? "its node" : "node \"" + host + "\"";
  for (size_t i = 0; i < deliveries.size(); ++i) {
    const Delivery& one = *deliveries[i];
    if (one.state == State::kFailed) {
      return one.why.WithContext("the image cannot be brought to " + where);
    }
  }
  for (size_t i = 0; i < deliveries.size(); ++i) {
    const Delivery& one = *deliveries[i];
    if (one.state == State::kThere) continue;
    std::string words = "its image is being sent to " + where + ": layer " + std::to_string(i + 1) +
                        " of " + std::to_string(deliveries.size());
    if (one.state == State::kWaiting) return Unavailable(words + " waits");
    words += ", " + InMebibytes(one.sent);
    if (one.total != 0) words += " of " + InMebibytes(std::max(one.sent, one.total));
    return Unavailable(words + " MiB");
  }
  return {};
}

void LayerSender::BeginLocked(const Layer& layer, const DeliveryPtr& delivery) {
  const Status posted =
      steps_.Post(layer.sandbox.str(), [this, layer, delivery] { Deliver(layer, delivery); });
  if (posted.ok()) return;
  delivery->state = State::kFailed;
  delivery->why = posted;
  delivery->again = clock_.Steady() + options_.shortest_pause;
}

void LayerSender::Deliver(const Layer& layer, const DeliveryPtr& delivery) {
  {
    MutexLock lock(mutex_);
    delivery->state = State::kOnItsWay;
  }
  Status sent = Send(layer, delivery);
  if (sent.code() == Code::kCancelled || sent.code() == Code::kDeadlineExceeded) {
    sent = Unavailable(sent.message());
  }
  if (!sent.ok() && !delivery->call.cancelled()) {
    log_.Warning(
        "a layer was not brought to an agent",
        {{"sandbox", layer.sandbox.str()}, {"layer", layer.folder}, {"error", sent.ToString()}});
  }
  bool over = false;
  {
    MutexLock lock(mutex_);
    if (sent.ok()) {
      delivery->state = State::kThere;
    } else {
      delivery->state = State::kFailed;
      delivery->why = std::move(sent);
      const int doublings = std::min(delivery->failures++, kMaxPauseDoublings);
      delivery->again = clock_.Steady() + std::min(options_.longest_pause,
                                                   options_.shortest_pause * (1 << doublings));
    }
    over = !IsSendingLocked(layer.sandbox);
    changed_.NotifyAll();
  }
  if (over && settled_) settled_(layer.sandbox);
}

Status LayerSender::Send(const Layer& layer, const DeliveryPtr& delivery) {
  RETURN_IF_ERROR(delivery->call.Check("sending the layer"));
  const auto end = agents_->PutLayer(delivery->call.Capped(kOpenWithin), layer.sandbox, layer.name);
  if (end.status().code() == Code::kAlreadyExists) return {};
  // Too many sessions, say: that passes.
  if (end.status().code() == Code::kResourceExhausted) return Unavailable(end.status().message());
  if (!end.ok()) return end.status();
  return SendThrough(end->get(), layer, delivery);
}

Status LayerSender::SendThrough(int end, const Layer& layer, const DeliveryPtr& delivery) {
  const Call& call = delivery->call;
  const auto total =
      layer_archive::MeasureLayer(call.Capped(kMeasureWithin), layer.folder).value_or(0);
  {
    MutexLock lock(mutex_);
    delivery->total = total;
  }
  Status taken;  // by the agent
  const layer_archive::ByteSink sink = [&](std::string_view bytes) {
    taken = WriteSome(end, bytes, call);
    MutexLock lock(mutex_);
    if (taken.ok()) delivery->sent += bytes.size();
    return taken;
  };
  const Status written = layer_archive::WriteLayer(call, layer.folder, sink);
  // What goes wrong here says nothing about the agent, or about the image.
  if (!written.ok() && taken.ok()) {
    return Unavailable("the layer cannot be read at the site: " + written.message());
  }
  if (!taken.ok() && taken.code() != Code::kAborted) return taken;
  if (taken.ok() && shutdown(end, SHUT_WR) != 0) {
    return ErrnoStatus(errno, "end the stream to the agent");
  }
  Status verdict = AnswerOf(Verdict(end, call));
  if (verdict.ok() && !taken.ok()) return Unavailable("the agent has not taken the whole layer");
  return verdict;
}

Status LayerSender::WriteSome(int end, std::string_view bytes, const Call& call) const {
  while (!bytes.empty()) {
    ASSIGN_OR_RETURN(const bool answered,
                     AwaitSocket(end, POLLIN | POLLOUT, call,
                                 std::chrono::steady_clock::now() + options_.quiet));
    if (answered) return AnsweredEarly();
    const ssize_t count = send(end, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0 && errno == EPIPE) return AnsweredEarly();
    if (count < 0) return ErrnoStatus(errno, "send the layer");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Status LayerSender::Verdict(int end, const Call& call) const {
  const SteadyTime limit = std::chrono::steady_clock::now() + kVerdictWithin;
  std::string line;
  std::array<char, layer_archive::kMaxVerdict> buffer{};
  while (line.size() <= layer_archive::kMaxVerdict) {
    const auto ready = AwaitSocket(end, POLLIN, call, limit);
    if (!ready.ok()) return ready.status();
    const ssize_t got = read(end, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    line.append(buffer.data(), static_cast<size_t>(got));
    if (line.back() == '\n') break;
  }
  if (line.empty()) return Unavailable("the agent was lost while the layer was sent");
  const auto verdict = layer_archive::ParseVerdict(line);
  return verdict.ok() ? verdict->status : verdict.status();
}

bool LayerSender::IsSending(const SandboxId& sandbox) {
  MutexLock lock(mutex_);
  return IsSendingLocked(sandbox);
}

bool LayerSender::IsSendingLocked(const SandboxId& sandbox) {
  const auto found = deliveries_.find(sandbox);
  if (found == deliveries_.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(), [](const auto& layer) {
    return layer.second->state == State::kWaiting || layer.second->state == State::kOnItsWay;
  });
}

void LayerSender::Doubt(const SandboxId& sandbox) {
  MutexLock lock(mutex_);
  const auto found = deliveries_.find(sandbox);
  if (found == deliveries_.end()) return;
  std::erase_if(found->second,
                [](const auto& layer) { return layer.second->state == State::kThere; });
}

void LayerSender::Forget(const SandboxId& sandbox) {
  MutexLock lock(mutex_);
  const auto found = deliveries_.find(sandbox);
  if (found == deliveries_.end()) return;
  for (const auto& [name, delivery] : found->second) delivery->call.Cancel();
  deliveries_.erase(found);
}

}  // namespace interlink::agent_backend
