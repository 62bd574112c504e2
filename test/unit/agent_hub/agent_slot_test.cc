#include "agent_hub/agent_slot.h"

#include <catch2/catch.hpp>

namespace interlink::agent_hub {
namespace {

using agent::v1::AgentMessage;
using agent::v1::Answer;
using agent::v1::Command;
using agent::v1::Hello;
using agent::v1::HubMessage;
using agent::v1::Report;

struct FakeLine final : ControlLine {
  void Send(const HubMessage& message) override { sent.push_back(message); }
  void End(const Status& why) override {
    if (!end) end = why;
  }
  std::vector<HubMessage> sent;
  std::optional<Status> end;
};

struct FakeEvents final : SlotEvents {
  void OnWelcomed(const Hello& hello) override { welcomed.push_back(hello.nonce()); }
  bool OnReport(const Report& report) override {
    if (takes) reports.push_back(report.number());
    return takes;
  }
  void OnLogGrew(const std::string& id) override { grown.push_back(id); }
  void OnLeaving(const agent::v1::Leaving& last) override { leaving = last.why(); }
  void OnLost(const Status& why) override { lost.push_back(why.message()); }
  std::vector<std::string> welcomed, grown, lost;
  std::vector<uint64_t> reports;
  std::string leaving;
  bool takes = true;
};

class SlotLab {
 public:
  std::shared_ptr<FakeLine> Come(const std::string& nonce = "n") {
    auto line = std::make_shared<FakeLine>();
    Hello hello;
    hello.set_nonce(nonce);
    slot.Welcome(line, hello, now);
    return line;
  }
  void Say(const std::shared_ptr<FakeLine>& line, const AgentMessage& message) {
    slot.Take(line, message, now);
  }
  void Report(const std::shared_ptr<FakeLine>& line, uint64_t number, bool complete) {
    AgentMessage message;
    message.mutable_report()->set_number(number);
    message.mutable_report()->set_complete(complete);
    Say(line, message);
  }
  void Reply(const std::shared_ptr<FakeLine>& line, uint64_t number) {
    AgentMessage message;
    message.mutable_answer()->set_number(number);
    Say(line, message);
  }
  uint64_t Ask() {
    Command command;
    command.mutable_observe();
    return slot.Ask(command, [this](const Result<Answer>& answer) {
      settled.push_back(answer.ok() ? "answer " + std::to_string(answer->number())
                                    : std::string(CodeName(answer.status().code())));
    });
  }

