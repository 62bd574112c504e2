// Pods in allocations: what the site is told, what is asked of whom, and what outlives a restart.
#include <unistd.h>

#include "agent_backend_lab.h"

namespace interlink::test {
namespace {

TEST_CASE("a pod is submitted, waits with the queue's words, and is up when its agent says so") {
  AgentBackendLab lab;

  REQUIRE(lab.Run().ok());
  AllocationFact queued = lab.Fact(AllocationFact::State::kPending);
  queued.reason = "Resources";
  queued.message = "queued as job 4711";
  queued.expected_start_ns = 7;
  lab.Tell(queued);
  REQUIRE(Eventually([&] { return lab.host.Latest(lab.pod).expected_start_ns == 7; }));
  CHECK(lab.host.Latest(lab.pod).message == "queued as job 4711");
  CHECK(lab.host.Latest(lab.pod).allocation == "4711");
  CHECK(lab.outside.Count("agent RunSandbox") == 0);
  lab.Come();
  REQUIRE(Eventually([&] { return lab.outside.Count("agent RunSandbox") == 1; }));
  lab.Say(lab.Seen(State::kUp));

  CHECK(lab.Is(State::kUp));
  CHECK(lab.host.Latest(lab.pod).allocation == "4711");
  CHECK(lab.outside.Count("Submit") == 1);
  CHECK(lab.host.Violations().empty());
}

TEST_CASE("what the provisioner refuses is refused before anything is stored") {
  AgentBackendLab lab;
  lab.outside.Fail("Check", InvalidArgument("no partition \"x\""));

  CHECK(lab.Run() == InvalidArgument("no partition \"x\""));
  CHECK(lab.outside.Count("Submit") == 0);
  lab.outside.Fail("Check", {});
  CHECK(lab.Run().ok());
}

TEST_CASE("a submission whose outcome is not known is asked for again under the same id") {
  AgentBackendLab lab;
  lab.outside.Fail("Submit", Unavailable("disk"));
  REQUIRE(lab.Run().code() == Code::kUnavailable);
  lab.Restart();
  // Nothing of it: only so the site asks again, and a pod does not wait for ever.
  CHECK(lab.inventory.empty());
  CHECK(lab.backend->Observe(lab.call())->empty());
  lab.outside.Fail("Submit", {});

  CHECK(lab.Run().ok());
  CHECK(lab.outside.Count("Check") == 1);
  CHECK(lab.outside.Count("Submit") == 2);
}

TEST_CASE("an agent that cannot bring the pod up fails it, and the allocation is given back") {
  AgentBackendLab lab;
  lab.outside.Fail("agent RunSandbox", Unimplemented("no such namespace here"));
  REQUIRE(lab.Run().ok());

  lab.Come();

  CHECK(lab.Is(State::kFailed));
  CHECK(lab.host.Latest(lab.pod).message == "no such namespace here");
  CHECK(Eventually([&] { return lab.outside.Count("Release") >= 1; }));
}

TEST_CASE("an agent whose answer is lost is asked again") {
  AgentBackendLab lab;
  lab.outside.Fail("agent RunSandbox", Unavailable("lost"));
  REQUIRE(lab.Run().ok());
  lab.Come();
  REQUIRE(Eventually([&] { return lab.outside.Count("agent RunSandbox") >= 3; }));
  CHECK(lab.host.Latest(lab.pod).state == State::kPending);
}

TEST_CASE("an agent that cannot bring the pod up yet is asked again, and the pod says why") {
  AgentBackendLab lab;
  lab.outside.Fail("agent RunSandbox", ResourceExhausted("\"/tmp/x\": no space\nleft"));
  REQUIRE(lab.Run().ok());
  AllocationFact granted = lab.Fact(AllocationFact::State::kGranted);
  granted.message = "job 4711 runs on n1";
  lab.Tell(granted);
  lab.Come();

  CHECK(Eventually([&] {
    return lab.host.Latest(lab.pod).message ==
           "job 4711 runs on n1, its agent does not bring it up: \"/tmp/x\": no space left";
  }));
  CHECK(lab.host.Latest(lab.pod).granted);
  lab.directory.WentAway(lab.pod, Unavailable("cut"));
  CHECK(Eventually([&] {
    return lab.host.Latest(lab.pod).message == "job 4711 runs on n1, its agent has gone away";
  }));
  CHECK(lab.host.Latest(lab.pod).state == State::kPending);
}

TEST_CASE("a job that ends before its agent came fails the pod with the scheduler's words") {
  AgentBackendLab lab;
  REQUIRE(lab.Run().ok());

  lab.TellEnd("job 4711: NODE_FAIL");

  CHECK(lab.Is(State::kFailed));
  CHECK(lab.host.Latest(lab.pod).message == "job 4711: NODE_FAIL");
}

TEST_CASE("stop: the agent stops and leaves, and only the proven end is one") {
  AgentBackendLab lab;
  lab.MakeRunning();

  REQUIRE(lab.backend->StopSandbox(lab.call(), lab.node, lab.pod).ok());
  REQUIRE(Eventually([&] { return lab.outside.Count("Release") >= 1; }));
  CHECK(lab.outside.Count("agent StopSandbox") == 1);
  CHECK(lab.outside.Count("agent Leave") == 1);
  sdk::Observation exit = lab.Seen(State::kDown, lab.unit);
  exit.exit_code = 143;
  lab.Say(exit);
  lab.Say(lab.Seen(State::kDown));
  REQUIRE(lab.Is(State::kDown, lab.unit));
  CHECK(lab.host.Latest(lab.pod).state == State::kUp);
  CHECK(lab.backend->RemoveSandbox(lab.call(), lab.node, lab.pod).code() == Code::kUnavailable);
  lab.TellEnd();

  CHECK(lab.Is(State::kDown));
  CHECK(lab.host.Latest(lab.pod, lab.unit).exit_code == 143);
  CHECK(lab.backend->RemoveSandbox(lab.call(), lab.node, lab.pod).ok());
  CHECK(lab.outside.Count("Remove") == 1);
  CHECK(lab.outside.Count("Forget") == 1);
  CHECK(lab.host.HeldImages() == 0);
  CHECK(lab.backend->Observe(lab.call())->empty());
  CHECK(lab.host.Violations().empty());
}

TEST_CASE("a pod that waits is given back without an agent") {
  AgentBackendLab lab;
  REQUIRE(lab.Run().ok());

  REQUIRE(lab.backend->StopSandbox(lab.call(), lab.node, lab.pod).ok());
  REQUIRE(Eventually([&] { return lab.outside.Count("Release") >= 1; }));
  lab.TellEnd();

  CHECK(lab.Is(State::kDown));
  CHECK(lab.Run().code() == Code::kFailedPrecondition);
}

TEST_CASE("an allocation that cannot be given back is tried again, also after a restart") {
  AgentBackendLab lab;
  REQUIRE(lab.Run().ok());
  lab.outside.Fail("Release", Unavailable("no controller"));
  REQUIRE(lab.backend->StopSandbox(lab.call(), lab.node, lab.pod).ok());
  REQUIRE(Eventually([&] { return lab.outside.Count("Release") >= 3; }));

  lab.Restart({lab.Fact(AllocationFact::State::kPending)});
  const int before = lab.outside.Count("Release");

  CHECK(Eventually([&] { return lab.outside.Count("Release") > before + 1; }));
}

TEST_CASE("an id that was never seen is stopped and removed, and stays so") {
  AgentBackendLab lab;

  CHECK(lab.backend->RemoveSandbox(lab.call(), lab.node, lab.pod).code() == Code::kUnavailable);
  CHECK(Eventually([&] { return lab.outside.Count("Release") >= 1; }));
  CHECK(lab.Run().code() == Code::kFailedPrecondition);
  lab.TellEnd();
  REQUIRE(lab.Is(State::kDown));
  CHECK(lab.backend->RemoveSandbox(lab.call(), lab.node, lab.pod).ok());
}

TEST_CASE("another node's pod is not touched") {
  AgentBackendLab lab;
  lab.MakeUp();

  CHECK(lab.backend->StopSandbox(lab.call(), NodeId("n2"), lab.pod).ok());
  CHECK(lab.backend->RemoveSandbox(lab.call(), NodeId("n2"), lab.pod).ok());
  CHECK(lab.outside.Count("Release") == 0);
  CHECK(lab.host.Latest(lab.pod).state == State::kUp);
}

TEST_CASE("exits come from the agent's records when the allocation has ended without a word") {
  AgentBackendLab lab;
  lab.MakeRunning();
  SECTION("its own") {
    lab.LeaveExit(3, lab.pod);
    lab.TellEnd();
    REQUIRE(lab.Is(State::kDown));
    CHECK(lab.host.Latest(lab.pod, lab.unit).exit_code == 3);
  }
  SECTION("exit 0 only by a record") {
    lab.LeaveExit(0, lab.pod);
    lab.TellEnd();
    REQUIRE(lab.Is(State::kDown));
    CHECK(lab.host.Latest(lab.pod, lab.unit).exit_code == 0);
    CHECK(lab.host.Latest(lab.pod, lab.unit).reason == "Completed");
  }
  SECTION("another pod's is none") {
    lab.LeaveExit(0, SandboxId(std::string(64, 'c')));
    lab.TellEnd("lost");
    REQUIRE(lab.Is(State::kDown));
    CHECK(lab.host.Latest(lab.pod, lab.unit).exit_code == 255);
    CHECK(lab.host.Latest(lab.pod, lab.unit).message == "lost");
  }
  SECTION("none") {
    lab.TellEnd("job 4711: TIMEOUT");
    REQUIRE(lab.Is(State::kDown));
    CHECK(lab.host.Latest(lab.pod, lab.unit).exit_code == 255);
    CHECK(lab.host.Latest(lab.pod, lab.unit).message == "job 4711: TIMEOUT");
  }
  CHECK(lab.host.Violations().empty());
}

TEST_CASE("an agent that is lost and comes back goes on with what runs") {
  AgentBackendLab lab;
  lab.MakeRunning();

  lab.directory.WentAway(lab.pod, Unavailable("cable"));
  CHECK(lab.backend->OpenSession(lab.call(), {SessionId("s"), lab.pod, lab.unit}).status().code() ==
        Code::kUnavailable);
  CHECK(lab.host.Latest(lab.pod, lab.unit).state == State::kUp);
  lab.Come({lab.Seen(State::kUp), lab.Seen(State::kUp, lab.unit)});

  CHECK(lab.backend->OpenSession(lab.call(), {SessionId("s"), lab.pod, lab.unit}).ok());
  CHECK(lab.outside.Count("agent RunSandbox") == 1);
}

TEST_CASE("what a returning agent does not have is lost, and never exit 0") {
  AgentBackendLab lab;
  lab.MakeRunning();
  lab.directory.WentAway(lab.pod, Unavailable("cable"));

  lab.Come({lab.Seen(State::kUp)});

  REQUIRE(lab.Is(State::kDown, lab.unit));
  CHECK(lab.host.Latest(lab.pod, lab.unit).exit_code == 255);
}

TEST_CASE("a restart of the site finds everything again, and asks nobody twice") {
  AgentBackendLab lab;
  lab.MakeRunning();

  lab.Restart({lab.Fact(AllocationFact::State::kGranted)});

  const auto all = lab.backend->Observe(lab.call());
  REQUIRE(all.ok());
  REQUIRE(all->size() == 2);
  CHECK((*all)[0].state == State::kUp);
  CHECK((*all)[0].image_id == "sha256:i");
  CHECK((*all)[0].config == lab.unit_config.SerializeAsString());
  CHECK((*all)[1].state == State::kUp);
  CHECK((*all)[1].handler == "slurm");
  lab.Come({lab.Seen(State::kUp), lab.Seen(State::kUp, lab.unit)});
  CHECK(lab.backend->StartContainer(lab.call(), lab.pod, lab.unit).ok());
  CHECK(lab.outside.Count("agent RunSandbox") == 1);
  CHECK(lab.outside.Count("Submit") == 1);
  CHECK(lab.outside.Count("Release") == 0);
}

TEST_CASE("an end that came while the site was down is told at its start") {
  AgentBackendLab lab;
  lab.MakeRunning();
  lab.LeaveExit(9, lab.pod);
  AllocationFact ended = lab.Fact(AllocationFact::State::kEnded);
  ended.pod_folder = lab.folder.File("pod");

  lab.Restart({ended});

  const auto all = lab.backend->Observe(lab.call());
  REQUIRE(all->size() == 2);
  CHECK((*all)[0].exit_code == 9);
  CHECK((*all)[1].state == State::kDown);
}

TEST_CASE(
    "what was up and has no allocation any more is lost; what was only wished for is absent") {
  AgentBackendLab lab;
  const bool up = GENERATE(true, false);
  if (up) {
    lab.MakeRunning();
  } else {
    REQUIRE(lab.Run().ok());
  }

  lab.Restart();

  const auto all = lab.backend->Observe(lab.call());
  REQUIRE(all.ok());
  CHECK(all->empty() == !up);
  if (up) CHECK(all->back().state == State::kDown);
  CHECK(lab.Run().ok());
  CHECK(lab.outside.Count("Submit") == (up ? 1 : 2));
}

TEST_CASE("a queued allocation that is gone fails its pod: it is not asked for twice") {
  AgentBackendLab lab;
  REQUIRE(lab.Run().ok());
  lab.Tell(lab.Fact(AllocationFact::State::kPending));
  REQUIRE(Eventually([&] { return lab.host.Latest(lab.pod).allocation == "4711"; }));

  lab.Restart();

  REQUIRE(lab.inventory.size() == 1);
  CHECK(lab.inventory[0].state == State::kFailed);
}

TEST_CASE("only a refusal of the submission forgets the pod") {
  AgentBackendLab lab;
  struct Case {
    Status answer;
    bool kept;
  };
  const auto wanted = GENERATE(values<Case>({{DeadlineExceeded("slow"), true},
                                             {DataLoss("journal"), true},
                                             {FailedPrecondition("state"), true},
                                             {InvalidArgument("no account"), false},
                                             {PermissionDenied("no account"), false}}));
  lab.outside.Fail("Submit", wanted.answer);
  CHECK(lab.Run() == wanted.answer);

  CHECK(lab.backend->Observe(lab.call())->size() == (wanted.kept ? 1U : 0U));
  lab.outside.Fail("Submit", {});
  CHECK(lab.Run().ok());
  CHECK(lab.outside.Count("Check") == (wanted.kept ? 1 : 2));
}

TEST_CASE("another node cannot ask for a pod's id") {
  AgentBackendLab lab;
  REQUIRE(lab.Run().ok());

  CHECK(lab.backend->RunSandbox(lab.call(), {lab.pod, NodeId("n2"), "slurm", lab.config}).code() ==
        Code::kFailedPrecondition);
  CHECK(lab.outside.Count("Submit") == 1);
}

TEST_CASE("an agent that nobody knows may come later: absence ends nothing") {
  AgentBackendLab lab;
  CHECK(lab.directory.MayCome(lab.pod, {}).code() == Code::kUnavailable);
  REQUIRE(lab.Run().ok());
  CHECK(lab.directory.MayCome(lab.pod, {}).ok());

  lab.backend.reset();  // the site stops; its pods run on
  CHECK(lab.directory.MayCome(lab.pod, {}).code() == Code::kUnavailable);
}

TEST_CASE("an agent without its sandbox is told to leave, and its allocation is given back") {
  AgentBackendLab lab;
  lab.MakeRunning();
  lab.directory.WentAway(lab.pod, Unavailable("reboot"));
  SECTION("it has nothing") { lab.Come(); }
  SECTION("it says down") { lab.Come({lab.Seen(State::kDown)}); }

  REQUIRE(Eventually([&] { return lab.outside.Count("Release") >= 1; }));
  CHECK(lab.outside.Count("agent Leave") == 1);
  CHECK(lab.host.Latest(lab.pod).state == State::kUp);  // until its end is proven
  CHECK(lab.host.Latest(lab.pod, lab.unit).exit_code == 255);
}

TEST_CASE("what the scheduler tells before the inventory is not lost") {
  AgentBackendLab lab;
  lab.MakeRunning();
  lab.backend.reset();
  lab.host.Forget();
  auto made = agent_backend::AgentBackend::Create(
      lab.host, std::make_shared<ScriptedAgents>(lab.outside), lab.directory, {});
  REQUIRE(made.ok());
  lab.backend = *std::move(made);
  {
    MutexLock lock(lab.outside.mutex);
    lab.outside.recovered = {lab.Fact(AllocationFact::State::kGranted)};
  }

  lab.TellEnd();  // there is no provisioner yet
  lab.backend->SetProvisioner(std::make_unique<ScriptedProvisioner>(lab.outside));
  REQUIRE(lab.backend->Recover(lab.call(), {}).ok());

  CHECK(lab.Is(State::kDown));
  CHECK(lab.outside.Count("Remove") == 0);
}

TEST_CASE("a backend goes while its steps ask the provisioner") {
  AgentBackendLab lab;
  REQUIRE(lab.Run().ok());
  lab.outside.Fail("Release", Unavailable("no controller"));
  REQUIRE(lab.backend->StopSandbox(lab.call(), lab.node, lab.pod).ok());
  REQUIRE(Eventually([&] { return lab.outside.Count("Release") >= 2; }));

  lab.backend.reset();  // a step that outlived the provisioner would end the test by a signal

  CHECK(lab.directory.MayCome(lab.pod, {}).code() == Code::kUnavailable);
}

TEST_CASE("an allocation that no record names is given back, and removed when it has ended") {
  AgentBackendLab lab;
  lab.Restart({lab.Fact(AllocationFact::State::kGranted)});
  CHECK(lab.outside.Count("Release") == 1);

  lab.Tell(lab.Fact(AllocationFact::State::kEnded));

  CHECK(Eventually([&] { return lab.outside.Count("Remove") == 1; }));
  CHECK(lab.directory.MayCome(lab.pod, {}).code() == Code::kUnavailable);
}

TEST_CASE("a container that is refused leaves no record and holds no image") {
  AgentBackendLab lab;
  lab.MakeUp();
  lab.outside.Fail("agent CreateContainer", InvalidArgument("no such user"));

  CHECK(lab.Create() == InvalidArgument("no such user"));

  CHECK(lab.host.HeldImages() == 0);
  CHECK(lab.backend->Observe(lab.call())->size() == 1);
}

TEST_CASE("a container whose image cannot be prepared again leaves nothing either") {
  AgentBackendLab lab;
  lab.MakeUp();
  lab.outside.Fail("HoldImage", FailedPrecondition("let go of"));
  lab.outside.Fail("PrepareImage", InvalidArgument("whiteouts"));

  CHECK(lab.Create() == InvalidArgument("whiteouts"));

  CHECK(lab.host.HeldImages() == 0);
  CHECK(lab.backend->Observe(lab.call())->size() == 1);
}

TEST_CASE("a container whose creation may have happened is known until it is removed") {
  AgentBackendLab lab;
  lab.MakeUp();
  lab.outside.Fail("agent CreateContainer", Unavailable("lost"));

  CHECK(lab.Create().code() == Code::kUnavailable);
  CHECK(lab.host.HeldImages() == 1);
  CHECK(lab.backend->RemoveContainer(lab.call(), lab.pod, lab.unit).ok());
  CHECK(lab.outside.Count("agent RemoveContainer") == 1);
  CHECK(lab.host.HeldImages() == 0);
}

TEST_CASE("an inventory tells the resources that a container was given last") {
  AgentBackendLab lab;
  lab.MakeRunning();
  runtime::v1::LinuxContainerResources resources;
  resources.set_memory_limit_in_bytes(4 << 20);
  REQUIRE(lab.backend->UpdateContainer(lab.call(), lab.pod, lab.unit, resources).ok());

  lab.Restart({lab.Fact(AllocationFact::State::kGranted)});

  const auto told = std::find_if(lab.inventory.begin(), lab.inventory.end(),
                                 [&](const auto& fact) { return fact.container == lab.unit; });
  REQUIRE(told != lab.inventory.end());
  runtime::v1::ContainerConfig config;
  REQUIRE(config.ParseFromString(told->config));
  CHECK(config.linux().resources().memory_limit_in_bytes() == 4 << 20);
}

TEST_CASE("a container that has ended cannot be started, and is stopped already") {
  AgentBackendLab lab;
  lab.MakeRunning();
  sdk::Observation exit = lab.Seen(State::kDown, lab.unit);
  exit.exit_code = 1;
  lab.Say(exit);
  REQUIRE(lab.Is(State::kDown, lab.unit));

  CHECK(lab.backend->StartContainer(lab.call(), lab.pod, lab.unit).code() ==
        Code::kFailedPrecondition);
  CHECK(lab.backend->StopContainer(lab.call(), lab.pod, lab.unit, std::chrono::seconds(1)).ok());
  CHECK(lab.outside.Count("agent StopContainer") == 0);
}

TEST_CASE("the images of a container's volumes reach its agent, and are held like its own") {
  AgentBackendLab lab;
  lab.host.AddImage({"sha256:v", {"/site/volume"}, {}});
  lab.MakeUp();

  const Status created = lab.backend->CreateContainer(
      lab.call(), {lab.unit,
                   lab.pod,
                   lab.node,
                   "sha256:i",
                   lab.unit_config,
                   lab.config,
                   {{"busybox:1", "sha256:v"}, {"again", "sha256:v"}}});

  INFO(created.ToString());
  CHECK(created.ok());
  CHECK(lab.outside.Count("layers /jobs/layer") == 1);
  CHECK(lab.outside.Count("volume busybox:1 /jobs/layer") == 1);
  CHECK(lab.outside.Count("volume again /jobs/layer") == 1);
  CHECK(lab.host.Holds(lab.unit, "sha256:v"));
}

TEST_CASE("without its agent a pod says why it cannot be asked") {
  AgentBackendLab lab;
  REQUIRE(lab.Run().ok());
  AllocationFact queued = lab.Fact(AllocationFact::State::kPending);
  queued.message = "queued as job 4711";
  lab.Tell(queued);
  REQUIRE(Eventually([&] { return lab.host.Latest(lab.pod).message == "queued as job 4711"; }));

  CHECK(lab.Create() == Unavailable("the pod does not run yet: queued as job 4711"));
  lab.TellEnd();
  REQUIRE(lab.Is(State::kFailed));
  CHECK(lab.Create().code() == Code::kFailedPrecondition);
}

TEST_CASE("logs, numbers and facts for people come from the agent") {
  AgentBackendLab lab;
  lab.MakeRunning();

  CHECK(lab.backend->ReadLog(lab.call(), lab.pod, lab.unit, 10, 100)->next == 15);
  CHECK(lab.backend->Stats(lab.call())->sandboxes.size() == 1);
  CHECK(*lab.backend->Inspect(lab.call(), lab.pod, ContainerId()) ==
        "{\"allocation\":{\"job\":1},\"agent\":{\"pid\":2}}");
  CHECK(*lab.backend->Inspect(lab.call(), lab.pod, lab.unit) == "{\"pid\":2}");
  lab.directory.LogGrew(lab.pod, lab.unit);
  CHECK(lab.host.LogWakes(lab.unit) >= 1);
}

// Its word that a log has grown is said once, until that log is read: on a connection that breaks
// just then it is lost, and the log stood still until its container ended.
TEST_CASE("the logs of an agent that comes back are looked at") {
  AgentBackendLab lab;
  lab.MakeRunning();
  const int before = lab.host.LogWakes(lab.unit);
  lab.directory.WentAway(lab.pod, Unavailable("the connection is gone"));

  lab.Come({lab.Seen(State::kUp), lab.Seen(State::kUp, lab.unit)});

  CHECK(lab.host.LogWakes(lab.unit) > before);
}

TEST_CASE("a log of an ended allocation that left no folder has an end") {
  AgentBackendLab lab;
  lab.MakeRunning();
  lab.Tell(lab.Fact(AllocationFact::State::kEnded));
  REQUIRE(lab.Is(State::kDown));

  const auto chunk = lab.backend->ReadLog(lab.call(), lab.pod, lab.unit, 10, 100);

  REQUIRE(chunk.ok());
  CHECK(chunk->end);
  CHECK(chunk->next == 10);
}

TEST_CASE("a ticket opens one sandbox") {
  AgentBackendLab lab;
  const auto ticket = lab.backend->TicketFor(lab.pod);
  CHECK(ticket.hub == "site:1");
  CHECK(ticket.server_name == "site");
  CHECK(ticket.ca_pem == "ca");
  CHECK(ticket.token == "token of " + lab.pod.str());
}

// Each of them was tried again for itself, every two seconds.
TEST_CASE("an end that cannot be stored is tried again less and less, however often it is told") {
  AgentBackendLab lab;
  lab.MakeUp();
  const std::string records = lab.folder.File("data/agent-pods");
  REQUIRE(rename(records.c_str(), (records + "-away").c_str()) == 0);
  REQUIRE(WriteFileAtomically(records, "in the way", 0600).ok());
  const auto tries = [&] { return lab.host.Warned("an end cannot be stored yet"); };

  for (int told = 0; told < 20; ++told) lab.TellEnd();
  REQUIRE(Eventually([&] { return tries() > 0; }));
  // The first is after 5 ms, each after it twice as late.
  CHECK_FALSE(Eventually([&] { return tries() > 20 + 10; }, std::chrono::seconds(1)));

  REQUIRE(unlink(records.c_str()) == 0);
  REQUIRE(rename((records + "-away").c_str(), records.c_str()) == 0);
  CHECK(lab.Is(State::kDown));
}

// A pod's configuration, its environment too, stayed for ever where a site was killed at its write.
TEST_CASE("what a crash has left of a record's write goes with the next start") {
  AgentBackendLab lab;
  REQUIRE(lab.Run().ok());
  lab.backend.reset();
  const std::string path = lab.folder.File("data/agent-pods/" + lab.pod.str());
  const std::string cut = path + ".tmp-0123456789ab";
  REQUIRE(WriteFileAtomically(cut, "half of a record", 0600).ok());

  const auto made = agent_backend::AgentBackend::Create(
      lab.host, std::make_shared<ScriptedAgents>(lab.outside), lab.directory, {});

  CHECK(made.ok());
  CHECK(access(cut.c_str(), F_OK) != 0);
  CHECK(access(path.c_str(), F_OK) == 0);
}

TEST_CASE("a damaged record is named and keeps the backend from a start") {
  AgentBackendLab lab;
  REQUIRE(lab.Run().ok());
  lab.backend.reset();
  const std::string path = lab.folder.File("data/agent-pods/" + lab.pod.str());
  REQUIRE(WriteFileAtomically(path, "not a record", 0600).ok());

  const auto made = agent_backend::AgentBackend::Create(
      lab.host, std::make_shared<ScriptedAgents>(lab.outside), lab.directory, {});

  CHECK(made.status().code() == Code::kDataLoss);
  CHECK(made.status().message().find(path) != std::string::npos);
}

}  // namespace
}  // namespace interlink::test
