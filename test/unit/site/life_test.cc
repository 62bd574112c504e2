#include "site_lab.h"

namespace interlink::test {
namespace {

using namespace interlink::v1;  // NOLINT(google-build-using-namespace): enum values

TEST_CASE("a pod and its container run, end and go") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();

  const auto run = lab.Run(pod, lab.PodBody("a"));
  REQUIRE(run.ok());
  CHECK(run->settled);
  CHECK(run->record.seen() == SEEN_UP);
  const auto created = lab.Create(pod, unit, lab.UnitBody("c"));
  REQUIRE(created.ok());
  CHECK(created->record.seen() == SEEN_CREATED);
  const auto started = lab.StartUnit(pod, unit);
  REQUIRE(started.ok());
  CHECK(started->record.seen() == SEEN_UP);
  const auto stopped = lab.StopUnit(pod, unit);
  REQUIRE(stopped.ok());
  CHECK(stopped->settled);
  CHECK(stopped->record.exit_code() == 143);
  const auto removed = lab.RemovePod(pod);

  REQUIRE(removed.ok());
  CHECK(removed->settled);
  CHECK(lab.site->GetContainer(lab.caller.node, pod, unit)->seen() == SEEN_GONE);
}

TEST_CASE("every call may be repeated: nothing starts twice") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();

  for (int i = 0; i < 2; ++i) REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  for (int i = 0; i < 2; ++i) REQUIRE(lab.Create(pod, unit, lab.UnitBody("c")).ok());
  for (int i = 0; i < 2; ++i) REQUIRE(lab.StartUnit(pod, unit).ok());
  for (int i = 0; i < 2; ++i) REQUIRE(lab.StopUnit(pod, unit).ok());
  for (int i = 0; i < 2; ++i) REQUIRE(lab.RemoveUnit(pod, unit).ok());
  for (int i = 0; i < 2; ++i) REQUIRE(lab.StopPod(pod).ok());
  for (int i = 0; i < 2; ++i) REQUIRE(lab.RemovePod(pod).ok());

  CHECK(lab.world.StartsOf(pod.str()) == 1);
  CHECK(lab.world.StartsOf(unit.str()) == 1);
}

TEST_CASE("the same id with other bytes is refused, and a removed id never runs again") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());

  CHECK(lab.Run(pod, lab.PodBody("b")).status().code() == Code::kAlreadyExists);
  REQUIRE(lab.RemovePod(pod).ok());
  CHECK(lab.Run(pod, lab.PodBody("a")).status().code() == Code::kFailedPrecondition);

  CHECK(lab.world.StartsOf(pod.str()) == 1);
}

TEST_CASE("a remove of an id without a record leaves a tombstone that keeps it from running") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();

  const auto removed = lab.RemovePod(pod);

  REQUIRE(removed.ok());
  CHECK(removed->settled);
  CHECK(lab.Run(pod, lab.PodBody("late")).status().code() == Code::kFailedPrecondition);
  CHECK(lab.world.StartsOf(pod.str()) == 0);
}

TEST_CASE("a second life of the same pod waits for proof that the first has ended") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId first = MintSandboxId();
  const SandboxId second = MintSandboxId();
  REQUIRE(lab.Run(first, lab.PodBody("a")).ok());

  CHECK(lab.Run(second, lab.PodBody("a")).status().code() == Code::kUnavailable);
  REQUIRE(lab.StopPod(first).ok());
  CHECK(lab.Run(second, lab.PodBody("a")).ok());
}

TEST_CASE("a field that the backend does not do is refused by its path before anything starts") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  RunSandboxRequest request;
  request.ParseFromString(lab.PodBody("a"));
  request.mutable_config()->mutable_linux()->set_cgroup_parent("/x");
  const SandboxId pod = MintSandboxId();

  const auto run = lab.Run(pod, request.SerializeAsString());

  CHECK(run.status().code() == Code::kUnimplemented);
  CHECK(run.status().message().find("\"linux.cgroup_parent\"") != std::string::npos);
  CHECK(lab.site->GetSandbox(lab.caller.node, pod).status().code() == Code::kNotFound);
}

