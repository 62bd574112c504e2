// What kubelet has changed in volumes, for an agent that is here, away, or yet to come.
#include <future>

#include "agent_backend_lab.h"

namespace interlink::test {
namespace {

sdk::MountContents Contents(const std::string& bytes, const std::string& path = "/k/token") {
  auto content = std::make_shared<interlink::v1::MountContent>();
  content->mutable_snapshot()->add_entries()->set_file(bytes);
  return {{path, content}};
}

struct UpdateLab : AgentBackendLab {
  Status Update(const std::string& bytes) {
    return backend->UpdateContents(call(), pod, unit, Contents(bytes));
  }
  Status CreateWith(const std::string& bytes) {
    return backend->CreateContainer(
        call(), {unit, pod, node, "sha256:i", unit_config, config, {}, Contents(bytes)});
  }
  void Queue() {
    REQUIRE(backend->RunSandbox(call(), {pod, node, "later", config}).ok());
    REQUIRE(CreateWith("old").ok());
    REQUIRE(backend->StartContainer(call(), pod, unit).ok());
    REQUIRE(Is(State::kUp, unit));
  }
  bool Asked(const std::string& what) {
    return Eventually([&] { return outside.Count(what) > 0; });
  }
  void ComeUp() {
    Come();
    REQUIRE(Asked("agent RunSandbox"));
    Say(Seen(State::kUp));
  }
};

TEST_CASE("an agent that is here is told of a change") {
  UpdateLab lab;
  lab.MakeRunning();

  CHECK(lab.Update("new").ok());

  CHECK(lab.outside.Count("update /k/token new") == 1);
}

TEST_CASE("while the agent is away a change is to be brought again") {
  UpdateLab lab;
  lab.MakeRunning();
  lab.directory.WentAway(lab.pod, Unavailable("gone"));

  CHECK(Eventually([&] { return lab.Update("new").code() == Code::kUnavailable; }));
}

TEST_CASE("a change of what has ended, or is not there, says so") {
  UpdateLab lab;
  lab.MakeRunning();
  CHECK(
      lab.backend
          ->UpdateContents(lab.call(), lab.pod, ContainerId(std::string(64, 'd')), Contents("new"))
          .code() == Code::kNotFound);
  auto down = lab.Seen(State::kDown, lab.unit);
  lab.Say(down);
  REQUIRE(lab.Is(State::kDown, lab.unit));

  CHECK(lab.Update("new").code() == Code::kFailedPrecondition);
  CHECK(lab.outside.Count("agent UpdateContents") == 0);
}

TEST_CASE("at-start: a queued container is carried with what was changed, after a crash too") {
  UpdateLab lab;
  lab.Queue();
  CHECK(lab.Update("newer").ok());
  CHECK(lab.Update("newest").ok());
  CHECK(lab.outside.Count("agent UpdateContents") == 0);

  lab.Restart({lab.Fact(AllocationFact::State::kPending)});
  lab.ComeUp();

  REQUIRE(lab.Asked("agent CreateContainer"));
  CHECK(lab.Asked("update /k/token newest"));
  CHECK(lab.outside.Count("update /k/token old") == 0);
  CHECK(lab.outside.Count("update /k/token newer") == 0);
}

// The agent has made it by a try whose answer was lost; then it changed.
TEST_CASE("at-start: a change between two tries of the same creation is not lost") {
  UpdateLab lab;
  lab.Queue();
  lab.outside.Fail("agent CreateContainer", Unavailable("the answer was lost"));
  lab.ComeUp();
  REQUIRE(lab.Asked("agent CreateContainer"));
  REQUIRE(Eventually([&] { return lab.Update("new").ok(); }));

  lab.outside.Fail("agent CreateContainer", {});

  CHECK(lab.Asked("update /k/token new"));
  CHECK(lab.outside.Count("update /k/token old") == 0);
}

// The agent tells of the container before it has answered its creation.
TEST_CASE("at-start: a change while a container is carried does not overtake what is carried") {
  UpdateLab lab;
  lab.Queue();
  std::promise<Code> during;
  lab.outside.Meanwhile("agent CreateContainer", [&, first = true]() mutable {
    if (!std::exchange(first, false)) return;
    const bool told =
        lab.directory.Reported(lab.pod, {lab.Seen(State::kCreated, lab.unit)}, false).ok();
    during.set_value(told ? lab.Update("new").code() : Code::kUnknown);
  });

  lab.ComeUp();

  CHECK(during.get_future().get() == Code::kUnavailable);
  REQUIRE(lab.Asked("update /k/token old"));
  REQUIRE(Eventually([&] { return lab.Update("new").ok(); }));
  CHECK(lab.outside.Count("update /k/token new") == 1);
}

TEST_CASE("at-start: an agent of a build before this gets its container all the same") {
  UpdateLab lab;
  lab.Queue();
  lab.outside.Fail("agent UpdateContents", Unimplemented("this agent does not know the command"));

  lab.ComeUp();
  REQUIRE(lab.Asked("agent CreateContainer"));
  lab.Say(lab.Seen(State::kCreated, lab.unit));

  CHECK(lab.Asked("agent StartContainer"));
}

}  // namespace
}  // namespace interlink::test
