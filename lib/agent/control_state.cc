#include "agent/control_state.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace interlink::agent {
namespace {

constexpr uint32_t kProtocol = 1;
constexpr int kSilentIntervals = 3;
// A message has at most 16 MiB, and a report that cannot be sent would be tried for ever.
constexpr size_t kMaxReport = 12U << 20U;

}  // namespace

Status ControlState::OnWelcome(const v1::Welcome& welcome, SteadyTime said) {
  if (welcome.protocol() != kProtocol) {
    return FailedPrecondition("the hub speaks version " + std::to_string(welcome.protocol()) +
                              " of the agent protocol, this agent speaks version " +
                              std::to_string(kProtocol));
  }
  if (welcome.term() < highest_term_ || welcome.term() == 0) {
    return FailedPrecondition("the hub has term " + std::to_string(welcome.term()) +
                              ", this agent obeys term " + std::to_string(highest_term_) +
                              " of a newer one");
  }
  if (welcome.heartbeat_ms() == 0) return FailedPrecondition("the hub wants no heartbeats");
  highest_term_ = welcome.term();
  online_ = true;
  last_command_ = 0;
  unsent_.clear();
  complete_ready_ = false;
  reports_ = 0;
  report_open_ = false;
  interval_ = std::chrono::milliseconds(welcome.heartbeat_ms());
  lease_ = std::chrono::milliseconds(welcome.lease_ms());
  next_heartbeat_ = said + interval_;
  heartbeats_ = 0;
  unanswered_.clear();
  // The hello was answered by the welcome.
  Renew(said);
  return {};
}

void ControlState::OnLost() {
  online_ = false;
  next_heartbeat_ = SteadyTime::max();
  unanswered_.clear();
}

Result<bool> ControlState::OnCommand(const v1::Command& command) {
  if (!online_) return FailedPrecondition("a command comes before the welcome");
  if (command.term() != highest_term_) return false;
  if (command.number() != last_command_ + 1) {
    return FailedPrecondition("command " + std::to_string(command.number()) + " follows on " +
                              std::to_string(last_command_));
  }
  last_command_ = command.number();
  return true;
}

bool ControlState::Newer(const v1::Fact& a, const v1::Fact& b) {
  return std::make_tuple(static_cast<int>(a.state()), a.revision()) >
         std::make_tuple(static_cast<int>(b.state()), b.revision());
}

void ControlState::Put(const std::vector<v1::Fact>& facts) {
  for (const v1::Fact& fact : facts) {
    const auto found = facts_.find(fact.container_id());
    if (found != facts_.end() && !Newer(fact, found->second)) continue;
    facts_[fact.container_id()] = fact;
    unsent_.insert(fact.container_id());
  }
}

void ControlState::PutAll(const std::vector<v1::Fact>& facts) {
  std::map<Key, v1::Fact> all;
  for (const v1::Fact& fact : facts) all[fact.container_id()] = fact;
  for (const Key& key : unsent_) {
    // Put since the welcome, perhaps after what we were given had been seen.
    const auto found = all.find(key);
    if (found == all.end() || Newer(facts_.at(key), found->second)) all[key] = facts_.at(key);
  }
  facts_ = std::move(all);
  complete_ready_ = true;
}

std::optional<v1::Report> ControlState::NextReport() {
  if (!online_ || !complete_ready_ || report_open_) return {};
  const bool first = reports_ == 0;
  if (!first && unsent_.empty()) return {};
  v1::Report report;
  report.set_number(++reports_);
  report.set_complete(first);
  for (const auto& [key, fact] : facts_) {
    if (first || unsent_.count(key) != 0) *report.add_facts() = fact;
  }
  unsent_.clear();
  if (report.ByteSizeLong() > kMaxReport) {
    // The configs only serve to import a pod of which the site has lost everything.
    for (v1::Fact& fact : *report.mutable_facts()) fact.clear_config();
  }
  report_open_ = true;
  return report;
}

Status ControlState::OnReportTaken(uint64_t number) {
  if (!report_open_ || number != reports_) {
    return FailedPrecondition("the hub takes report " + std::to_string(number) +
                              ", which does not wait");
  }
  report_open_ = false;
  return {};
}

std::optional<v1::Heartbeat> ControlState::NextHeartbeat(SteadyTime now) {
  if (!online_ || now < next_heartbeat_) return {};
  next_heartbeat_ = now + interval_;
  v1::Heartbeat beat;
  beat.set_number(++heartbeats_);
  unanswered_[heartbeats_] = now;
  return beat;
}

Status ControlState::OnHeartbeatTaken(uint64_t number) {
  const auto found = unanswered_.find(number);
  if (found == unanswered_.end()) {
    return FailedPrecondition("the hub answers heartbeat " + std::to_string(number) +
                              ", which does not wait");
  }
  Renew(found->second);
  unanswered_.erase(unanswered_.begin(), std::next(found));
  return {};
}

bool ControlState::Silent(SteadyTime now) const {
  return online_ && !unanswered_.empty() &&
         now - unanswered_.begin()->second > kSilentIntervals * interval_;
}

void ControlState::Renew(SteadyTime since) { answered_ = std::max(answered_, since); }

bool ControlState::LeaseOver(SteadyTime now) const {
  return lease_ > Duration::zero() && now - answered_ > lease_;
}

}  // namespace interlink::agent
