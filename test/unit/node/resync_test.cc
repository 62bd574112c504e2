// Links and lists: what is missing, what is unknown, what was restored.
#include "node_lab.h"

namespace interlink::test {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

constexpr auto kListedReady = runtime::v1::SANDBOX_READY;
constexpr auto kListedNotReady = runtime::v1::SANDBOX_NOTREADY;

TEST_CASE("What the complete list lacks is settled at the site and then shown as lost") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  lab.site.Forget(pod.str());
  lab.site.Forget(id.str());

  lab.Relink();

  CHECK(Eventually([&] { return lab.Shown(pod) == kListedNotReady; }));
  CHECK(lab.site.Calls("StopSandbox", pod.str()) >= 1);
  CHECK(Eventually([&] { return lab.Shown(id) == runtime::v1::CONTAINER_EXITED; }));
  CHECK(lab.StatusOf(id).exit_code() == 255);
  CHECK(lab.StatusOf(id).reason() == "Error");
}

TEST_CASE("A site whose store was lost ends nothing: what runs stays as it is known") {
  // Its empty list once made every pod missing: the site was asked to end what it did not know,
  // kubelet saw EXITED 255 and started everything a second time.
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  SandboxRecord found = lab.site.RecordOf(pod);
  const std::string body = lab.site.Bodies(pod.str())[0];
  lab.site.LoseStore();

  lab.Relink();

  REQUIRE_FALSE(Eventually([&] { return lab.Shown(pod) != kListedReady; }, 300ms));
  CHECK(lab.Shown(id) == runtime::v1::CONTAINER_RUNNING);
  CHECK(lab.site.Calls("StopSandbox") + lab.site.Calls("StopContainer") == 0);
  lab.Restart();
  REQUIRE_FALSE(Eventually([&] { return lab.Shown(pod) != kListedReady; }, 300ms));

  // The new store imports it later, with numbers that begin anew; then absence means something.
  found.set_epoch(1);
  found.set_revision(1);
  found.set_imported(true);
  found.set_message("found at the backend");
  lab.site.Put(found, body);
  lab.Relink();
  lab.site.Forget(pod.str());
  lab.Relink();
  CHECK(Eventually([&] { return lab.site.Calls("StopSandbox", pod.str()) > 0; }));
}

TEST_CASE("Work that a new site store does not know can be stopped and removed") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.Running(pod, "c");
  lab.site.LoseStore();
  lab.Relink();

  CHECK(lab.StopPod(pod).ok());
  CHECK(lab.Shown(pod) == kListedNotReady);
  CHECK(lab.RemovePod(pod).ok());
  CHECK(lab.node->Summary().containers == 0);
}

TEST_CASE("An unfinished creation is repeated at a site whose link numbers begin again") {
  NodeLab lab;
  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return !lab.site.Ids().empty(); }));
  lab.site.LoseStore();
  lab.site.SetSilent(false);

  lab.Relink();

  CHECK(NodeLab::Get(std::move(run)).ok());
}

TEST_CASE("The repeat of a queued creation waits for nothing at the site") {
  // After a new link all queued pods are repeated: each held a step's thread for two seconds.
  NodeLab lab;
  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return lab.site.Calls("RunSandbox") == 1; }));
  CHECK(lab.site.LastWait() > 0s);
  const SandboxId id(*lab.site.Ids().begin());

  lab.Relink();

  REQUIRE(Eventually([&] { return lab.site.Calls("RunSandbox") == 2; }));
  CHECK(lab.site.LastWait() == 0s);
  SandboxRecord up = lab.site.RecordOf(id);
  up.set_seen(interlink::v1::SEEN_UP);
  lab.site.Tell(up);
  CHECK(NodeLab::Get(std::move(run)).ok());
}

TEST_CASE("Absence proves nothing while the handler is not inventoried") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.site.Forget(pod.str());
  lab.site.SetRecovered(false);
  lab.Relink();
  REQUIRE_FALSE(Eventually([&] { return lab.site.Calls("StopSandbox") > 0; }, 300ms));
  CHECK(lab.Shown(pod) == kListedReady);

  // Then it is: the list is asked for anew.
  lab.site.SetRecovered(true);
  Event recovered;
  recovered.mutable_handler_recovered()->set_handler("test");
  lab.site.Send(recovered);

  CHECK(Eventually([&] { return lab.Shown(pod) == kListedNotReady; }));
}