TEST_CASE("an unknown handler is refused with the known ones") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  RunSandboxRequest request;
  request.ParseFromString(lab.PodBody("a"));
  request.set_handler("gpu");

  const auto run = lab.Run(MintSandboxId(), request.SerializeAsString());

  CHECK(run.status().code() == Code::kInvalidArgument);
  CHECK(run.status().message().find("\"test\"") != std::string::npos);
}

TEST_CASE("a full disk refuses new work and still ends what runs") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  lab.store->SetFull(true);

  const SandboxId refused = MintSandboxId();
  CHECK(lab.Run(refused, lab.PodBody("b", "v")).status().code() == Code::kResourceExhausted);
  CHECK(lab.RemovePod(pod)->settled);

  CHECK(lab.world.StartsOf(refused.str()) == 0);
  lab.store->SetFull(false);
  CHECK(lab.Run(refused, lab.PodBody("b", "v")).ok());
}

TEST_CASE("a backend that cannot tell is asked again until it answers") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  lab.world.Fail("RemoveSandbox", Unavailable("the network is away"));

  const auto removed = lab.RemovePod(pod, std::chrono::milliseconds(50));
  REQUIRE(removed.ok());
  CHECK_FALSE(removed->settled);
  lab.world.Fail("RemoveSandbox", {});

  CHECK(
      Eventually([&] { return lab.site->GetSandbox(lab.caller.node, pod)->seen() == SEEN_GONE; }));
}

// Whoever waited for such a pod heard only that it is being created; the reason stood in the site's
// log.
TEST_CASE("what is tried again is told with the reason, until it succeeds") {
  const std::string step =
      GENERATE("RunSandbox", "PrepareImage", "CreateContainer", "StartContainer", "StopContainer",
               "RemoveContainer", "StopSandbox", "RemoveSandbox");
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  auto reader = lab.site->ReadEvents(lab.caller, {});
  REQUIRE(reader.ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  const auto words = [&] {
    const auto sandbox = lab.site->GetSandbox(lab.caller.node, pod);
    const auto container = lab.site->GetContainer(lab.caller.node, pod, unit);
    return (sandbox.ok() ? sandbox->retrying() : "") +
           (container.ok() ? container->retrying() : "");
  };
  const auto told = [&] {
    std::string last;
    const auto events = (*reader)->Next(100);
    for (const auto& event : events.ok() ? *events : std::vector<interlink::v1::Event>()) {
      const auto& record = event.record();
      const std::string& text =
          record.has_sandbox() ? record.sandbox().retrying() : record.container().retrying();
      if (!text.empty()) last = text;
    }
    return last;
  };
  lab.world.Fail(step, ResourceExhausted("\"/jobs/1\": no space left\non the device"));

  // The one that does not come to an end is answered all the same; the others are waited for.
  const auto wait = [&](std::initializer_list<std::string> steps) {
    return std::ranges::find(steps, step) == steps.end() ? SiteLab::kSettles : SiteLab::kShort;
  };
  REQUIRE(lab.Run(pod, lab.PodBody("a"), wait({"RunSandbox"})).ok());
  if (step != "RunSandbox") {
    const Duration creation = wait({"PrepareImage", "CreateContainer"});
    REQUIRE(lab.Create(pod, unit, lab.UnitBody("c"), creation).ok());
  }
  if (step == "StartContainer") REQUIRE(lab.StartUnit(pod, unit, SiteLab::kShort).ok());
  if (step == "StopContainer") REQUIRE(lab.StopUnit(pod, unit, SiteLab::kShort).ok());
  if (step == "RemoveContainer") REQUIRE(lab.RemoveUnit(pod, unit, SiteLab::kShort).ok());
  if (step == "StopSandbox") REQUIRE(lab.StopPod(pod, SiteLab::kShort).ok());
  if (step == "RemoveSandbox") REQUIRE(lab.RemovePod(pod, SiteLab::kShort).ok());

  const std::string expected =
      step + " has failed and is tried again: \"/jobs/1\": no space left on the device";
  CHECK(Eventually([&] { return words() == expected; }));
  CHECK(Eventually([&] { return told() == expected; }));
  lab.world.Fail(step, {});
  CHECK(Eventually([&] { return words().empty(); }));
}

TEST_CASE("what was tried again for less is not told of an end") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  lab.world.Fail("RunSandbox", Unavailable("the disk does not answer"));
  REQUIRE(lab.Run(pod, lab.PodBody("a"), SiteLab::kShort).ok());
  REQUIRE(
      Eventually([&] { return !lab.site->GetSandbox(lab.caller.node, pod)->retrying().empty(); }));

  const auto stopped = lab.StopPod(pod);

  REQUIRE(stopped.ok());
  CHECK(stopped->settled);
  CHECK(stopped->record.retrying().empty());
}

