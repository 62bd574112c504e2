// The control stream: dial, hello, then what comes and what goes, until it is lost.
#include <algorithm>
#include <utility>

#include "agent/agent.h"

namespace interlink::agent {
namespace {

constexpr uint32_t kProtocolSpoken = 1;
constexpr auto kWelcomeWithin = std::chrono::seconds(20);
constexpr auto kWriteWithin = std::chrono::seconds(30);
constexpr auto kReadSlice = std::chrono::milliseconds(500);
constexpr auto kStoreTermWithin = std::chrono::seconds(10);  // in which nobody watches the lease
constexpr const char* kTermLane = "term";
constexpr auto kIdle = std::chrono::seconds(1);

// Nobody serves this agent ever again.
bool IsForEver(v1::Refused::Reason reason) {
  return reason == v1::Refused::OTHER_NONCE || reason == v1::Refused::TAKEN_BY_SITE;
}

// Come back later.
bool IsPassing(v1::Refused::Reason reason) {
  return reason == v1::Refused::LIMIT || reason == v1::Refused::UNDECIDED;
}

}  // namespace

Status Agent::Connect() {
  {
    MutexLock lock(mutex_);
    ++stream_;
    answers_.clear();
    parting_ = false;
  }
  if (unread_) unread_->Lost();
  const auto stream = parts_.channel.OpenControl();
  Status lost = Greet(*stream);
  if (lost.ok()) {
    parts_.log.Info("the site has let this agent in");
    std::jthread writer([this, &stream](const std::stop_token& stop) { WriteLoop(stop, *stream); });
    lost = Converse(*stream);
    stream->Cancel();
    writer.request_stop();
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  }
  MutexLock lock(mutex_);
  state_.OnLost();
  return lost;
}

Status Agent::Greet(Stream& stream) {
  v1::AgentMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_protocol(kProtocolSpoken);
  hello.set_build_id(options_.build_id);
  hello.set_sandbox_id(options_.sandbox.str());
  hello.set_nonce(options_.nonce);
  hello.set_allocation(options_.allocation);
  hello.set_host(options_.host);
  hello.set_boot_id(options_.boot_id);
  {
    MutexLock lock(mutex_);
    hello.set_highest_term(state_.highest_term());
  }
  const SteadyTime said = parts_.clock.Steady();
  const SteadyTime limit = said + kWelcomeWithin;
  // What is wrong with the call is told by what is read.
  const Status sent = stream.Write(message.SerializeAsString(), limit);
  ASSIGN_OR_RETURN(const v1::HubMessage first, ReadOne(stream, limit));
  RETURN_IF_ERROR(sent);
  if (first.has_refused()) return TakeRefusal(first.refused());
  if (!first.has_welcome()) return FailedPrecondition("the hub's first message is no welcome");
  {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(state_.OnWelcome(first.welcome(), said));
    // From here on; a command comes only after it is stored.
  }
  // Aside: this thread watches the lease.
  return Aside(kTermLane, kStoreTermWithin,
               [this, term = first.welcome().term()] { return parts_.folder.StoreTerm(term); });
}

Status Agent::TakeRefusal(const v1::Refused& refused) {
  const std::string why = "the site refuses this agent: " + refused.message();
  if (IsForEver(refused.reason())) {
    {
      MutexLock lock(mutex_);
      refused_ = FailedPrecondition(why);
    }
    Leave(why);
  }
  return IsPassing(refused.reason()) ? Unavailable(why) : FailedPrecondition(why);
}

Result<v1::HubMessage> Agent::ReadOne(Stream& stream, SteadyTime limit) {
  while (true) {
    const SteadyTime now = parts_.clock.Steady();
    const auto read = stream.Read(std::min(limit, now + kReadSlice));
    if (read.ok()) {
      if (!read->has_value()) {
        // What it answers to `leaving`. It may overtake what gRPC says of that write.
        MutexLock lock(mutex_);
        farewell_ = farewell_ || parting_;
        return Unavailable("the site has ended the stream");
      }
      v1::HubMessage message;
      if (message.ParseFromString(**read)) return message;
      return FailedPrecondition("the hub sends what is not of this protocol");
    }
    if (read.status().code() != Code::kDeadlineExceeded) return read.status();
    Watch();
    if (parts_.clock.Steady() >= limit) return Unavailable("the site does not answer");
    MutexLock lock(mutex_);
    if (state_.Silent(parts_.clock.Steady())) return Unavailable("the site is silent");
    if (EndLocked({})) return CancelledError("the agent has left");
  }
}

Status Agent::Converse(Stream& stream) {
  while (true) {
    Watch();
    ASSIGN_OR_RETURN(const v1::HubMessage message, ReadOne(stream, SteadyTime::max()));
    RETURN_IF_ERROR(Take(message));
  }
}

Status Agent::Take(const v1::HubMessage& message) {
  switch (message.what_case()) {
    case v1::HubMessage::kCommand:
      return TakeCommand(message.command());
    case v1::HubMessage::kReportTaken: {
      // Not before: a site that cannot store what it is told lets everybody in.
      wait_ = options_.shortest_wait;
      last_why_.clear();
      MutexLock lock(mutex_);
      changed_.NotifyAll();
      return state_.OnReportTaken(message.report_taken().number());
    }
    case v1::HubMessage::kHeartbeatTaken: {
      MutexLock lock(mutex_);
      return state_.OnHeartbeatTaken(message.heartbeat_taken().number());
    }
    default:
      return FailedPrecondition("the hub sends what is not of this protocol");
  }
}

std::optional<v1::AgentMessage> Agent::NextMessageLocked(SteadyTime now) {
  v1::AgentMessage message;
  if (auto beat = state_.NextHeartbeat(now)) {
    *message.mutable_heartbeat() = *std::move(beat);
  } else if (!answers_.empty()) {
    *message.mutable_answer() = std::move(answers_.front());
    answers_.pop_front();
  } else if (auto report = state_.NextReport()) {
    *message.mutable_report() = *std::move(report);
  } else if (!logs_grown_.empty()) {
    message.mutable_log_grew()->set_container_id(*logs_grown_.begin());
    logs_grown_.erase(logs_grown_.begin());
  } else if (ended_ && state_.told_all() && !farewell_) {
    message.mutable_leaving()->set_why(leaving_.value_or(""));
    message.mutable_leaving()->set_ended(proven_);
  } else {
    return {};
  }
  return message;
}

void Agent::WriteLoop(const std::stop_token& stop, Stream& stream) {
  while (!stop.stop_requested()) {
    std::optional<v1::AgentMessage> message;
    {
      MutexLock lock(mutex_);
      const SteadyTime now = parts_.clock.Steady();
      message = NextMessageLocked(now);
      if (!message) {
        const SteadyTime limit = std::min(now + kIdle, state_.next_heartbeat());
        const auto woken = [&]() NO_LOCK_ANALYSIS {
          if (stop.stop_requested()) return true;
          message = NextMessageLocked(parts_.clock.Steady());
          return message.has_value();
        };
        changed_.WaitUntil(mutex_, limit, woken);
      }
    }
    if (!message) continue;
    if (message->has_leaving()) {
      MutexLock lock(mutex_);
      parting_ = true;
    }
    const Status sent =
        stream.Write(message->SerializeAsString(), parts_.clock.Steady() + kWriteWithin);
    if (!sent.ok()) return stream.Cancel();
    if (!message->has_leaving()) continue;
    MutexLock lock(mutex_);
    farewell_ = true;
  }
}

}  // namespace interlink::agent