TEST_CASE("An unfinished creation that the list lacks is repeated with the same bytes") {
  NodeLab lab;
  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return !lab.site.Ids().empty(); }));
  const std::string id = *lab.site.Ids().begin();
  lab.site.Forget(id);
  lab.site.SetSilent(false);

  lab.Relink();

  const auto answer = NodeLab::Get(std::move(run));
  REQUIRE(answer.ok());
  CHECK(answer->pod_sandbox_id() == id);
  const auto bodies = lab.site.Bodies(id);
  for (const auto& body : bodies) CHECK(body == bodies[0]);
}

TEST_CASE("A held creation that is still wanted is repeated, an unknown one is denied") {
  NodeLab lab;
  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return !lab.site.Ids().empty(); }));
  const SandboxId id(*lab.site.Ids().begin());
  SandboxRecord held = lab.site.RecordOf(id);
  held.set_held(true);
  SandboxRecord stranger = held;
  stranger.set_id(std::string(64, 'b'));
  const std::string body = lab.site.Bodies(id.str())[0];
  lab.site.SetSilent(false);
  lab.site.Put(held, body);
  lab.site.Put(stranger, body);

  lab.Relink();

  const auto answer = NodeLab::Get(std::move(run));
  REQUIRE(answer.ok());
  CHECK(answer->pod_sandbox_id() == id.str());
  CHECK(Eventually([&] { return lab.site.Calls("RemoveSandbox", stranger.id()) > 0; }));
  CHECK_FALSE(lab.Shown(SandboxId(stranger.id())));
}

TEST_CASE("A node whose store was lost imports what lives, with its whole config") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  lab.Crash();
  lab.disk = NodeDisk();
  lab.Boot();
  lab.WaitLinked();

  CHECK(Eventually([&] { return lab.Shown(pod) == kListedReady; }));
  CHECK(Eventually([&] { return lab.Shown(id) == runtime::v1::CONTAINER_RUNNING; }));
  CHECK(lab.StatusOf(id).metadata().name() == "c");
  CHECK(lab.StatusOf(id).log_path() == "/logs/a/c.log");
  CHECK(lab.site.Calls("StartContainer", id.str()) == 1);
  // The name is known too: kubelet's next RunPodSandbox joins instead of running a second one.
  const auto again = lab.Run(NodeLab::Pod("a"));
  REQUIRE(again.ok());
  CHECK(*again == pod);
}

TEST_CASE("Living work without a config is shown, never denied") {
  NodeLab lab;
  SandboxRecord stranger;
  stranger.set_id(std::string(64, 'c'));
  stranger.set_handler("test");
  stranger.set_seen(interlink::v1::SEEN_UP);
  stranger.set_epoch(1);
  stranger.set_imported(true);

  lab.site.Tell(stranger);

  CHECK(Eventually([&] { return lab.Shown(SandboxId(stranger.id())) == kListedReady; }));
  CHECK(lab.site.Calls("RemoveSandbox") == 0);
}

TEST_CASE("Living work that is told outside of a list is shown with its config") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  SandboxRecord other = lab.site.RecordOf(pod);
  other.set_id(std::string(64, 'd'));
  interlink::v1::RunSandboxRequest body;
  body.set_handler("test");
  *body.mutable_config() = NodeLab::Pod("other").config();
  lab.site.Put(other, body.SerializeAsString());
  Event event;
  *event.mutable_record()->mutable_sandbox() = other;

  lab.site.Send(event);

  const SandboxId id(other.id());
  REQUIRE(Eventually([&] { return lab.Shown(id) == kListedReady; }));
  const auto again = lab.Run(NodeLab::Pod("other"));
  REQUIRE(again.ok());
  CHECK(*again == id);
}