TEST_CASE("a refused creation is final and leaves the sandbox usable") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  lab.world.Fail("CreateContainer", InvalidArgument("no such user \"bob\""));

  const ContainerId unit = MintContainerId();
  const auto created = lab.Create(pod, unit, lab.UnitBody("c"));
  CHECK(created.status().code() == Code::kInvalidArgument);
  lab.world.Fail("CreateContainer", {});

  CHECK(lab.Create(pod, unit, lab.UnitBody("c")).status().code() == Code::kInvalidArgument);
  CHECK(lab.Create(pod, MintContainerId(), lab.UnitBody("c")).ok());
}

// It may take long (an image has to reach a machine), and a back-off would make it longer.
TEST_CASE("a creation whose backend says that it need not wait is asked for again at once") {
  constexpr int kTimes = 15;  // the back-off alone takes minutes for them
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  lab.world.Fail("CreateContainer", Unavailable("its image is being sent"));
  CHECK(lab.Create(pod, unit, lab.UnitBody("c"), SiteLab::kShort).ok());
  REQUIRE(Eventually([&] { return lab.world.AskedFor("CreateContainer") > 0; }));
  sdk::Observation ready;
  ready.node = lab.caller.node;
  ready.sandbox = pod;
  ready.container = unit;

  int asked = lab.world.AskedFor("CreateContainer");
  for (int i = 0; i < kTimes; ++i) {
    lab.site->HostFor("scripted").Report({ready});
    REQUIRE(Eventually([&] { return lab.world.AskedFor("CreateContainer") > asked; },
                       std::chrono::seconds(5)));
    asked = lab.world.AskedFor("CreateContainer");
  }
  lab.world.Fail("CreateContainer", {});
  lab.site->HostFor("scripted").Report({ready});

  CHECK(Eventually([&] {
    return lab.world.StartsOf(unit.str()) == 0 &&
           lab.site->GetContainer(lab.caller.node, pod, unit)->seen() == SEEN_CREATED;
  }));
}

// Four long pulls, of any node, kept all containers of all nodes from being created.
TEST_CASE("a container of a present image is created while every pull is slow") {
  SiteLab lab;
  std::promise<void> go;
  lab.images.after_pull = [slow = go.get_future().share()](const std::string&) { slow.wait(); };
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  for (int i = 0; i < site::Options().pull_threads; ++i) {
    REQUIRE(lab.Pull("r/app:" + std::to_string(i), Duration::zero()).ok());
  }

  const ContainerId unit = MintContainerId();
  REQUIRE(lab.Create(pod, unit, lab.UnitBody("c")).ok());

  CHECK(Eventually(
      [&] { return lab.site->GetContainer(lab.caller.node, pod, unit)->seen() == SEEN_CREATED; },
      std::chrono::seconds(10)));
}

