// A node that is killed in each transitional state and found again.
#include "interlink/v1/node_store.pb.h"
#include "node_lab.h"

namespace interlink::test {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

TEST_CASE("A creation that had not reached the site is repeated after a restart") {
  NodeLab lab;
  lab.site.Fail("RunSandbox", Unavailable("no answer"));
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return lab.site.Calls("RunSandbox") > 0; }));
  lab.Crash();
  lab.site.Fail("RunSandbox", Status::Ok());
  lab.Boot();
  lab.WaitLinked();

  CHECK_FALSE(NodeLab::Get(std::move(run)).ok());
  REQUIRE(Eventually([&] { return lab.site.Ids().size() == 1; }));
  // READY at once, collected or not: kubelet adopts it, and its repeat gets this id.
  const SandboxId id(*lab.site.Ids().begin());
  CHECK(Eventually([&] { return lab.Shown(id) == runtime::v1::SANDBOX_READY; }));
  CHECK(*lab.Run(NodeLab::Pod("a")) == id);
}

TEST_CASE("A stop and a remove that were asked for go on after a restart") {
  NodeLab lab;
  const SandboxId stopped = lab.Ready("a");
  const SandboxId removed = lab.Ready("b");
  lab.site.Fail("StopSandbox", Unavailable("no answer"));
  lab.site.Fail("RemoveSandbox", Unavailable("no answer"));
  auto stop = lab.BeginStopPod(stopped);
  auto remove = lab.BeginRemovePod(removed);
  REQUIRE(Eventually(
      [&] { return lab.site.Calls("StopSandbox") > 0 && lab.site.Calls("RemoveSandbox") > 0; }));
  lab.Crash();
  lab.site.Fail("StopSandbox", Status::Ok());
  lab.site.Fail("RemoveSandbox", Status::Ok());
  lab.Boot();
  lab.WaitLinked();

  CHECK(Eventually([&] { return lab.Shown(stopped) == runtime::v1::SANDBOX_NOTREADY; }));
  CHECK(Eventually([&] { return !lab.Shown(removed).has_value(); }));
  CHECK_FALSE(NodeLab::Get(std::move(stop)).ok());
  CHECK_FALSE(NodeLab::Get(std::move(remove)).ok());
}

TEST_CASE("An undo that was begun goes on after a restart and is never listed") {
  NodeLab lab;
  lab.site.Fail("RunSandbox", InvalidArgument("no"));
  lab.site.Fail("RemoveSandbox", Unavailable("no answer"));
  CHECK_FALSE(lab.Run(NodeLab::Pod("a")).ok());
  REQUIRE(Eventually([&] { return lab.site.Calls("RemoveSandbox") > 0; }));
  lab.Crash();
  lab.site.Fail("RemoveSandbox", Status::Ok());
  lab.Boot();
  lab.WaitLinked();

  CHECK(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
}

TEST_CASE("A failure that was stored is undone after a restart, and told though it may have been") {
  NodeLab lab;
  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return !lab.site.Ids().empty(); }));
  SandboxRecord failed = lab.site.RecordOf(SandboxId(*lab.site.Ids().begin()));
  failed.set_seen(interlink::v1::SEEN_DOWN);
  failed.mutable_failure()->set_message("rejected");
  lab.site.Fail("RemoveSandbox", Unavailable("no answer"));
  lab.site.Tell(failed);
  CHECK_FALSE(NodeLab::Get(std::move(run)).ok());
  lab.Crash();
  lab.site.SetSilent(false);
  lab.site.Fail("RemoveSandbox", Status::Ok());
  lab.Boot();
  lab.WaitLinked();

  CHECK(lab.Run(NodeLab::Pod("a")).status().message() == "an earlier try of this pod: rejected");
  CHECK(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
  CHECK(lab.Run(NodeLab::Pod("a")).ok());
}

TEST_CASE("A record whose end was stored and not yet erased goes at the next start") {
  // A crash between the two commits once left it for ever, and its name reserved with it.
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId unit = lab.Running(pod, "c");
  lab.Crash();
  for (auto& [key, bytes] : lab.disk.records) {
    if (key.first == node::RecordKind::kSandbox) {
      interlink::v1::StoredNodeSandbox stored;
      REQUIRE(stored.ParseFromString(bytes));
      stored.set_wanted(interlink::v1::WANTED_REMOVE);
      stored.mutable_fact()->set_seen(interlink::v1::SEEN_GONE);
      bytes = stored.SerializeAsString();
    }
  }
  lab.site.Forget(pod.str());
  lab.site.Forget(unit.str());
  lab.Boot();
  lab.WaitLinked();

  CHECK(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
  CHECK(Eventually([&] { return lab.store->Backup().records.size() == 2; }));  // meta and an image
  const auto again = lab.Run(NodeLab::Pod("a"));
  REQUIRE(again.ok());
  CHECK(*again != pod);
}

TEST_CASE("What was shown before a crash is shown after it, without a site") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId created = lab.Created(pod, "created");
  const ContainerId running = lab.Running(pod, "running");
  const ContainerId exited = lab.Running(pod, "exited");
  REQUIRE(lab.StopUnit(exited).ok());
  lab.site.SetDown(true);
  lab.Crash();
  lab.Boot();

  CHECK(lab.Shown(pod) == runtime::v1::SANDBOX_READY);
  CHECK(lab.Shown(created) == runtime::v1::CONTAINER_CREATED);
  CHECK(lab.Shown(running) == runtime::v1::CONTAINER_RUNNING);
  CHECK(lab.Shown(exited) == runtime::v1::CONTAINER_EXITED);
  CHECK(lab.StatusOf(exited).exit_code() == 143);
  const auto status = lab.node->runtime().GetStatus(false);
  for (const auto& condition : status.status().conditions())
    CHECK(condition.status() == (condition.type() != "SiteReachable"));
}