// Both sides had come back from backups, and the site found what its backup did not know after the
// list: the next life of a container was removed because it had not been started, and an exit that
// kubelet had not seen was lost.
TEST_CASE("What a site imports outside of a list is not denied, whether it runs or not") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const auto [seen, shown] = GENERATE(table<interlink::v1::Seen, runtime::v1::ContainerState>(
      {{interlink::v1::SEEN_CREATED, runtime::v1::CONTAINER_CREATED},
       {interlink::v1::SEEN_DOWN, runtime::v1::CONTAINER_EXITED}}));
  ContainerRecord found;
  found.set_id(std::string(64, 'd'));
  found.set_sandbox_id(pod.str());
  found.set_handler("test");
  found.set_seen(seen);
  found.set_imported(true);
  found.set_epoch(lab.site.RecordOf(pod).epoch());
  found.set_revision(1);
  if (seen == interlink::v1::SEEN_DOWN) {
    found.set_started_ns(1);
    found.set_finished_ns(2);
    found.set_exit_code(7);
  }
  interlink::v1::CreateContainerRequest body;
  body.set_handler("test");
  *body.mutable_config() = NodeLab::Unit(pod, "c").config();
  lab.site.Put(found, body.SerializeAsString());
  Event event;
  *event.mutable_record()->mutable_container() = found;

  lab.site.Send(event);

  const ContainerId id(found.id());
  REQUIRE(Eventually([&] { return lab.Shown(id) == shown; }));
  CHECK(lab.StatusOf(id).metadata().name() == "c");
  if (seen == interlink::v1::SEEN_DOWN) CHECK(lab.StatusOf(id).exit_code() == 7);
  CHECK(lab.site.Calls("RemoveContainer") == 0);
}

TEST_CASE("Nor is a pod that ended before it was imported") {
  NodeLab lab;
  SandboxRecord ended = lab.site.RecordOf(lab.Ready("a"));
  ended.set_id(std::string(64, 'd'));
  ended.set_seen(interlink::v1::SEEN_DOWN);
  ended.set_imported(true);
  interlink::v1::RunSandboxRequest body;
  body.set_handler("test");
  *body.mutable_config() = NodeLab::Pod("other").config();
  lab.site.Put(ended, body.SerializeAsString());
  Event event;
  *event.mutable_record()->mutable_sandbox() = ended;

  lab.site.Send(event);

  REQUIRE(Eventually([&] { return lab.Shown(SandboxId(ended.id())) == kListedNotReady; }));
  CHECK(lab.site.Calls("RemoveSandbox") == 0);
}

TEST_CASE("A restored store hides its lists until the site's list is merged") {
  NodeLab lab;
  const SandboxId old = lab.Ready("old");
  const NodeDisk backup = lab.store->Backup();
  const SandboxId later = lab.Ready("later");
  REQUIRE(lab.RemovePod(old).ok());
  lab.Crash();
  lab.disk = backup;
  lab.site.SetNodeRestored(true);
  lab.Boot();
  lab.WaitLinked();

  CHECK(Eventually([&] { return lab.Shown(later) == kListedReady; }));
  // What the backup has and the site has removed is settled, not shown as living for ever.
  CHECK(Eventually([&] { return lab.Shown(old) != kListedReady; }));
}

TEST_CASE("A restored store learns from the site what was asked for since, logs and stops too") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId started = lab.Created(pod, "started");
  const SandboxId other = lab.Ready("b");
  const ContainerId stopping = lab.Created(other, "stopping");
  const NodeDisk backup = lab.store->Backup();
  REQUIRE(lab.StartUnit(started).ok());
  lab.site.SetSilent(true);
  auto stop = lab.BeginStopUnit(stopping);
  REQUIRE(Eventually([&] { return lab.site.Calls("StopContainer", stopping.str()) > 0; }));
  lab.Crash();
  CHECK_FALSE(NodeLab::Get(std::move(stop)).ok());
  const std::string text = "2026-01-01T00:00:00.000000001Z stdout F hello\n";
  lab.site.SetLog(started, text, false);
  lab.disk = backup;
  lab.site.SetNodeRestored(true);
  lab.Boot();
  lab.WaitLinked();

  CHECK(Eventually([&] { return lab.Shown(started) == runtime::v1::CONTAINER_RUNNING; }));
  CHECK(Eventually([&] { return lab.logs->TextOf(started) == text; }));
  CHECK(lab.StartUnit(stopping).code() == Code::kFailedPrecondition);
  CHECK(lab.site.Calls("StartContainer", stopping.str()) == 0);
}