// Every container's failures counted for the whole pod, and a success did not end the count: the
// first failure of a start waited for 32 s.
TEST_CASE("a container's back-off begins anew when a call has succeeded") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  sdk::Observation ready;
  ready.node = lab.caller.node;
  ready.sandbox = pod;
  ready.container = unit;
  lab.world.Fail("CreateContainer", Unavailable("its image is being sent"));
  CHECK(lab.Create(pod, unit, lab.UnitBody("c"), SiteLab::kShort).ok());
  for (int i = 1; i < 10; ++i) {
    REQUIRE(Eventually([&] { return lab.world.AskedFor("CreateContainer") >= i; }));
    lab.site->HostFor("scripted").Report({ready});
  }
  lab.world.Fail("CreateContainer", {});
  lab.site->HostFor("scripted").Report({ready});
  const auto seen = [&] { return lab.site->GetContainer(lab.caller.node, pod, unit)->seen(); };
  REQUIRE(Eventually([&] { return seen() == SEEN_CREATED; }));

  lab.world.Fail("StartContainer", Unavailable("the network is away"));
  REQUIRE(lab.StartUnit(pod, unit, SiteLab::kShort).ok());
  REQUIRE(Eventually([&] { return lab.world.AskedFor("StartContainer") > 0; }));
  lab.world.Fail("StartContainer", {});

  CHECK(Eventually([&] { return seen() == SEEN_UP; }, std::chrono::seconds(5)));
}

// The other container's earlier look found it too early, and no later one was arranged.
TEST_CASE("a stop without effect is asked for again, also when another container's came before") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId first = MintContainerId();
  const ContainerId second = MintContainerId();
  lab.RunAll(pod, first);
  REQUIRE(lab.Create(pod, second, lab.UnitBody("d")).ok());
  REQUIRE(lab.StartUnit(pod, second).ok());
  {
    MutexLock lock(lab.world.mutex);
    lab.world.loses_stop.insert(second);
  }
  REQUIRE(lab.StopUnit(pod, first)->settled);
  const auto later = std::chrono::steady_clock::now() + std::chrono::milliseconds(300);
  REQUIRE(Eventually([&] { return std::chrono::steady_clock::now() > later; }));

  CHECK_FALSE(lab.StopUnit(pod, second, SiteLab::kShort)->settled);

  CHECK(Eventually(
      [&] { return lab.site->GetContainer(lab.caller.node, pod, second)->seen() == SEEN_DOWN; },
      std::chrono::seconds(25)));
}

// A backend's message with a cut or a foreign character was stored and could not be parsed again:
// the node's stream broke, and the site did not start any more.
TEST_CASE("a backend's text that is not valid UTF-8 is told and survives a restart") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);
  sdk::Observation fact;
  fact.node = NodeId("n1");
  fact.sandbox = pod;
  fact.container = unit;
  fact.state = sdk::Observation::State::kDown;
  fact.reason = "Err\xFFor";
  fact.message = "\xE2\x82";
  fact.termination_message = std::string(4095, 'x') + "\xC3\xBC";

  lab.site->HostFor("scripted").Report({fact});
  REQUIRE(Eventually(
      [&] { return lab.site->GetContainer(NodeId("n1"), pod, unit)->seen() == SEEN_DOWN; }));
  lab.Restart();

  const auto record = lab.site->GetContainer(NodeId("n1"), pod, unit);
  REQUIRE(record.ok());
  CHECK(ContainerRecord().ParseFromString(record->SerializeAsString()));
  CHECK(record->reason() == "Err\xEF\xBF\xBDor");
  CHECK(record->termination_message() == std::string(4095, 'x'));
}

// The exit was on its way while the answer to the start said that the container has ended: exit 3
// became 128 StartError.
TEST_CASE("a start that comes after the end tells the container's own exit") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  REQUIRE(lab.Create(pod, unit, lab.UnitBody("c")).ok());
  lab.world.Fail("StartContainer", FailedPrecondition("it has ended: it runs at most once"));

  const auto started = lab.StartUnit(pod, unit);

  REQUIRE(started.ok());
  CHECK(started->record.seen() == SEEN_DOWN);
  CHECK(started->record.exit_code() == 143);  // what the backend says of its end
}

