// Both ends of the control stream together, over every order of lost, late and cut messages that
// the bounds below allow: the hub's AgentSlot, restarted with a higher term once, and the agent's
// ControlState, with up to three streams between them.
#include <catch2/catch.hpp>
#include <deque>
#include <set>

#include "agent/control_state.h"
#include "agent_hub/agent_slot.h"

namespace interlink::agent {
namespace {

constexpr int kDepth = 8;
constexpr int kMaxStreams = 3;
constexpr int kMaxAsked = 2;
constexpr uint64_t kLastRevision = 2;

enum class Action {
  kDial,
  kDeliverUp,
  kDeliverDown,
  kCut,
  kHubHears,
  kAgentHears,
  kAsk,
  kSee,
  kRestart
};

// A stream with what is under way in it.
struct Wire final : agent_hub::ControlLine {
  void Send(const v1::HubMessage& message) override {
    if (!hub_ended && !cut) down.push_back(message);
  }
  void End(const Status&) override { hub_ended = true; }

  std::deque<v1::AgentMessage> up;
  std::deque<v1::HubMessage> down;
  bool cut = false;         // nothing arrives any more
  bool hub_ended = false;   // the hub has said the end; the agent reads it after what is under way
  bool hub_heard = false;   // the hub knows that nothing comes any more
  bool said_hello = false;  // taken by the hub
  int hub = 0;              // which start of the site it is with
};
using WirePtr = std::shared_ptr<Wire>;

class World final : public agent_hub::SlotEvents {
 public:
  World() { Restart(); }

  // False: it cannot happen now.
  bool Do(Action action) {
    switch (action) {
      case Action::kDial:
        return Dial();
      case Action::kDeliverUp:
        return DeliverUp();
      case Action::kDeliverDown:
        return DeliverDown();
      case Action::kCut:
        if (!agent_wire_ || agent_wire_->cut) return false;
        agent_wire_->cut = true;
        return true;
      case Action::kHubHears:
        return HubHears();
      case Action::kAgentHears:
        if (!agent_wire_ ||
            !(agent_wire_->cut || (agent_wire_->hub_ended && agent_wire_->down.empty())))
          return false;
        Lose();
        return true;
      case Action::kAsk:
        return Ask();
      case Action::kSee:
        if (revision_ == kLastRevision) return false;
        ++revision_;
        state_.Put({Seen()});
        return true;
      case Action::kRestart:
        if (term_ > 1) return false;
        Restart();
        return true;
    }
    return false;
  }

  // The rest goes well.
  void Settle() {
    for (int i = 0; i < 200; ++i) {
      Pump();
      bool any = Do(Action::kAgentHears) || Do(Action::kHubHears) || Do(Action::kDeliverUp) ||
                 Do(Action::kDeliverDown);
      if (!agent_wire_) any = Dial(true) || any;
      if (!any && state_.told_all()) return;
    }
    Fail("the two ends do not come to rest");
  }

  void CheckEnd() {
    Ask(true);
    Settle();
    if (hub_revision_ != revision_) Fail("the hub does not know the newest fact");
    for (const auto& [ask, times] : settled_) {
      if (times > 1) Fail("a command was settled twice");
    }
    if (settled_.size() != asked_) Fail("a command was never settled");
    if (answered_ == 0) Fail("no command is answered although all goes well");
  }

  std::vector<std::string> failures;

  // SlotEvents.
  void OnWelcomed(const v1::Hello&) override {}
  bool OnReport(const v1::Report& report) override {
    for (const v1::Fact& fact : report.facts())
      hub_revision_ = std::max(hub_revision_, fact.revision());
    return true;
  }
  void OnLogGrew(const std::string&) override {}
  void OnLeaving(const agent::v1::Leaving&) override {}
  void OnLost(const Status&) override {}

 private:
  void Fail(const std::string& why) {
    if (failures.empty()) failures.push_back(why);
  }

  void Restart() {
    // Every connection breaks; the new process knows nothing but its term.
    for (const WirePtr& wire : wires_) {
      wire->cut = true;
      wire->hub_heard = true;
    }
    if (slot_) slot_->EndAll(Unavailable("restart"));
    hub_revision_ = 0;
    ++term_;
    terms_ = std::make_unique<agent_hub::SlotTerms>();
    terms_->term = term_;
    slot_ = std::make_unique<agent_hub::AgentSlot>(*terms_, *this);
  }

  bool Dial(bool always = false) {
    if (agent_wire_ || (dialled_ >= kMaxStreams && !always)) return false;
    ++dialled_;
    agent_wire_ = std::make_shared<Wire>();
    agent_wire_->hub = static_cast<int>(term_);
    wires_.push_back(agent_wire_);
    v1::AgentMessage hello;
    hello.mutable_hello()->set_highest_term(state_.highest_term());
    agent_wire_->up.push_back(hello);
    return true;
  }

  // The oldest stream with something to deliver: late messages of older ones come too.
  bool DeliverUp() {
    for (const WirePtr& wire : wires_) {
      if (wire->up.empty() || wire->hub_heard) continue;
      const v1::AgentMessage message = wire->up.front();
      wire->up.pop_front();
      // The hub reads nothing of a stream that it has ended.
      if (wire->hub_ended) return true;
      if (!wire->said_hello) {
        wire->said_hello = true;
        slot_->Welcome(wire, message.hello(), now_);
      } else {
        slot_->Take(wire, message, now_);
      }
      CheckOneSpeaks();
      return true;
    }
    return false;
  }