TEST_CASE("A copied node is refused until a person acts, and the reason is told") {
  NodeLab lab;
  lab.Crash();
  lab.disk = NodeDisk();
  lab.site.Fail("Link", AlreadyExists("copied-node: run interlink-api node takeover n1"));
  lab.Boot();
  REQUIRE(Eventually([&] {
    return lab.node->Summary().reachable.message().find("takeover n1") != std::string::npos;
  }));
  const Status lists = lab.node->sandboxes().List({}).status();
  CHECK(lists.message().find("takeover n1") != std::string::npos);
  CHECK(lab.node->runtime().GetStatus(false).status().conditions(2).reason() == "LinkRefused");

  lab.site.Fail("Link", Status::Ok());

  lab.WaitLinked();
}

TEST_CASE("The counter is durable before each link and the secret is rotated") {
  NodeLab lab;
  const auto first = lab.site.LastLink();
  lab.Relink();
  const auto second = lab.site.LastLink();
  lab.Restart();
  const auto third = lab.site.LastLink();

  CHECK(first.secret().empty());
  CHECK(second.secret() == "secret-1");
  CHECK(third.node_counter() > second.node_counter());
  CHECK(second.node_counter() > first.node_counter());
  CHECK(third.secret() == "secret-" + std::to_string(lab.site.Links() - 1));
}

TEST_CASE("A stale link does nothing, makes one new link, and the work goes on") {
  NodeLab lab;
  std::vector<std::future<Result<runtime::v1::RunPodSandboxResponse>>> runs;
  lab.site.Fail("RunSandbox", Aborted("stale-link"));
  for (int i = 0; i < 8; ++i) runs.push_back(lab.BeginRun(NodeLab::Pod("p" + std::to_string(i))));
  REQUIRE(Eventually([&] { return lab.site.Links() >= 2; }));
  lab.site.Fail("RunSandbox", Status::Ok());

  for (auto& run : runs) CHECK(NodeLab::Get(std::move(run)).ok());
  CHECK(lab.site.Ids().size() == 8);
}

TEST_CASE("Another epoch changes nothing of what is known") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  lab.site.SetEpoch(2);

  lab.Relink();

  CHECK(lab.Shown(pod) == kListedReady);
  CHECK(lab.Shown(id) == runtime::v1::CONTAINER_RUNNING);
  CHECK(lab.site.Calls("StartContainer", id.str()) == 1);
  CHECK(lab.site.Calls("RunSandbox", pod.str()) == 1);
}

// Story: the containers of a pod that took their grace got their TERM two seconds after each other.
TEST_CASE("The end of one container does not wait for that of another") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId one = lab.Running(pod, "c");
  const ContainerId two = lab.Running(pod, "d");
  const ContainerId last = lab.Running(pod, "e");
  lab.store->Hold(true);
  auto first = lab.BeginStopUnit(one);
  auto second = lab.BeginStopUnit(two);
  lab.store->Hold(false);

  CHECK(NodeLab::Get(std::move(first)).ok());
  CHECK(NodeLab::Get(std::move(second)).ok());

  // Whichever comes first knows of the other.
  CHECK(std::min(lab.site.LastWait(one), lab.site.LastWait(two)) == 0s);
  REQUIRE(lab.StopUnit(last).ok());
  CHECK(lab.site.LastWait(last) > 0s);
}

TEST_CASE("An end that nobody tells of is asked for again, also beside what is tried sooner") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  lab.site.Fail("CreateContainer", Unavailable("no answer"));
  auto create = lab.BeginCreate(NodeLab::Unit(pod, "d"));
  REQUIRE(Eventually([&] { return lab.site.Calls("CreateContainer") >= 4; }));
  lab.site.SetSilent(true);
  auto stop = lab.BeginStopUnit(id);
  REQUIRE(Eventually([&] { return lab.site.Calls("StopContainer", id.str()) == 1; }));

  lab.site.Fail("CreateContainer", Status::Ok());

  CHECK(Eventually([&] { return lab.site.Calls("StopContainer", id.str()) >= 2; }));
}

}  // namespace
}  // namespace interlink::test
