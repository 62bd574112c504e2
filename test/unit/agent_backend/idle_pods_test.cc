// Allocations in which nothing runs: given back after a time, and not asked for again at once.
#include "agent_backend_lab.h"

namespace interlink::test {
namespace {

using std::chrono::milliseconds;

bool GivenBack(AgentBackendLab& lab) {
  return Eventually([&] { return lab.outside.Count("Release") >= 1; });
}

// The same pod, as kubelet asks for it again.
sdk::SandboxSpec NextTry(const AgentBackendLab& lab, runtime::v1::PodSandboxConfig& config) {
  config = lab.config;
  config.mutable_metadata()->set_attempt(1);
  return {SandboxId(std::string(64, 'e')), lab.node, "slurm", config};
}

TEST_CASE("an allocation in which no container ran for its time is given back, and says so") {
  AgentBackendLab lab(milliseconds(30));
  lab.MakeUp();

  REQUIRE(GivenBack(lab));
  CHECK(lab.outside.Count("agent StopSandbox") == 1);
  CHECK(lab.outside.Count("agent Leave") == 1);
  CHECK(lab.host.Latest(lab.pod).state == State::kUp);
  lab.TellEnd("job 4711 was cancelled");

  REQUIRE(lab.Is(State::kDown));
  CHECK(lab.host.Latest(lab.pod).message ==
        "given back: no container had run in it for 0 s; job 4711 was cancelled");
}

TEST_CASE("a container that was created and never started is no use of an allocation") {
  AgentBackendLab lab(milliseconds(30));
  lab.MakeUp();
  REQUIRE(lab.Create().ok());
  lab.Say(lab.Seen(State::kCreated, lab.unit));

  REQUIRE(GivenBack(lab));
  lab.TellEnd();

  REQUIRE(lab.Is(State::kDown, lab.unit));
  CHECK(lab.host.Latest(lab.pod, lab.unit).exit_code != 0);
}

// The time also runs until the container is up, so it is longer than that takes on a busy machine.
TEST_CASE("while a container runs, or its agent is away, an allocation is kept") {
  AgentBackendLab lab(milliseconds(4000));
  SECTION("it runs") { lab.MakeRunning(); }
  SECTION("away") {
    lab.MakeUp();
    lab.directory.WentAway(lab.pod, Unavailable("lost"));
  }

  CHECK_FALSE(Eventually([&] { return lab.outside.Count("Release") > 0; }, milliseconds(6000)));
}

TEST_CASE("the time begins when the last container has ended") {
  AgentBackendLab lab(milliseconds(4000));
  lab.MakeRunning();
  REQUIRE_FALSE(Eventually([&] { return lab.outside.Count("Release") > 0; }, milliseconds(6000)));

  lab.Say(lab.Seen(State::kDown, lab.unit));

  CHECK(GivenBack(lab));
}

TEST_CASE("what was given back stays so after a restart") {
  AgentBackendLab lab(milliseconds(30));
  lab.MakeUp();
  REQUIRE(GivenBack(lab));

  lab.Restart({lab.Fact(AllocationFact::State::kGranted)});
  const int before = lab.outside.Count("agent Leave");
  lab.Come({lab.Seen(State::kUp)});

  CHECK(Eventually([&] { return lab.outside.Count("agent Leave") > before; }));
}

TEST_CASE("a pod that used its allocation for nothing waits before it gets another one") {
  AgentBackendLab lab(milliseconds(5000));
  lab.MakeUp();
  REQUIRE(GivenBack(lab));
  lab.TellEnd();
  REQUIRE(lab.Is(State::kDown));
  runtime::v1::PodSandboxConfig config;
  const sdk::SandboxSpec next = NextTry(lab, config);

  REQUIRE(lab.backend->RunSandbox(lab.call(), next).ok());

  const auto waits = lab.host.Latest(next.id);
  CHECK(waits.state == State::kPending);
  CHECK(waits.reason == "IdleBackOff");
  CHECK(waits.message.find("asks for no allocation for ") == 0);
  CHECK(waits.expected_start_ns > 0);
  CHECK(lab.outside.Count("Submit") == 1);
  REQUIRE(lab.backend->RunSandbox(lab.call(), next).ok());
  CHECK(lab.outside.Count("Submit") == 1);
  CHECK(lab.backend->Observe(lab.call())->size() == 2);
  CHECK(Eventually([&] { return lab.outside.Count("Submit") == 2; }));
}

TEST_CASE("a pod that is given up while it waits for that asks for nothing") {
  AgentBackendLab lab(milliseconds(5000));
  lab.MakeUp();
  REQUIRE(GivenBack(lab));
  lab.TellEnd();
  runtime::v1::PodSandboxConfig config;
  const sdk::SandboxSpec next = NextTry(lab, config);
  REQUIRE(lab.backend->RunSandbox(lab.call(), next).ok());

  REQUIRE(lab.backend->StopSandbox(lab.call(), lab.node, next.id).ok());

  CHECK_FALSE(Eventually([&] { return lab.outside.Count("Submit") > 1; }, milliseconds(7000)));
}

TEST_CASE("other pods, and one whose containers ran, need not wait") {
  AgentBackendLab lab(milliseconds(60));
  runtime::v1::PodSandboxConfig config;
  SECTION("another pod") {
    lab.MakeUp();
    REQUIRE(GivenBack(lab));
    sdk::SandboxSpec next = NextTry(lab, config);
    config.mutable_metadata()->set_uid("other");
    REQUIRE(lab.backend->RunSandbox(lab.call(), next).ok());
  }
  SECTION("its containers ran") {
    lab.MakeRunning();
    lab.Say(lab.Seen(State::kDown, lab.unit));
    REQUIRE(GivenBack(lab));
    REQUIRE(lab.backend->RunSandbox(lab.call(), NextTry(lab, config)).ok());
  }
  CHECK(lab.outside.Count("Submit") == 2);
}

TEST_CASE("each try that came to nothing doubles the wait") {
  AgentBackendLab lab(milliseconds(40));
  lab.MakeUp();
  REQUIRE(GivenBack(lab));
  lab.TellEnd();
  REQUIRE(lab.Is(State::kDown));
  runtime::v1::PodSandboxConfig config;
  const sdk::SandboxSpec next = NextTry(lab, config);
  REQUIRE(lab.backend->RunSandbox(lab.call(), next).ok());
  REQUIRE(Eventually([&] { return lab.outside.Count("Submit") == 2; }));
  REQUIRE(lab.directory.MayCome(next.id, {}).ok());
  lab.directory.CameIn(next.id, {});
  sdk::Observation up;
  up.sandbox = next.id;
  up.state = State::kUp;
  const int before = lab.outside.Count("agent Leave");
  REQUIRE(lab.directory.Reported(next.id, {up}, true).ok());
  REQUIRE(Eventually([&] { return lab.outside.Count("agent Leave") > before; }));
  config.mutable_metadata()->set_attempt(2);
  const SandboxId third(std::string(64, 'f'));

  REQUIRE(lab.backend->RunSandbox(lab.call(), {third, lab.node, "slurm", config}).ok());

  CHECK(lab.host.Latest(third).message.find("the 2 before had no running container") !=
        std::string::npos);
}

}  // namespace
}  // namespace interlink::test
