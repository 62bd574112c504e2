#include "agent/control_state.h"

#include <catch2/catch.hpp>

namespace interlink::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const SteadyTime kStart{std::chrono::hours(1)};

v1::Welcome WelcomeOf(uint64_t term, uint32_t lease_ms = 0) {
  v1::Welcome welcome;
  welcome.set_protocol(1);
  welcome.set_term(term);
  welcome.set_heartbeat_ms(10'000);
  welcome.set_lease_ms(lease_ms);
  return welcome;
}

v1::Command CommandOf(uint64_t term, uint64_t number) {
  v1::Command command;
  command.set_term(term);
  command.set_number(number);
  return command;
}

v1::Fact FactOf(const std::string& id, v1::Fact::State state, uint64_t revision = 1) {
  v1::Fact fact;
  fact.set_container_id(id);
  fact.set_state(state);
  fact.set_revision(revision);
  return fact;
}

TEST_CASE("only the highest term is obeyed") {
  ControlState state(5);

  CHECK(state.OnWelcome(WelcomeOf(4), kStart).code() == Code::kFailedPrecondition);
  CHECK_FALSE(state.online());
  REQUIRE(state.OnWelcome(WelcomeOf(5), kStart).ok());
  CHECK(state.OnCommand(CommandOf(5, 1)).value_or(false));
  state.OnLost();
  REQUIRE(state.OnWelcome(WelcomeOf(6), kStart).ok());

  CHECK(state.highest_term() == 6);
  CHECK_FALSE(state.OnCommand(CommandOf(5, 1)).value_or(true));
  CHECK(state.OnCommand(CommandOf(6, 1)).value_or(false));
  CHECK_FALSE(state.Obeys(5));
}

TEST_CASE("a hub of another protocol, or without heartbeats, is left by name") {
  ControlState state(0);
  v1::Welcome welcome = WelcomeOf(1);
  SECTION("protocol") { welcome.set_protocol(2); }
  SECTION("heartbeat") { welcome.set_heartbeat_ms(0); }
  SECTION("term") { welcome.set_term(0); }

  const Status status = state.OnWelcome(welcome, kStart);

  CHECK(status.code() == Code::kFailedPrecondition);
  CHECK_FALSE(state.online());
}

TEST_CASE("each number is taken once and in order") {
  ControlState state(0);
  CHECK_FALSE(state.OnCommand(CommandOf(1, 1)).ok());
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());
  REQUIRE(state.OnCommand(CommandOf(1, 1)).value_or(false));

  const uint64_t number = GENERATE(0, 1, 3);
  CHECK(state.OnCommand(CommandOf(1, number)).status().code() == Code::kFailedPrecondition);
}

TEST_CASE("a new stream numbers from 1 again") {
  ControlState state(0);
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());
  REQUIRE(state.OnCommand(CommandOf(1, 1)).ok());
  state.OnLost();
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());

  CHECK(state.OnCommand(CommandOf(1, 1)).value_or(false));
}

TEST_CASE("the first report tells everything, the next ones what is new") {
  ControlState state(0);
  state.Put({FactOf("a", v1::Fact::UP)});
  CHECK_FALSE(state.NextReport());
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());
  CHECK_FALSE(state.NextReport());
  state.PutAll({FactOf("a", v1::Fact::UP), FactOf("b", v1::Fact::UP)});

  const auto first = state.NextReport();
  REQUIRE(first);
  CHECK(first->number() == 1);
  CHECK(first->complete());
  CHECK(first->facts_size() == 2);
  state.Put({FactOf("b", v1::Fact::DOWN)});
  CHECK_FALSE(state.NextReport());  // the first one is not taken yet
  CHECK_FALSE(state.told_all());
  REQUIRE(state.OnReportTaken(1).ok());
  const auto second = state.NextReport();

  REQUIRE(second);
  CHECK(second->number() == 2);
  CHECK_FALSE(second->complete());
  REQUIRE(second->facts_size() == 1);
  CHECK(second->facts(0).state() == v1::Fact::DOWN);
  REQUIRE(state.OnReportTaken(2).ok());
  CHECK(state.told_all());
  CHECK_FALSE(state.NextReport());
}

TEST_CASE("facts only move forward") {
  ControlState state(0);
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());
  state.PutAll({FactOf("a", v1::Fact::DOWN, 3)});
  REQUIRE(state.NextReport());
  REQUIRE(state.OnReportTaken(1).ok());

  state.Put({FactOf("a", v1::Fact::UP, 9), FactOf("a", v1::Fact::DOWN, 3)});
  CHECK_FALSE(state.NextReport());
  state.Put({FactOf("a", v1::Fact::DOWN, 4)});
  CHECK(state.NextReport());
}

