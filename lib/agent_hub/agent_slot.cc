#include "agent_hub/agent_slot.h"

#include <utility>

namespace interlink::agent_hub {
namespace {

constexpr uint32_t kProtocol = 1;
constexpr int kSilentHeartbeats = 3;

}  // namespace

void AgentSlot::Welcome(ControlLinePtr line, const agent::v1::Hello& hello, SteadyTime now) {
  if (current_ == nullptr) return Greet(std::move(line), hello, now);
  const Status why = Aborted("a newer control stream of this agent takes over");
  if (waiting_ != nullptr) waiting_->End(why);
  waiting_ = std::move(line);
  waiting_hello_ = hello;
  current_->End(why);
}

void AgentSlot::Greet(ControlLinePtr line, const agent::v1::Hello& hello, SteadyTime now) {
  current_ = std::move(line);
  last_heard_ = now;
  next_ = 1;
  reports_taken_ = 0;
  agent::v1::HubMessage message;
  auto* welcome = message.mutable_welcome();
  welcome->set_protocol(kProtocol);
  welcome->set_term(terms_.term);
  welcome->set_site(terms_.site);
  welcome->set_heartbeat_ms(static_cast<uint32_t>(terms_.heartbeat.count()));
  welcome->set_lease_ms(static_cast<uint32_t>(terms_.lease.count()));
  current_->Send(message);
  events_.OnWelcomed(hello);
}

void AgentSlot::Take(const ControlLinePtr& line, const agent::v1::AgentMessage& message,
                     SteadyTime now) {
  if (line == waiting_) {
    // It has not been welcomed: an agent of this protocol waits.
    waiting_ = nullptr;
    line->End(InvalidArgument("the agent speaks before the welcome"));
    return;
  }
  if (line != current_) return;
  last_heard_ = now;
  switch (message.what_case()) {
    case agent::v1::AgentMessage::kReport:
      return TakeReport(message.report());
    case agent::v1::AgentMessage::kAnswer:
      return TakeAnswer(message.answer());
    case agent::v1::AgentMessage::kHeartbeat: {
      agent::v1::HubMessage taken;
      taken.mutable_heartbeat_taken()->set_number(message.heartbeat().number());
      return current_->Send(taken);
    }
    case agent::v1::AgentMessage::kLogGrew:
      return events_.OnLogGrew(message.log_grew().container_id());
    case agent::v1::AgentMessage::kLeaving:
      events_.OnLeaving(message.leaving());
      return current_->End({});
    default:
      return current_->End(InvalidArgument("the agent sends what is not of this protocol"));
  }
}

void AgentSlot::TakeReport(const agent::v1::Report& report) {
  if (report.number() != reports_taken_ + 1) {
    return current_->End(InvalidArgument("report " + std::to_string(report.number()) +
                                         " follows on " + std::to_string(reports_taken_)));
  }
  if (report.number() == 1 && !report.complete()) {
    return current_->End(InvalidArgument("the first report of a stream must be complete"));
  }
  if (!events_.OnReport(report)) {
    return current_->End(Unavailable("the report could not be taken: send it again"));
  }
  agent::v1::HubMessage taken;
  taken.mutable_report_taken()->set_number(++reports_taken_);
  current_->Send(taken);
}

void AgentSlot::TakeAnswer(const agent::v1::Answer& answer) {
  const auto found = asked_.find(answer.number());
  if (found == asked_.end()) return;  // nobody waits any more
  const Settle settle = std::move(found->second);
  asked_.erase(found);
  settle(answer);
}

void AgentSlot::Ended(const ControlLinePtr& line, const Status& why, SteadyTime now) {
  if (line == waiting_) {
    waiting_ = nullptr;
    return;
  }
  if (line != current_) return;
  current_ = nullptr;
  const auto asked = std::exchange(asked_, {});
  for (const auto& [number, settle] : asked) {
    settle(Unavailable("the agent's connection was lost, it is not known whether it happened: " +
                       why.message()));
  }
  events_.OnLost(why);
  if (waiting_ == nullptr) return;
  Greet(std::exchange(waiting_, nullptr), std::exchange(waiting_hello_, {}), now);
}

uint64_t AgentSlot::Ask(agent::v1::Command command, Settle settle) {
  if (current_ == nullptr || waiting_ != nullptr) {
    settle(Unavailable("the agent is not connected"));
    return 0;
  }
  if (asked_.size() >= terms_.max_commands) {
    settle(ResourceExhausted("the agent owes " + std::to_string(asked_.size()) +
                             " answers already: ask again later"));
    return 0;
  }
  const uint64_t number = next_++;
  command.set_term(terms_.term);
  command.set_number(number);
  agent::v1::HubMessage message;
  *message.mutable_command() = std::move(command);
  asked_.emplace(number, std::move(settle));
  current_->Send(message);
  return number;
}

void AgentSlot::Tick(SteadyTime now) {
  if (current_ == nullptr || now - last_heard_ <= kSilentHeartbeats * terms_.heartbeat) return;
  current_->End(DeadlineExceeded("the agent has been silent for three heartbeats"));
}

void AgentSlot::EndAll(const Status& why) {
  if (const auto line = std::exchange(waiting_, nullptr)) line->End(why);
  if (const auto line = current_) {
    line->End(why);
    Ended(line, why, last_heard_);
  }
}

}  // namespace interlink::agent_hub
