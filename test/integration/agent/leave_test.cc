// How an agent leaves that nobody has asked to: its folder hangs, its containers end with 0.
#include <catch2/catch.hpp>

#include "agent_lab.h"
#include "base/file.h"
#include "frozen_folder.h"
#include "interlink/agent/v1/agent.pb.h"
#include "running_agent.h"
#include "support/eventually.h"
#include "support/scripted_backend.h"

namespace interlink::test {
namespace {

using State = sdk::Observation::State;

const ContainerId kUnit(std::string(64, 'c'));

struct LeaveLab : AgentLab {
  LeaveLab() {
    REQUIRE(MakeDirectories(pod_folder + "/heartbeat", 0700).ok());
    MutexLock lock(world.mutex);
    world.pods[pod] = {NodeId("node"), State::kUp};
    world.units[kUnit] = {NodeId("node"), pod, State::kUp};
  }
  std::unique_ptr<RunningAgent> Run(Duration lease = {}) {
    AgentTweaks tweaks;
    tweaks.lease = lease;
    tweaks.backend = [this](sdk::Host& host) -> std::unique_ptr<sdk::Backend> {
      return std::make_unique<ScriptedBackend>(world, host);
    };
    return std::make_unique<RunningAgent>(
        *this, nonce, std::chrono::seconds(10), true, channel,
        std::function<RunningAgent::ChannelPtr(RunningAgent::ChannelPtr)>(), tweaks);
  }
  State UnitState() {
    MutexLock lock(world.mutex);
    return world.units[kUnit].state;
  }
  std::string Left() { return ReadFile(pod_folder + "/left").value_or(""); }

  const std::string pod_folder = folder.File("pod-" + nonce);
  const agent::ChannelOptions channel = ChannelOf(pod);
  World world;
};

TEST_CASE("a folder that hangs holds up the proof of a pod's end, not the end") {
  if (!FrozenFolder::Possible()) {
    WARN("not tested: this machine has no loop devices");
    return;
  }
  LeaveLab lab;
  std::unique_ptr<RunningAgent> agent;
  FrozenFolder frozen(lab.pod_folder);
  REQUIRE(MakeDirectories(lab.pod_folder + "/heartbeat", 0700).ok());
  agent = lab.Run();
  REQUIRE(Eventually([&] { return lab.events.complete_reports() > 0; }));
  frozen.Freeze();

  agent->agent().Leave("signal 15");

  CHECK(Eventually([&] { return lab.UnitState() == State::kDown; }));
  CHECK(lab.Left().empty());
  frozen.Thaw();
  REQUIRE(Eventually([&] { return agent->end().has_value(); }));
  CHECK_FALSE(lab.Left().empty());
}

TEST_CASE("a folder that hangs at a welcome does not keep the agent from its lease") {
  if (!FrozenFolder::Possible()) {
    WARN("not tested: this machine has no loop devices");
    return;
  }
  LeaveLab lab;
  std::unique_ptr<RunningAgent> agent;
  FrozenFolder frozen(lab.pod_folder);
  REQUIRE(MakeDirectories(lab.pod_folder + "/heartbeat", 0700).ok());
  lab.StopHub();
  lab.options.lease = std::chrono::seconds(2);
  lab.options.heartbeat = std::chrono::milliseconds(500);
  lab.StartHub();
  agent = lab.Run();
  REQUIRE(Eventually([&] { return lab.events.complete_reports() > 0; }));
  frozen.Freeze();
  // A new term, which has to be stored.
  lab.StopHub();
  lab.StartHub();
  CHECK_FALSE(Eventually([&] { return lab.UnitState() == State::kDown; }, std::chrono::seconds(1)));

  lab.StopHub();

  // A term's time, the lease, and a last beat's time.
  CHECK(Eventually([&] { return lab.UnitState() == State::kDown; }, std::chrono::seconds(60)));
  frozen.Thaw();
  REQUIRE(Eventually([&] { return agent->end().has_value(); }));
}

// A program that saves its work on TERM and exits with 0 has not done it: a Job would be complete.
TEST_CASE("a container that exits with 0 because its job was ended is told with 143") {
  LeaveLab lab;
  const int64_t later = lab.clock.WallNanos() + 3'600'000'000'000;
  int code = 0;
  int64_t finished = later;
  bool asked = false;
  int expected = 143;
  SECTION("0") {}
  SECTION("another code is its own") { code = expected = 9; }
  SECTION("it had ended before it was told") {
    finished = 9;
    expected = 0;
  }
  SECTION("the site has asked for it") {
    asked = true;
    expected = 0;
  }
  {
    MutexLock lock(lab.world.mutex);
    lab.world.units[kUnit].stopped_code = code;
    lab.world.units[kUnit].finished_ns = finished;
  }
  const auto agent = lab.Run();
  REQUIRE(Eventually([&] { return lab.events.complete_reports() > 0; }));

  if (asked) {
    agent::v1::Command command;
    command.mutable_leave();
    lab.Ask(command);
  } else {
    agent->agent().Leave("signal 15");
  }

  REQUIRE(Eventually([&] { return agent->end().has_value(); }));
  const auto told = lab.events.Latest(kUnit);
  CHECK(told.state == State::kDown);
  CHECK(told.exit_code == expected);
  CHECK((told.message.find("told to end") != std::string::npos) == (code == 0 && expected == 143));
  CHECK(lab.Left() == "1 " + lab.nonce + " ended\n");
}

TEST_CASE("an exit that cannot be written is tried again before the last word") {
  LeaveLab lab;
  const std::string exits = lab.pod_folder + "/exits";
  lab.StopHub();
  const auto agent = lab.Run();
  REQUIRE(
      Eventually([&] { return access((lab.pod_folder + "/heartbeat/beat").c_str(), F_OK) == 0; }));
  REQUIRE(rename(exits.c_str(), (exits + ".away").c_str()) == 0);

  agent->agent().Leave("signal 15");

  REQUIRE(Eventually([&] { return lab.UnitState() == State::kDown; }));
  SECTION("until it is") {
    CHECK(lab.Left().empty());
    REQUIRE(rename((exits + ".away").c_str(), exits.c_str()) == 0);
    REQUIRE(Eventually([&] { return !lab.Left().empty(); }));
    CHECK(lab.Left() == "1 " + lab.nonce + " ended\n");
    CHECK(access((exits + "/" + kUnit.str()).c_str(), F_OK) == 0);
  }
  SECTION("or the time is over, and then nothing is proven") {
    REQUIRE(Eventually([&] { return agent->end().has_value(); }));
    CHECK(lab.Left() == "1 " + lab.nonce + " unsure\n");
    CHECK(agent->end()->code() == Code::kDeadlineExceeded);
  }
}

}  // namespace
}  // namespace interlink::test
