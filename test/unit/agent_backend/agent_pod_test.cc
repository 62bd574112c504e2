// The state of one pod: pure.
#include "agent_backend/agent_pod.h"

#include <catch2/catch.hpp>

#include "runtime/v1/api.pb.h"

namespace interlink::agent_backend {
namespace {

using State = sdk::Observation::State;

const SandboxId kPod(std::string(64, 'a'));
const ContainerId kUnit(std::string(64, 'b'));

AgentPod Up() {
  const runtime::v1::PodSandboxConfig config;
  AgentPod pod = AgentPod::Of(sdk::SandboxSpec{kPod, NodeId("n"), "slurm", config});
  sdk::Observation up;
  up.sandbox = kPod;
  up.state = State::kUp;
  pod.TakeReport({up}, true, 1);
  return pod;
}

void AddUnit(AgentPod& pod, bool started) {
  const runtime::v1::PodSandboxConfig sandbox;
  const runtime::v1::ContainerConfig config;
  pod.Add(sdk::ContainerSpec{kUnit, kPod, NodeId("n"), "sha256:i", config, sandbox})
      .set_started(started);
}

sdk::Observation Of(State state, int code = 0) {
  sdk::Observation seen;
  seen.sandbox = kPod;
  seen.container = kUnit;
  seen.state = state;
  seen.exit_code = code;
  return seen;
}

sdk::AllocationFact End() {
  sdk::AllocationFact end;
  end.sandbox = kPod;
  end.state = sdk::AllocationFact::State::kEnded;
  return end;
}

TEST_CASE("a pod that starts in its allocation says how far it is, and is not queued") {
  const auto [message, words] = GENERATE(table<std::string, std::string>({
      {"job 29 runs on n1", "job 29 runs on n1, "},
      {"", "in allocation 29, "},
  }));
  const runtime::v1::PodSandboxConfig config;
  AgentPod pod = AgentPod::Of(sdk::SandboxSpec{kPod, NodeId("n"), "slurm", config});
  sdk::AllocationFact fact;
  fact.sandbox = kPod;
  fact.message = "queued as job 29";
  pod.TakeAllocation(fact);
  CHECK_FALSE(pod.SandboxFact().granted);
  CHECK(pod.SandboxFact().message == "queued as job 29");

  fact.state = sdk::AllocationFact::State::kGranted;
  fact.allocation = "29";
  fact.message = message;
  pod.TakeAllocation(fact);
  CHECK(pod.SandboxFact().granted);
  CHECK(pod.SandboxFact().message == words + "its agent has not called yet");
  pod.SetAgentWords("its agent has called");
  CHECK(pod.SandboxFact().message == words + "its agent has called");

  sdk::Observation up;
  up.sandbox = kPod;
  up.state = State::kUp;
  pod.TakeReport({up}, true, 1);
  CHECK_FALSE(pod.SandboxFact().granted);
  CHECK(pod.SandboxFact().message.empty());
}

TEST_CASE("a started container of a pod that is shown at once says what its pod waits for") {
  const runtime::v1::PodSandboxConfig config;
  AgentPod pod = AgentPod::Of(sdk::SandboxSpec{kPod, NodeId("n"), "slurm", config});
  pod.ShowAtStart();
  AddUnit(pod, true);
  pod.Keep(kUnit);
  sdk::AllocationFact fact;
  fact.sandbox = kPod;
  fact.message = "queued as job 29";
  pod.TakeAllocation(fact);
  CHECK(pod.FactOf(*pod.Find(kUnit)).message == "queued: as job 29");

  fact.state = sdk::AllocationFact::State::kGranted;
  fact.message = "job 29 runs on n1";
  pod.TakeAllocation(fact);
  CHECK(pod.FactOf(*pod.Find(kUnit)).message ==
        "starting: job 29 runs on n1, its agent has not called yet");
}

TEST_CASE("facts of a container only move forward, and an exit never changes") {
  AgentPod pod = Up();
  AddUnit(pod, true);

  CHECK(pod.TakeReport({Of(State::kUp)}, false, 2).size() == 1);
  CHECK(pod.TakeReport({Of(State::kCreated)}, false, 3).empty());
  CHECK(pod.TakeReport({Of(State::kDown, 3)}, false, 4).size() == 1);
  CHECK(pod.TakeReport({Of(State::kDown, 0)}, true, 5).empty());
  const auto all = pod.TakeEnd(End(), {{kUnit, Of(State::kDown, 7)}}, 6);

  REQUIRE(all.size() == 2);
  CHECK(all[0].exit_code == 3);
  CHECK(all[1].state == State::kDown);
  CHECK(pod.TakeReport({Of(State::kUp)}, true, 7).empty());
  CHECK(pod.TakeEnd(End(), {}, 8).empty());
}

TEST_CASE("an unknown exit is what the scheduler says, never 0") {
  struct Case {
    int code;
    bool out_of_memory;
    int exit_code;
    std::string reason;
  };
  const auto wanted = GENERATE(values<Case>(
      {{0, false, 255, "Error"}, {143, false, 143, "Error"}, {0, true, 137, "OOMKilled"}}));
  AgentPod pod = Up();
  AddUnit(pod, true);
  sdk::AllocationFact end = End();
  end.exit_code = wanted.code;
  end.out_of_memory = wanted.out_of_memory;

  const auto all = pod.TakeEnd(end, {}, 9);

  CHECK(all[0].exit_code == wanted.exit_code);
  CHECK(all[0].reason == wanted.reason);
  CHECK(all[0].finished_ns == 9);
}

TEST_CASE("a recorded KILL is an OOM kill where the scheduler saw one") {
  AgentPod pod = Up();
  AddUnit(pod, true);
  sdk::AllocationFact end = End();
  end.out_of_memory = true;
  const int code = GENERATE(137, 1);

  const auto all = pod.TakeEnd(end, {{kUnit, Of(State::kDown, code)}}, 9);

  CHECK((all[0].reason == "OOMKilled") == (code == 137));
}

TEST_CASE("a container that was never started is not said to have run") {
  AgentPod pod = Up();
  AddUnit(pod, false);
  pod.TakeReport({Of(State::kCreated)}, false, 2);

  const auto all = pod.TakeEnd(End(), {}, 9);

  CHECK(all[0].state == State::kDown);
  CHECK(all[0].exit_code == 137);
  CHECK(all[0].started_ns == 0);
}

TEST_CASE("a container that is being created is not lost because a report does not have it yet") {
  AgentPod pod = Up();
  AddUnit(pod, false);

  CHECK(pod.TakeReport({}, true, 2).empty());
}

TEST_CASE("a container that was asked to start is lost where its agent has nothing of it") {
  AgentPod pod = Up();
  AddUnit(pod, true);

  const auto news = pod.TakeReport({}, true, 2);

  REQUIRE(news.size() == 1);
  CHECK(news[0].state == State::kDown);
  CHECK(news[0].exit_code == 255);
}

TEST_CASE("a container cannot fail: that word is no exit 0") {
  AgentPod pod = Up();
  AddUnit(pod, true);

  CHECK(pod.TakeReport({Of(State::kFailed)}, false, 2).empty());
}

TEST_CASE("a lost container's log ends where the saved one does, a told end stays as it was") {
  AgentPod pod = Up();
  AddUnit(pod, true);
  const bool told = GENERATE(false, true);
  sdk::Observation down = Of(State::kDown, 3);
  down.log_end = 9;
  if (told) pod.TakeReport({down}, false, 2);

  CHECK(pod.WithoutEnd().size() == (told ? 0U : 1U));
  const auto all = pod.TakeEnd(End(), {}, 9, {{kUnit, 42}});

  CHECK(all[0].log_end == (told ? 9U : 42U));
}

TEST_CASE("wanted only rises") {
  AgentPod pod = Up();
  CHECK(pod.Want(interlink::v1::WANTED_REMOVE));
  CHECK_FALSE(pod.Want(interlink::v1::WANTED_STOP));
  CHECK_FALSE(pod.wants_run());
}

}  // namespace
}  // namespace interlink::agent_backend