  bool DeliverDown() {
    if (!agent_wire_ || agent_wire_->cut || agent_wire_->down.empty()) return false;
    const v1::HubMessage message = agent_wire_->down.front();
    agent_wire_->down.pop_front();
    if (!TakeAtAgent(message)) Lose();
    Pump();
    return true;
  }

  bool TakeAtAgent(const v1::HubMessage& message) {
    if (message.has_welcome()) {
      if (message.welcome().term() < obeyed_term_) Fail("an older term was welcomed");
      if (!state_.OnWelcome(message.welcome(), now_).ok()) return false;
      obeyed_term_ = message.welcome().term();
      state_.PutAll(revision_ == 0 ? std::vector<v1::Fact>() : std::vector<v1::Fact>{Seen()});
      return true;
    }
    if (message.has_report_taken()) {
      return Must(state_.OnReportTaken(message.report_taken().number()).ok(), "report_taken");
    }
    if (!message.has_command()) return Must(false, "an unknown message");
    const v1::Command& command = message.command();
    const auto obey = state_.OnCommand(command);
    if (!Must(obey.ok(), "a command out of order")) return false;
    if (!*obey) return true;
    if (command.term() != obeyed_term_) Fail("a command of an older term is obeyed");
    const std::string which = std::to_string(dialled_) + "/" + std::to_string(command.number());
    if (!carried_.insert(which).second) Fail("a number is carried out twice");
    v1::AgentMessage answer;
    answer.mutable_answer()->set_number(command.number());
    agent_wire_->up.push_back(answer);
    return true;
  }

  bool Must(bool holds, const std::string& what) {
    if (!holds) Fail("the agent sees a broken protocol: " + what);
    return holds;
  }

  // What the agent may send now is under way at once.
  void Pump() {
    if (!agent_wire_ || agent_wire_->cut) return;
    if (auto report = state_.NextReport()) {
      v1::AgentMessage message;
      *message.mutable_report() = *report;
      agent_wire_->up.push_back(message);
    }
  }

  void Lose() {
    state_.OnLost();
    // The call is over for the hub too, after what is under way.
    agent_wire_->cut = true;
    agent_wire_ = nullptr;
  }

  bool HubHears() {
    for (const WirePtr& wire : wires_) {
      if (wire->hub_heard || !(wire->cut || wire->hub_ended)) continue;
      wire->hub_heard = true;
      slot_->Ended(wire, Unavailable("gone"), now_);
      CheckOneSpeaks();
      return true;
    }
    return false;
  }

  bool Ask(bool always = false) {
    if (asked_ >= kMaxAsked && !always) return false;
    const size_t which = asked_++;
    v1::Command command;
    command.mutable_observe();
    if (always) {
      Settle();
      if (!slot_->connected()) Fail("the agent is not connected although all goes well");
    }
    slot_->Ask(command, [this, which](const Result<v1::Answer>& answer) {
      ++settled_[which];
      if (answer.ok()) ++answered_;
    });
    return true;
  }

  // No stream carries a command while another one that has carried some is not ended.
  void CheckOneSpeaks() {
    int speaking = 0;
    for (const WirePtr& wire : wires_) {
      if (wire->hub != static_cast<int>(term_) || wire->hub_heard || wire->hub_ended) continue;
      for (const auto& message : wire->down) {
        if (message.has_command()) {
          ++speaking;
          break;
        }
      }
    }
    if (speaking > 1) Fail("two streams carry commands");
  }

  v1::Fact Seen() const {
    v1::Fact fact;
    fact.set_container_id("c");
    fact.set_state(v1::Fact::UP);
    fact.set_revision(revision_);
    return fact;
  }

  const SteadyTime now_{std::chrono::hours(1)};
  uint64_t term_ = 0;
  std::unique_ptr<agent_hub::SlotTerms> terms_;
  std::unique_ptr<agent_hub::AgentSlot> slot_;
  uint64_t hub_revision_ = 0;
  size_t asked_ = 0;
  size_t answered_ = 0;
  std::map<size_t, int> settled_;

  ControlState state_{0};
  uint64_t obeyed_term_ = 0;
  uint64_t revision_ = 0;
  int dialled_ = 0;
  std::vector<WirePtr> wires_;
  WirePtr agent_wire_;  // the agent's own stream
  std::set<std::string> carried_;
};

constexpr Action kActions[] = {Action::kDial, Action::kDeliverUp, Action::kDeliverDown,
                               Action::kCut,  Action::kHubHears,  Action::kAgentHears,
                               Action::kAsk,  Action::kSee,       Action::kRestart};

// Every sequence of at most kDepth actions, each replayed from the start and then brought to rest.
class Search {
 public:
  void Explore() {
    {
      World world;
      for (const Action action : path_) {
        if (!world.Do(action)) return;  // the last one cannot happen: no such sequence
      }
      ++sequences;
      if (world.failures.empty()) world.CheckEnd();
      if (!world.failures.empty()) {
        std::string text = world.failures.front() + " after";
        for (const Action action : path_) text += " " + std::to_string(static_cast<int>(action));
        failure = text;
        return;
      }
    }
    if (path_.size() == kDepth) return;
    for (const Action action : kActions) {
      path_.push_back(action);
      Explore();
      path_.pop_back();
      if (!failure.empty()) return;
    }
  }

  size_t sequences = 0;
  std::string failure;

 private:
  std::vector<Action> path_;
};

TEST_CASE("whatever is lost or late, both ends agree in the end and nothing runs twice") {
  Search search;

  search.Explore();

  CHECK(search.failure == "");
  CHECK(search.sequences > 10'000);
}

}  // namespace
}  // namespace interlink::agent
