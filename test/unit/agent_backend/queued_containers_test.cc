// Queue: at-start. Pods that are shown as running while they wait in a queue.
#include <algorithm>
#include <filesystem>

#include "agent_backend_lab.h"
#include "interlink/v1/volume.pb.h"

namespace interlink::test {
namespace {

struct LaterLab : AgentBackendLab {
  LaterLab() { REQUIRE(RunLater().ok()); }
  Status RunLater() { return backend->RunSandbox(call(), {pod, node, "later", config}); }
  Status CreateWithSecret() { return CreateWithSecret(unit); }
  Status CreateWithSecret(const ContainerId& id) {
    auto content = std::make_shared<interlink::v1::MountContent>();
    content->mutable_snapshot()->add_entries()->set_file("hush");
    return backend->CreateContainer(
        call(),
        {id, pod, node, "sha256:i", unit_config, config, {}, {{"/kubelet/secret", content}}});
  }
  Status Start() { return backend->StartContainer(call(), pod, unit); }
  void StartQueued() {
    REQUIRE(Create().ok());
    REQUIRE(Start().ok());
    REQUIRE(Is(State::kUp, unit));
  }
  bool Asked(const std::string& method, int times = 1) {
    return Eventually([&] { return outside.Count(method) >= times; });
  }
  // The job runs, its agent comes and brings the pod up.
  void ComeUp() {
    Come();
    REQUIRE(Asked("agent RunSandbox"));
    Say(Seen(State::kUp));
  }
  // As the build before wrote the pod: it did not say which containers are queued. REQUIRES: no
  // backend. Returns how many it has.
  int BecomeOld() const {
    const std::string path = folder.File("data/agent-pods/" + pod.str());
    interlink::v1::StoredAgentPod stored;
    REQUIRE(stored.ParseFromString(ReadFile(path).value_or("")));
    for (auto& container : *stored.mutable_containers()) container.clear_queued();
    REQUIRE(WriteFileAtomically(path, stored.SerializeAsString(), 0600).ok());
    return stored.containers_size();
  }
  // What the last start of the site has found it to be.
  State FoundAs(const ContainerId& id) const {
    const auto found = std::find_if(inventory.begin(), inventory.end(),
                                    [&](const auto& seen) { return seen.container == id; });
    return found == inventory.end() ? State::kAbsent : found->state;
  }
  size_t FilesOfPods() const {
    size_t count = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(folder.File("data/agent-pods"))) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }
};

TEST_CASE("at-start: a pod is up at once, and asks for nothing before a container is started") {
  LaterLab lab;

  CHECK(lab.Is(State::kUp));
  REQUIRE(lab.Create().ok());
  CHECK(lab.Is(State::kCreated, lab.unit));
  CHECK(lab.outside.Count("Submit") == 0);
  REQUIRE(lab.Start().ok());
  CHECK(lab.Is(State::kUp, lab.unit));
  CHECK(lab.host.Latest(lab.pod, lab.unit).message == "queued");
  REQUIRE(lab.Asked("Submit"));
  auto queued = lab.Fact(AllocationFact::State::kPending);
  queued.message = "queued as job 4711, PENDING (Resources)";
  lab.Tell(queued);

  CHECK(Eventually([&] {
    return lab.host.Latest(lab.pod, lab.unit).message == "queued: as job 4711, PENDING (Resources)";
  }));
  CHECK(lab.host.Latest(lab.pod).state == State::kUp);
  CHECK(lab.outside.Count("Submit") == 1);
  CHECK(lab.backend->OpenSession(lab.call(), {.sandbox = lab.pod, .container = lab.unit})
            .status()
            .code() == Code::kUnavailable);
}

TEST_CASE("at-start: the agent gets what was created and started meanwhile") {
  LaterLab lab;
  lab.StartQueued();
  REQUIRE(lab.Asked("Submit"));

  lab.ComeUp();
  REQUIRE(lab.Asked("agent CreateContainer"));
  CHECK(lab.outside.Count("agent StartContainer") == 0);
  CHECK(lab.host.Latest(lab.pod, lab.unit).state == State::kUp);
  lab.Say(lab.Seen(State::kCreated, lab.unit));
  REQUIRE(lab.Asked("agent StartContainer"));
  auto up = lab.Seen(State::kUp, lab.unit);
  up.started_ns = 9;
  lab.Say(up);

  CHECK(Eventually([&] { return lab.host.Latest(lab.pod, lab.unit).started_ns == 9; }));
  CHECK(lab.host.Latest(lab.pod, lab.unit).message.empty());
  CHECK(lab.outside.Count("agent CreateContainer") == 1);
  CHECK(lab.host.Violations().empty());
}

TEST_CASE("at-start: one that is created and not started is carried, and waits there") {
  LaterLab lab;
  lab.StartQueued();
  const ContainerId second(std::string(64, 'c'));
  REQUIRE(lab.backend
              ->CreateContainer(
                  lab.call(), {second, lab.pod, lab.node, "sha256:i", lab.unit_config, lab.config})
              .ok());

  lab.ComeUp();
  REQUIRE(lab.Asked("agent CreateContainer", 2));
  lab.Say(lab.Seen(State::kCreated, second));
  lab.Say(lab.Seen(State::kCreated, lab.unit));
  REQUIRE(lab.Asked("agent StartContainer"));

  CHECK(lab.host.Latest(lab.pod, second).state == State::kCreated);
  CHECK(lab.outside.Count("agent StartContainer") == 1);
}

TEST_CASE("at-start: a container that is stopped in the queue never comes to the agent") {
  LaterLab lab;
  lab.StartQueued();
  REQUIRE(lab.backend->StopContainer(lab.call(), lab.pod, lab.unit, std::chrono::seconds(1)).ok());

  REQUIRE(lab.Is(State::kDown, lab.unit));
  CHECK(lab.host.Latest(lab.pod, lab.unit).exit_code == 137);
  lab.Come();
  REQUIRE(lab.Asked("agent RunSandbox"));
  lab.Say(lab.Seen(State::kUp));
  lab.Say(lab.Seen(State::kUp));
  CHECK(lab.outside.Count("agent CreateContainer") == 0);
  CHECK(lab.Start().code() == Code::kFailedPrecondition);
  CHECK(lab.outside.Count("agent StopContainer") == 0);
}

TEST_CASE("at-start: a container that is removed in the queue leaves nothing") {
  LaterLab lab;
  REQUIRE(lab.CreateWithSecret().ok());
  REQUIRE(lab.FilesOfPods() == 2);

  REQUIRE(lab.backend->RemoveContainer(lab.call(), lab.pod, lab.unit).ok());

  CHECK(lab.FilesOfPods() == 1);
  CHECK(lab.host.HeldImages() == 0);
  CHECK(lab.outside.Count("agent RemoveContainer") == 0);
  CHECK(lab.backend->RemoveContainer(lab.call(), lab.pod, lab.unit).ok());  // the answer was lost
  CHECK(lab.Start().code() == Code::kNotFound);
}

TEST_CASE("at-start: what a container mounts is kept until its agent has it, and no longer") {
  LaterLab lab;
  REQUIRE(lab.CreateWithSecret().ok());
  REQUIRE(lab.Start().ok());
  REQUIRE(lab.FilesOfPods() == 2);
  lab.Restart({lab.Fact(AllocationFact::State::kPending)});

  lab.ComeUp();

  REQUIRE(lab.Asked("agent CreateContainer"));
  CHECK(lab.outside.Count("content /kubelet/secret") == 1);
  CHECK(Eventually([&] { return lab.FilesOfPods() == 1; }));
}

TEST_CASE(
    "at-start: a start that is not submitted yet is submitted by the next start of the site") {
  LaterLab lab;
  lab.outside.Fail("Submit", Unavailable("disk"));
  lab.StartQueued();
  REQUIRE(lab.Asked("Submit", 2));
  lab.Restart();
  CHECK(lab.inventory.size() == 2);
  const int before = lab.outside.Count("Submit");
  lab.outside.Fail("Submit", {});

  CHECK(lab.Asked("Submit", before + 1));
  CHECK(lab.backend->Observe(lab.call())->size() == 2);
}

TEST_CASE("at-start: a job that is refused, or ends before it ran, is a start error") {
  LaterLab lab;
  SECTION("refused at once") {
    // It may be down before anybody has seen it up.
    lab.outside.Fail("Submit", InvalidArgument("no such partition"));
    REQUIRE(lab.Create().ok());
    REQUIRE(lab.Start().ok());
  }
  SECTION("refused by the scheduler") {
    lab.StartQueued();
    lab.TellEnd("no such partition");
  }
  SECTION("refused by the agent") {
    lab.outside.Fail("agent RunSandbox", Unimplemented("no such partition"));
    lab.StartQueued();
    lab.Come();
  }

  REQUIRE(lab.Is(State::kDown, lab.unit));
  REQUIRE(lab.Is(State::kDown));
  const auto end = lab.host.Latest(lab.pod, lab.unit);
  CHECK(end.exit_code == 128);
  CHECK(end.reason == "StartError");
  CHECK(end.message == "no such partition");
  CHECK(lab.host.Latest(lab.pod).message == "no such partition");
  CHECK(lab.host.Violations().empty());
}

TEST_CASE("at-start: a container that the agent refuses is a start error, and the pod goes on") {
  LaterLab lab;
  SECTION("made") {
    lab.outside.Fail("agent CreateContainer", InvalidArgument("beyond the allocation"));
    lab.StartQueued();
    lab.ComeUp();
  }
  SECTION("started") {
    lab.outside.Fail("agent StartContainer", InvalidArgument("beyond the allocation"));
    lab.StartQueued();
    lab.ComeUp();
    REQUIRE(lab.Asked("agent CreateContainer"));
    lab.Say(lab.Seen(State::kCreated, lab.unit));
  }

  REQUIRE(lab.Is(State::kDown, lab.unit));
  CHECK(lab.host.Latest(lab.pod, lab.unit).exit_code == 128);
  CHECK(lab.host.Latest(lab.pod, lab.unit).message == "beyond the allocation");
  CHECK(lab.host.Latest(lab.pod).state == State::kUp);
}

TEST_CASE("at-start: a pod that is stopped in the queue ends, and was never there for an agent") {
  LaterLab lab;
  lab.StartQueued();
  REQUIRE(lab.Asked("Submit"));

  REQUIRE(lab.backend->StopSandbox(lab.call(), lab.node, lab.pod).ok());
  REQUIRE(lab.Asked("Release"));
  lab.TellEnd("given back");

  REQUIRE(lab.Is(State::kDown));
  CHECK(lab.host.Latest(lab.pod, lab.unit).state == State::kDown);
  CHECK(lab.backend->RemoveSandbox(lab.call(), lab.node, lab.pod).ok());
  CHECK(lab.FilesOfPods() == 0);
}

TEST_CASE("at-start: a container that its agent cannot take yet says why, and runs when it can") {
  LaterLab lab;
  const auto [method, words] = GENERATE(table<std::string, std::string>({
      {"agent CreateContainer", "starting: its agent does not take it yet: no space left"},
      {"agent StartContainer", "starting: its agent does not start it yet: no space left"},
  }));
  lab.outside.Fail(method, ResourceExhausted("no space\nleft"));
  lab.StartQueued();
  lab.ComeUp();
  if (method == "agent StartContainer") {
    REQUIRE(lab.Asked("agent CreateContainer"));
    lab.Say(lab.Seen(State::kCreated, lab.unit));
  }

  CHECK(Eventually([&] { return lab.host.Latest(lab.pod, lab.unit).message == words; }));
  CHECK(lab.host.Latest(lab.pod, lab.unit).state == State::kUp);
  lab.outside.Fail(method, {});
  REQUIRE(lab.Asked("agent CreateContainer"));
  if (method == "agent CreateContainer") lab.Say(lab.Seen(State::kCreated, lab.unit));
  REQUIRE(lab.Asked("agent StartContainer"));
  lab.Say(lab.Seen(State::kUp, lab.unit));
  CHECK(Eventually([&] { return lab.host.Latest(lab.pod, lab.unit).message.empty(); }));
}

TEST_CASE("at-start: an answer of the agent that is lost is asked for again, and runs once") {
  LaterLab lab;
  lab.outside.Fail("agent CreateContainer", Unavailable("lost"));
  lab.StartQueued();
  lab.ComeUp();
  REQUIRE(lab.Asked("agent CreateContainer", 2));

  lab.outside.Fail("agent CreateContainer", {});
  lab.Say(lab.Seen(State::kCreated, lab.unit));

  CHECK(lab.Asked("agent StartContainer"));
  CHECK(lab.host.Latest(lab.pod, lab.unit).state == State::kUp);
}

// It counted as queued for ever: its removal was answered here, and it ran on at its agent.
TEST_CASE("at-start: a container that is made when the pod is up is its agent's") {
  LaterLab lab;
  lab.StartQueued();
  lab.ComeUp();
  REQUIRE(lab.Asked("agent CreateContainer"));
  lab.Say(lab.Seen(State::kCreated, lab.unit));
  REQUIRE(lab.Asked("agent StartContainer"));
  // Until then it is asked for again whenever something is told.
  lab.Say(lab.Seen(State::kUp, lab.unit));
  REQUIRE(lab.Is(State::kUp, lab.unit));
  const ContainerId second(std::string(64, 'c'));
  REQUIRE(lab.backend
              ->CreateContainer(
                  lab.call(), {second, lab.pod, lab.node, "sha256:i", lab.unit_config, lab.config})
              .ok());

  SECTION("before its agent has told of it") {
    REQUIRE(lab.backend->StopContainer(lab.call(), lab.pod, second, std::chrono::seconds(1)).ok());
    CHECK(lab.outside.Count("agent StopContainer") == 1);
  }
  SECTION("when its agent has told of it") {
    lab.Say(lab.Seen(State::kCreated, second));
    REQUIRE(lab.Is(State::kCreated, second));
    REQUIRE(lab.backend->StartContainer(lab.call(), lab.pod, second).ok());
    // By the call, and perhaps by what follows on its agent's word: it starts once.
    CHECK(lab.outside.Count("agent StartContainer") >= 2);
    lab.Say(lab.Seen(State::kUp, second));
    REQUIRE(lab.Is(State::kUp, second));
  }

  REQUIRE(lab.backend->RemoveContainer(lab.call(), lab.pod, second).ok());
  CHECK(lab.outside.Count("agent RemoveContainer") == 1);
  CHECK(lab.outside.Count("agent CreateContainer") == 2);
}

TEST_CASE("at-start: one that its agent has made without an answer is removed there") {
  LaterLab lab;
  lab.outside.Fail("agent CreateContainer", Unavailable("lost"));
  lab.StartQueued();
  lab.ComeUp();
  REQUIRE(lab.Asked("agent CreateContainer"));
  lab.Say(lab.Seen(State::kCreated, lab.unit));
  REQUIRE(lab.Asked("agent StartContainer"));
  lab.Say(lab.Seen(State::kUp, lab.unit));

  REQUIRE(
      Eventually([&] { return lab.backend->RemoveContainer(lab.call(), lab.pod, lab.unit).ok(); }));
  CHECK(lab.outside.Count("agent RemoveContainer") == 1);
}

TEST_CASE("at-start: one whose contents could not be kept is not carried, and can be removed") {
  LaterLab lab;
  const std::string contents = lab.folder.File("data/agent-pods/contents");
  REQUIRE(std::filesystem::remove(contents));
  REQUIRE(WriteFileAtomically(contents, "in the way", 0600).ok());
  REQUIRE_FALSE(lab.CreateWithSecret().ok());
  REQUIRE(std::filesystem::remove(contents));
  REQUIRE(MakeDirectories(contents, 0700).ok());
  CHECK(lab.Start().code() == Code::kUnavailable);

  CHECK(lab.backend->RemoveContainer(lab.call(), lab.pod, lab.unit).ok());
  CHECK(lab.outside.Count("agent RemoveContainer") == 0);
  CHECK(lab.FilesOfPods() == 1);
}

// It did not say which containers are queued: all that the agent has not told of are.
TEST_CASE("at-start: a store of the build before keeps its queued containers") {
  LaterLab lab;
  REQUIRE(lab.CreateWithSecret().ok());
  REQUIRE(lab.Start().ok());
  lab.backend.reset();
  REQUIRE(lab.BecomeOld() == 1);
  lab.Restart({lab.Fact(AllocationFact::State::kPending)});

  lab.ComeUp();

  REQUIRE(lab.Asked("agent CreateContainer"));
  CHECK(lab.outside.Count("content /kubelet/secret") == 1);
  lab.Say(lab.Seen(State::kCreated, lab.unit));
  REQUIRE(lab.Asked("agent StartContainer"));
  lab.Say(lab.Seen(State::kUp, lab.unit));
  REQUIRE(lab.backend->RemoveContainer(lab.call(), lab.pod, lab.unit).ok());
  CHECK(lab.outside.Count("agent RemoveContainer") == 1);
}

// It was carried without them: what a container mounts is fixed when it is made.
TEST_CASE("at-start: what the build before asked an agent for in vain is made with its contents") {
  LaterLab lab;
  lab.StartQueued();
  lab.ComeUp();
  REQUIRE(lab.Asked("agent CreateContainer"));
  lab.Say(lab.Seen(State::kCreated, lab.unit));
  REQUIRE(lab.Asked("agent StartContainer"));
  lab.Say(lab.Seen(State::kUp, lab.unit));
  const ContainerId second(std::string(64, 'c'));
  lab.unit_config.add_mounts()->set_host_path("/kubelet/secret");
  lab.outside.Fail("agent CreateContainer", Unavailable("on its way"));
  REQUIRE_FALSE(lab.CreateWithSecret(second).ok());
  lab.outside.Fail("agent CreateContainer", {});
  lab.backend.reset();
  REQUIRE(lab.BecomeOld() == 2);
  const int before = lab.outside.Count("agent CreateContainer");
  lab.Restart({lab.Fact(AllocationFact::State::kGranted)});
  CHECK(lab.FoundAs(second) == State::kPending);  // so the site repeats it
  lab.Come({lab.Seen(State::kUp), lab.Seen(State::kUp, lab.unit)});

  REQUIRE(Eventually([&] { return lab.CreateWithSecret(second).ok(); }));
  CHECK(lab.outside.Count("agent CreateContainer") == before + 1);
  CHECK(lab.outside.Count("content /kubelet/secret") == 2);
}

TEST_CASE("at-start: of the build before, one that mounts nothing is carried to a pod that is up") {
  LaterLab lab;
  lab.outside.Fail("agent CreateContainer", Unavailable("on its way"));
  lab.StartQueued();
  const ContainerId second(std::string(64, 'c'));
  REQUIRE(lab.backend
              ->CreateContainer(
                  lab.call(), {second, lab.pod, lab.node, "sha256:i", lab.unit_config, lab.config})
              .ok());
  lab.ComeUp();
  REQUIRE(lab.Asked("agent CreateContainer"));
  lab.backend.reset();
  REQUIRE(lab.BecomeOld() == 2);
  const int before = lab.outside.Count("agent CreateContainer");
  lab.outside.Fail("agent CreateContainer", {});
  lab.Restart({lab.Fact(AllocationFact::State::kGranted)});
  CHECK(lab.FoundAs(second) == State::kCreated);

  lab.Come({lab.Seen(State::kUp)});

  CHECK(lab.Asked("agent CreateContainer", before + 2));
}

}  // namespace
}  // namespace interlink::test