TEST_CASE("An exit that happened while the node was dead is told when it is back") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  lab.Crash();
  ContainerRecord exit = lab.site.RecordOf(id);
  exit.set_seen(interlink::v1::SEEN_DOWN);
  exit.set_exit_code(42);
  lab.site.Tell(exit);
  lab.Boot();
  lab.WaitLinked();

  CHECK(Eventually([&] { return lab.Shown(id) == runtime::v1::CONTAINER_EXITED; }));
  CHECK(lab.StatusOf(id).exit_code() == 42);
}

TEST_CASE("A container is not lost while the site is away and cannot tell its end") {
  // Ten seconds after a restart it was EXITED 255, which never changes, whatever the site told
  // then.
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  SandboxRecord down = lab.site.RecordOf(pod);
  down.set_seen(interlink::v1::SEEN_DOWN);
  lab.site.Tell(down);
  lab.site.TellImage("sha256:mark", "mark:latest");
  REQUIRE(Eventually([&] { return lab.node->images().List({})->size() == 2; }));
  lab.site.SetDown(true);
  lab.Crash();
  lab.Boot();
  REQUIRE_FALSE(
      Eventually([&] { return lab.Shown(id) != runtime::v1::CONTAINER_RUNNING; }, 10500ms));
  ContainerRecord exit = lab.site.RecordOf(id);
  exit.set_seen(interlink::v1::SEEN_DOWN);
  exit.set_exit_code(42);
  lab.site.Tell(exit);

  lab.site.SetDown(false);

  CHECK(Eventually([&] { return lab.Shown(id) == runtime::v1::CONTAINER_EXITED; }));
  CHECK(lab.StatusOf(id).exit_code() == 42);
}

TEST_CASE("A store of an unknown version is refused with what to do") {
  NodeLab lab;
  lab.Ready("a");
  lab.Crash();
  for (auto& [key, bytes] : lab.disk.records) {
    if (key.first != node::RecordKind::kSandbox) continue;
    interlink::v1::StoredNodeSandbox stored;
    REQUIRE(stored.ParseFromString(bytes));
    stored.set_version(2);
    bytes = stored.SerializeAsString();
  }
  MemoryNodeStore store(lab.disk);
  MemoryLogFiles logs;

  const auto made = node::Node::Create(lab.options, {store, lab.site, logs, lab.volumes, lab.log,
                                                     lab.metrics, lab.clock, lab.streams});

  CHECK(made.status().code() == Code::kFailedPrecondition);
  CHECK(made.status().message().find("version 2") != std::string::npos);
}

TEST_CASE("10,000 stored pods are served in less than two seconds") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId unit = lab.Running(pod, "c");
  lab.site.SetDown(true);
  lab.Crash();
  interlink::v1::StoredNodeSandbox sandbox;
  interlink::v1::StoredNodeContainer container;
  REQUIRE(sandbox.ParseFromString(lab.disk.records[{node::RecordKind::kSandbox, pod.str()}]));
  REQUIRE(container.ParseFromString(lab.disk.records[{node::RecordKind::kContainer, unit.str()}]));
  for (int i = 0; i < 10'000; ++i) {
    sandbox.set_id(RandomHex(32));
    container.set_id(RandomHex(32));
    container.set_sandbox_id(sandbox.id());
    lab.disk.records[{node::RecordKind::kSandbox, sandbox.id()}] = sandbox.SerializeAsString();
    lab.disk.records[{node::RecordKind::kContainer, container.id()}] =
        container.SerializeAsString();
  }
  const auto begun = std::chrono::steady_clock::now();
  lab.Boot();
  const auto slices = lab.node->containers().List({});
  const auto took = std::chrono::steady_clock::now() - begun;

  REQUIRE(slices.ok());
  CHECK(slices->size() == 10'001);
  INFO(took.count());
#ifndef INTERLINK_SANITIZED
  // Room for a busy machine; the target itself is measured by test/bench.
  CHECK(took < 10s);
#endif
}

}  // namespace
}  // namespace interlink::test