TEST_CASE("a container's end is proven also when its sandbox is gone already") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  REQUIRE(lab.RemovePod(pod)->settled);

  const auto removed = lab.RemoveUnit(pod, MintContainerId());

  REQUIRE(removed.ok());
  CHECK(removed->settled);
}

TEST_CASE("a dropped node's pods and containers go, and it links again only after them") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);
  REQUIRE(lab.Pull("r/app:1")->settled);

  REQUIRE(lab.Wait<std::string>(
                 [&](auto reply) { lab.site->DropNode(SiteLab::call(), NodeId("n1"), reply); })
              .ok());

  CHECK(Eventually([&] { return lab.site->GetSandbox(NodeId("n1"), pod)->seen() == SEEN_GONE; }));
  const auto container = lab.site->GetContainer(NodeId("n1"), pod, unit);
  CHECK(container->seen() == SEEN_GONE);
  CHECK(container->wanted() == WANTED_REMOVE);
  CHECK(Eventually([&] { return lab.images.List(NodeId("n1")).empty(); }));
  CHECK(lab.LinkNode().code() == Code::kUnavailable);
}

TEST_CASE("an update without a sequence is refused, an overtaken one has no effect") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  lab.RunAll(pod, unit);
  const auto update = [&](uint64_t sequence, int64_t shares) {
    UpdateContainerRequest request;
    request.set_sequence(sequence);
    request.mutable_linux()->set_cpu_shares(shares);
    return lab.Wait<ContainerAnswer>([&](auto reply) {
      lab.site->UpdateContainer(SiteLab::call(), lab.caller, pod, unit, request, reply);
    });
  };
  const auto update_pod = [&](uint64_t sequence) {
    UpdateSandboxRequest request;
    request.set_sequence(sequence);
    return lab.Wait<SandboxAnswer>([&](auto reply) {
      lab.site->UpdateSandbox(SiteLab::call(), lab.caller, pod, request, reply);
    });
  };

  CHECK(update(0, 5).status().code() == Code::kInvalidArgument);
  REQUIRE(update(2, 20).ok());
  const auto late = update(1, 10);
  REQUIRE(late.ok());
  CHECK(late->record.resources().cpu_shares() == 20);
  CHECK(update_pod(0).status().code() == Code::kInvalidArgument);
  CHECK(update_pod(2)->settled);
  CHECK(update_pod(1)->settled);
}

// Memory was ahead of the store: what a crash would have undone was answered, told and acted upon.
TEST_CASE("what is not durable is neither answered nor told nor acted upon") {
  SiteLab lab;
  lab.WaitReady();
  REQUIRE(lab.LinkNode().ok());
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("a")).ok());
  const SandboxId other = MintSandboxId();
  REQUIRE(lab.Run(other, lab.PodBody("b")).ok());
  auto reader = lab.site->ReadEvents(lab.caller, Position());
  REQUIRE((*reader)->Next(100)->size() == 4);
  lab.writer->StopDisk();

  auto answered = std::make_shared<std::atomic<bool>>(false);
  lab.site->RemoveSandbox(SiteLab::call(), lab.caller, pod, "test", Duration::zero(),
                          [answered](auto) { *answered = true; });
  // The answer to this one comes later, by the same timer.
  REQUIRE(lab.Run(other, lab.PodBody("b"), Duration::zero()).ok());
  CHECK_FALSE(answered->load());
  CHECK((*reader)->Next(100)->empty());
  {
    MutexLock lock(lab.world.mutex);
    CHECK(lab.world.pods.contains(pod));
  }

  lab.writer->GoOn();
  CHECK(Eventually([&] { return answered->load(); }));
  CHECK(Eventually([&] { return !(*reader)->Next(100)->empty(); }));
  CHECK(Eventually([&] { return lab.site->GetSandbox(NodeId("n1"), pod)->seen() == SEEN_GONE; }));
}

}  // namespace
}  // namespace interlink::test