  SlotTerms terms{.term = 7,
                  .site = "site",
                  .heartbeat = std::chrono::seconds(10),
                  .lease = std::chrono::minutes(5),
                  .max_commands = 2};
  FakeEvents events;
  AgentSlot slot{terms, events};
  SteadyTime now{std::chrono::hours(1)};
  std::vector<std::string> settled;
};

TEST_CASE("an agent is welcomed with the term, the heartbeat and the lease") {
  SlotLab lab;

  const auto line = lab.Come();

  REQUIRE(line->sent.size() == 1);
  CHECK(line->sent[0].welcome().protocol() == 1);
  CHECK(line->sent[0].welcome().term() == 7);
  CHECK(line->sent[0].welcome().site() == "site");
  CHECK(line->sent[0].welcome().heartbeat_ms() == 10'000);
  CHECK(line->sent[0].welcome().lease_ms() == 300'000);
  CHECK(lab.events.welcomed == std::vector<std::string>{"n"});
  CHECK(lab.slot.connected());
}

TEST_CASE("commands are numbered from 1 and carry the term") {
  SlotLab lab;
  const auto line = lab.Come();

  CHECK(lab.Ask() == 1);
  CHECK(lab.Ask() == 2);

  REQUIRE(line->sent.size() == 3);
  CHECK(line->sent[1].command().number() == 1);
  CHECK(line->sent[2].command().number() == 2);
  CHECK(line->sent[2].command().term() == 7);
  CHECK(lab.settled.empty());
}

TEST_CASE("answers settle in any order, once, and unknown ones are dropped") {
  SlotLab lab;
  const auto line = lab.Come();
  lab.Ask();
  lab.Ask();

  lab.Reply(line, 2);
  lab.Reply(line, 2);
  lab.Reply(line, 99);
  lab.Reply(line, 1);

  CHECK(lab.settled == std::vector<std::string>{"answer 2", "answer 1"});
}

TEST_CASE("an agent that owes too many answers is asked nothing more") {
  SlotLab lab;
  const auto line = lab.Come();
  lab.Ask();
  const uint64_t second = lab.Ask();

  CHECK(lab.Ask() == 0);
  CHECK(lab.settled == std::vector<std::string>{"RESOURCE_EXHAUSTED"});
  lab.slot.Forget(second);
  CHECK(lab.Ask() == 3);
}

TEST_CASE("what was asked on a stream that is lost has an unknown outcome") {
  SlotLab lab;
  const auto line = lab.Come();
  lab.Ask();

  lab.slot.Ended(line, Unavailable("gone"), lab.now);

  CHECK(lab.settled == std::vector<std::string>{"UNAVAILABLE"});
  CHECK(lab.events.lost == std::vector<std::string>{"gone"});
  CHECK(lab.Ask() == 0);
  CHECK(lab.settled.size() == 2);
  lab.slot.Ended(line, Unavailable("gone"), lab.now);
  CHECK(lab.events.lost.size() == 1);
}

TEST_CASE("a new control stream ends the old one first") {
  SlotLab lab;
  const auto old = lab.Come();
  lab.Ask();

  const auto fresh = lab.Come();

  REQUIRE(old->end);
  CHECK(old->end->code() == Code::kAborted);
  CHECK(fresh->sent.empty());
  CHECK(lab.Ask() == 0);  // neither the old one nor, yet, the new one
  CHECK(fresh->sent.empty());

  lab.slot.Ended(old, Unavailable("gone"), lab.now);

  CHECK(lab.settled == std::vector<std::string>{"UNAVAILABLE", "UNAVAILABLE"});
  REQUIRE(fresh->sent.size() == 1);
  CHECK(fresh->sent[0].has_welcome());
  CHECK(lab.Ask() == 1);
}

TEST_CASE("a third stream takes the place of the one that waits") {
  SlotLab lab;
  const auto first = lab.Come("a");
  const auto second = lab.Come("b");
  const auto third = lab.Come("c");

  CHECK(second->end);
  lab.slot.Ended(second, Unavailable("gone"), lab.now);
  CHECK(third->sent.empty());
  lab.slot.Ended(first, Unavailable("gone"), lab.now);

  CHECK(second->sent.empty());
  CHECK(third->sent.size() == 1);
  CHECK(lab.events.welcomed == std::vector<std::string>{"a", "c"});
}

TEST_CASE("one that waits and goes away leaves the current one in place until it ends") {
  SlotLab lab;
  const auto first = lab.Come();
  const auto second = lab.Come();

  lab.slot.Ended(second, Unavailable("gone"), lab.now);
  CHECK_FALSE(lab.slot.idle());
  lab.slot.Ended(first, Unavailable("gone"), lab.now);

  CHECK(lab.slot.idle());
}

TEST_CASE("an agent that speaks before its welcome is not let in") {
  SlotLab lab;
  const auto first = lab.Come();
  const auto second = lab.Come();

  lab.Report(second, 1, true);

  REQUIRE(second->end);
  CHECK(second->end->code() == Code::kInvalidArgument);
  lab.slot.Ended(first, Unavailable("gone"), lab.now);
  CHECK(second->sent.empty());
}

TEST_CASE("late messages of an old stream are dropped") {
  SlotLab lab;
  const auto old = lab.Come();
  lab.slot.Ended(old, Unavailable("gone"), lab.now);
  const auto fresh = lab.Come();
  lab.Ask();

  lab.Report(old, 1, true);
  lab.Reply(old, 1);

  CHECK(lab.events.reports.empty());
  CHECK(lab.settled.empty());
}

TEST_CASE("reports are taken in order, the first one complete") {
  SlotLab lab;
  const auto line = lab.Come();

  SECTION("in order") {
    lab.Report(line, 1, true);
    lab.Report(line, 2, false);
    CHECK(lab.events.reports == std::vector<uint64_t>{1, 2});
    CHECK(line->sent.back().report_taken().number() == 2);
    CHECK_FALSE(line->end);
  }
  SECTION("the first one is not complete") {
    lab.Report(line, 1, false);
    CHECK(lab.events.reports.empty());
    CHECK(line->end);
  }
  SECTION("one is missing, or comes twice") {
    lab.Report(line, 1, true);
    lab.Report(line, GENERATE(1, 3), true);
    CHECK(lab.events.reports == std::vector<uint64_t>{1});
    CHECK(line->end);
  }
  SECTION("the site cannot take it: it is not acknowledged") {
    lab.events.takes = false;
    lab.Report(line, 1, true);
    REQUIRE(line->end);
    CHECK(line->end->code() == Code::kUnavailable);
    CHECK(line->sent.size() == 1);
  }
}

TEST_CASE("each heartbeat is answered, and three missed ones end the stream") {
  SlotLab lab;
  const auto line = lab.Come();
  AgentMessage beat;
  beat.mutable_heartbeat()->set_number(1);

  lab.now += std::chrono::seconds(25);
  lab.Say(line, beat);
  CHECK(line->sent.back().heartbeat_taken().number() == 1);
  lab.now += std::chrono::seconds(30);
  lab.slot.Tick(lab.now);
  CHECK_FALSE(line->end);
  lab.now += std::chrono::milliseconds(1);
  lab.slot.Tick(lab.now);

  REQUIRE(line->end);
  CHECK(line->end->code() == Code::kDeadlineExceeded);
}

TEST_CASE("an agent that leaves is let go") {
  SlotLab lab;
  const auto line = lab.Come();
  AgentMessage message;
  message.mutable_leaving()->set_why("time limit");

  lab.Say(line, message);

  CHECK(lab.events.leaving == "time limit");
  REQUIRE(line->end);
  CHECK(line->end->ok());
}

TEST_CASE("a second hello is not of the protocol") {
  SlotLab lab;
  const auto line = lab.Come();
  AgentMessage message;
  message.mutable_hello()->set_nonce("other");

  lab.Say(line, message);

  REQUIRE(line->end);
  CHECK(line->end->code() == Code::kInvalidArgument);
}

TEST_CASE("ending all settles what waits at once") {
  SlotLab lab;
  const auto first = lab.Come();
  lab.Ask();
  const auto second = lab.Come();

  lab.slot.EndAll(NotFound("removed"));

  CHECK(first->end);
  CHECK(second->end);
  CHECK(lab.settled == std::vector<std::string>{"UNAVAILABLE"});
  CHECK(lab.slot.idle());
  CHECK(second->sent.empty());
}

}  // namespace
}  // namespace interlink::agent_hub