TEST_CASE("what was seen after the look is not lost by it") {
  ControlState state(0);
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());
  state.Put({FactOf("a", v1::Fact::DOWN, 5), FactOf("new", v1::Fact::UP)});
  state.PutAll({FactOf("a", v1::Fact::UP, 4)});

  const auto report = state.NextReport();

  REQUIRE(report);
  REQUIRE(report->facts_size() == 2);
  CHECK(report->facts(0).state() == v1::Fact::DOWN);
  CHECK(report->facts(1).container_id() == "new");
}

TEST_CASE("what was removed is not told for ever") {
  ControlState state(0);
  state.Put({FactOf("gone", v1::Fact::DOWN)});
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());

  state.PutAll({});

  const auto report = state.NextReport();
  REQUIRE(report);
  CHECK(report->complete());
  CHECK(report->facts_size() == 0);
}

TEST_CASE("a report that was not taken is told again on the next stream") {
  ControlState state(0);
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());
  state.PutAll({FactOf("a", v1::Fact::UP)});
  REQUIRE(state.NextReport());
  state.OnLost();
  CHECK_FALSE(state.NextReport());
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());
  CHECK(state.wants_all());
  state.PutAll({FactOf("a", v1::Fact::UP)});

  const auto again = state.NextReport();

  REQUIRE(again);
  CHECK(again->number() == 1);
  CHECK(again->complete());
  CHECK(state.OnReportTaken(2).code() == Code::kFailedPrecondition);
}

TEST_CASE("a report that would be too large leaves out what can be missed") {
  ControlState state(0);
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());
  std::vector<v1::Fact> facts;
  for (const char* id : {"a", "b"}) {
    facts.push_back(FactOf(id, v1::Fact::UP));
    facts.back().set_config(std::string(7U << 20U, 'x'));
  }
  state.PutAll(facts);

  const auto report = state.NextReport();

  REQUIRE(report);
  CHECK(report->facts_size() == 2);
  CHECK(report->facts(0).config().empty());
  CHECK(report->ByteSizeLong() < (1U << 20U));
}

TEST_CASE("heartbeats are due by the interval, and silence is three of them") {
  ControlState state(0);
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());

  CHECK_FALSE(state.NextHeartbeat(kStart + milliseconds(9'999)));
  const auto beat = state.NextHeartbeat(kStart + seconds(10));
  REQUIRE(beat);
  CHECK(beat->number() == 1);
  CHECK_FALSE(state.NextHeartbeat(kStart + seconds(10)));
  CHECK_FALSE(state.Silent(kStart + seconds(40)));
  CHECK(state.Silent(kStart + milliseconds(40'001)));
  CHECK(state.OnHeartbeatTaken(2).code() == Code::kFailedPrecondition);
  REQUIRE(state.OnHeartbeatTaken(1).ok());
  CHECK_FALSE(state.Silent(kStart + milliseconds(40'001)));
}

TEST_CASE("the lease counts from sending the last answered heartbeat") {
  ControlState state(0);
  CHECK_FALSE(state.LeaseOver(SteadyTime::max()));
  REQUIRE(state.OnWelcome(WelcomeOf(1, 60'000), kStart).ok());
  CHECK_FALSE(state.LeaseOver(kStart + seconds(60)));
  CHECK(state.LeaseOver(kStart + milliseconds(60'001)));
  REQUIRE(state.NextHeartbeat(kStart + seconds(10)));
  REQUIRE(state.NextHeartbeat(kStart + seconds(20)));

  REQUIRE(state.OnHeartbeatTaken(1).ok());
  state.OnLost();

  CHECK_FALSE(state.LeaseOver(kStart + seconds(70)));
  CHECK(state.LeaseOver(kStart + milliseconds(70'001)));
  state.Renew(kStart + seconds(50));
  state.Renew(kStart + seconds(5));  // an older proof takes nothing away
  CHECK_FALSE(state.LeaseOver(kStart + seconds(110)));
}

TEST_CASE("before its first welcome an agent has the lease of its start") {
  ControlState state(0, seconds(60), kStart);
  CHECK_FALSE(state.LeaseOver(kStart + seconds(60)));
  CHECK(state.LeaseOver(kStart + milliseconds(60'001)));
  state.Renew(kStart + seconds(30));
  CHECK_FALSE(state.LeaseOver(kStart + seconds(90)));

  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart + seconds(40)).ok());

  CHECK_FALSE(state.LeaseOver(kStart + std::chrono::hours(24)));  // the hub gives none
}

TEST_CASE("without a lease an agent waits for ever") {
  ControlState state(0);
  REQUIRE(state.OnWelcome(WelcomeOf(1), kStart).ok());
  state.OnLost();

  CHECK_FALSE(state.LeaseOver(kStart + std::chrono::hours(24 * 365)));
}

}  // namespace
}  // namespace interlink::agent
