// The calls of a container, its log and its exit.
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "node_lab.h"
#include "support/temporary_folder.h"

namespace interlink::test {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

constexpr auto kCreated = runtime::v1::CONTAINER_CREATED;
constexpr auto kRunning = runtime::v1::CONTAINER_RUNNING;
constexpr auto kExited = runtime::v1::CONTAINER_EXITED;

ContainerRecord Exit(NodeLab& lab, const ContainerId& id, int code) {
  ContainerRecord record = lab.site.RecordOf(id);
  record.set_seen(interlink::v1::SEEN_DOWN);
  record.set_exit_code(code);
  record.set_reason(code == 0 ? "Completed" : "Error");
  record.set_finished_ns(7);
  return record;
}

TEST_CASE("Create twice gives one container; the image must be there") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Created(pod, "c");

  const auto again = lab.Create(NodeLab::Unit(pod, "c"));
  auto absent = NodeLab::Unit(pod, "d");
  absent.mutable_config()->mutable_image()->set_image("nothing");

  REQUIRE(again.ok());
  CHECK(*again == id);
  CHECK(lab.site.Calls("CreateContainer", id.str()) == 1);
  CHECK(lab.Create(absent).status().code() == Code::kNotFound);
  CHECK(lab.Shown(id) == kCreated);
}

// Story: kubelet's call ended before its answer, the creation went on by itself and was listed
// CREATED. Kubelet never starts, kills or removes such a container: it asks for the next attempt,
// which the site put off because the first one had not ended, until the pod was deleted.
TEST_CASE("The next attempt takes the place of a container that was never started") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId first = lab.Created(pod, "c");
  const ContainerId other = lab.Created(pod, "d");

  const auto second = lab.Create(NodeLab::Unit(pod, "c", 1));

  REQUIRE(second.ok());
  CHECK(*second != first);
  CHECK_FALSE(lab.Shown(first));
  CHECK(Eventually([&] { return lab.site.RecordOf(first).seen() == interlink::v1::SEEN_GONE; }));
  CHECK(lab.Shown(other) == kCreated);
  REQUIRE(lab.StartUnit(*second).ok());
  CHECK(lab.Shown(*second) == kRunning);
}

// With restartPolicy Never kubelet takes EXITED for the end of the pod.
TEST_CASE("A container that the next attempt replaces is not shown EXITED, also over a restart") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId first = lab.Created(pod, "c");
  lab.site.SetSilent(true);
  CHECK(lab.Create(NodeLab::Unit(pod, "c", 1), NodeLab::call(500ms)).status().code() ==
        Code::kUnavailable);
  REQUIRE(Eventually([&] { return lab.site.Calls("RemoveContainer", first.str()) > 0; }));
  CHECK_FALSE(lab.Shown(first));

  lab.Restart();
  lab.site.SetSilent(false);
  lab.site.Tell(Exit(lab, first, 137));

  const auto second = lab.Create(NodeLab::Unit(pod, "c", 1));
  CHECK(second.status() == Status());
  CHECK_FALSE(lab.Shown(first));
}

TEST_CASE("The next attempt leaves alone what was started, or is being started") {
  NodeLab lab;
  const bool answered = GENERATE(true, false);
  const SandboxId pod = lab.Ready("a");
  const ContainerId first = lab.Created(pod, "c");
  lab.site.SetSilent(!answered);
  auto start = lab.BeginStart(first);
  REQUIRE(Eventually([&] { return lab.Shown(first) == kRunning; }));

  const auto second = lab.Create(NodeLab::Unit(pod, "c", 1), NodeLab::call(1s));

  CHECK(second.status().code() == Code::kUnavailable);
  CHECK_THAT(second.status().message(), Catch::Contains("has not ended yet"));
  CHECK(lab.Shown(first) == kRunning);
  CHECK(lab.site.Calls("StopContainer") + lab.site.Calls("RemoveContainer") == 0);
}

TEST_CASE("A next attempt that a full disk refuses may be asked for again") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId first = lab.Created(pod, "c");
  lab.store->SetFull(true);
  CHECK(lab.Create(NodeLab::Unit(pod, "c", 1)).status().code() == Code::kResourceExhausted);

  lab.store->SetFull(false);

  CHECK(lab.Create(NodeLab::Unit(pod, "c", 1)).ok());
  CHECK_FALSE(lab.Shown(first));
}

// A tag may mean another image by the time that a lost answer is repeated.
TEST_CASE("The image of an image volume goes to the site as the id that its name means") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.site.TellImage("sha256:" + std::string(64, 'd'), "docker.io/library/data:1");
  const std::string name = GENERATE(as<std::string>(), "data:1", "docker.io/library/data:1",
                                    "sha256:" + std::string(64, 'd'), std::string(64, 'd'));
  auto request = NodeLab::Unit(pod, "c");
  auto& mount = *request.mutable_config()->add_mounts();
  mount.set_container_path("/data");
  mount.set_readonly(true);
  mount.mutable_image()->set_image(name);
  REQUIRE(Eventually([&] { return !lab.node->images().List({})->empty(); }));

  Result<ContainerId> id = NotFound("not yet");
  REQUIRE(Eventually([&] { return (id = lab.Create(request)).ok(); }));

  interlink::v1::CreateContainerRequest sent;
  REQUIRE(sent.ParseFromString(lab.site.Bodies(id->str()).at(0)));
  CHECK(sent.volume_images().at(name) == "sha256:" + std::string(64, 'd'));
  const auto status = lab.StatusOf(*id);
  REQUIRE(status.mounts_size() == 1);
  CHECK(status.mounts(0).image().image_ref() == "sha256:" + std::string(64, 'd'));
  mount.mutable_image()->set_image_ref(status.mounts(0).image().image_ref());
  CHECK(status.mounts(0).SerializeAsString() == mount.SerializeAsString());
}

TEST_CASE("An image volume of an image that is not there is refused by kubelet's word") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  auto request = NodeLab::Unit(pod, "c");
  auto& mount = *request.mutable_config()->add_mounts();
  mount.set_container_path("/data");
  mount.mutable_image()->set_image("nothing");

  const Status refused = lab.Create(request).status();

  CHECK(refused.code() == Code::kNotFound);
  CHECK(refused.message().rfind("ImageVolumeMountFailed", 0) == 0);
  CHECK_THAT(refused.message(), Catch::Contains("/data") && Catch::Contains("nothing"));
  CHECK(lab.site.Calls("CreateContainer") == 0);
}

TEST_CASE("The mounts of a container are told as they were asked for") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  auto request = NodeLab::Unit(pod, "c");
  auto& mount = *request.mutable_config()->add_mounts();
  mount.set_container_path("/m");
  mount.set_host_path("/h");
  mount.set_propagation(runtime::v1::PROPAGATION_BIDIRECTIONAL);

  const auto id = lab.Create(request);

  REQUIRE(id.ok());
  const auto status = lab.StatusOf(*id);
  REQUIRE(status.mounts_size() == 1);
  CHECK(status.mounts(0).SerializeAsString() == mount.SerializeAsString());
}

TEST_CASE("A container that never came to be is never listed, also when its pod is stopped") {
  // The stop of the pod reached the site before the creation: it was listed EXITED, and its Create
  // answered OK.
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.site.Fail("CreateContainer", Unavailable("no answer"));
  auto create = lab.BeginCreate(NodeLab::Unit(pod, "c"));
  REQUIRE(Eventually([&] { return lab.site.Calls("CreateContainer") > 0; }));

  CHECK(lab.StopPod(pod).ok());

  CHECK_FALSE(NodeLab::Get(std::move(create)).ok());
  CHECK_FALSE(Eventually([&] { return !lab.node->containers().List({})->empty(); }, 300ms));
  CHECK(lab.RemovePod(pod).ok());
}

TEST_CASE("A creation whose answer was lost is repeated with the same bytes") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.site.Fail("CreateContainer", Unavailable("no answer"));
  auto create = lab.BeginCreate(NodeLab::Unit(pod, "c"));
  REQUIRE(Eventually([&] { return lab.site.Calls("CreateContainer") >= 2; }));
  lab.site.Fail("CreateContainer", Status::Ok());

  const auto answer = NodeLab::Get(std::move(create));

  REQUIRE(answer.ok());
  const auto bodies = lab.site.Bodies(answer->container_id());
  for (const auto& body : bodies) CHECK(body == bodies[0]);
}

TEST_CASE("A creation and an end that the site tries again are answered with the reason") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.site.SetSilent(true);
  auto creation = lab.BeginCreate(NodeLab::Unit(pod, "c"), NodeLab::call(2s));
  REQUIRE(Eventually([&] { return lab.site.Calls("CreateContainer") == 1; }));
  std::set<std::string> ids = lab.site.Ids();
  ids.erase(pod.str());
  const ContainerId unit(*ids.begin());
  ContainerRecord record = lab.site.RecordOf(unit);
  record.set_retrying("CreateContainer has failed and is tried again: disk full");
  lab.site.Tell(record);

  CHECK(NodeLab::Get(std::move(creation)).status().message() ==
        "the container is being created at site fake:443: CreateContainer has failed and is tried "
        "again: disk full; it goes on by itself, ask again");
  record.set_seen(interlink::v1::SEEN_CREATED);
  record.set_retrying("StopContainer has failed and is tried again: busy");
  lab.site.Tell(record);
  REQUIRE(Eventually([&] { return lab.Shown(unit).has_value(); }));
  CHECK(lab.StopUnit(unit, NodeLab::call(500ms)).message() ==
        "the end is not proven yet by site fake:443: StopContainer has failed and is tried again: "
        "busy; it goes on by itself, ask again");
}

// An end never changes once it is shown; what holds up its removal may.
TEST_CASE("What holds up the removal of an exited container is told") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId unit = lab.Running(pod, "c");
  REQUIRE(lab.StopUnit(unit).ok());
  ContainerRecord stuck = lab.site.RecordOf(unit);
  stuck.set_retrying("RemoveContainer has failed and is tried again: busy");
  lab.site.Tell(stuck);
  const auto verbose = [&] {
    runtime::v1::ContainerStatusRequest request;
    request.set_container_id(unit.str());
    request.set_verbose(true);
    return NodeLab::Get(lab.Begin<runtime::v1::ContainerStatusResponse>(
        [&](auto reply) { lab.node->containers().GetStatus(NodeLab::call(), request, reply); }));
  };

  CHECK(Eventually([&] { return verbose()->info().contains("retrying"); }));
  CHECK(verbose()->info().at("retrying") == "RemoveContainer has failed and is tried again: busy");
  CHECK(verbose()->status().state() == runtime::v1::CONTAINER_EXITED);
}

TEST_CASE("A refused creation is undone and its name is free for the next try") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.site.Fail("CreateContainer", Unimplemented("\"devices\" is not supported"));

  CHECK(lab.Create(NodeLab::Unit(pod, "c")).status().code() == Code::kUnimplemented);

  lab.site.Fail("CreateContainer", Status::Ok());
  REQUIRE(Eventually([&] { return lab.node->Summary().containers == 0; }));
  CHECK(lab.Create(NodeLab::Unit(pod, "c")).ok());
}

TEST_CASE("From the committed start on a container is RUNNING, whatever the answer") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Created(pod, "c");
  lab.site.Fail("StartContainer", Unavailable("no answer"));
  auto start = lab.BeginStart(id);
  REQUIRE(Eventually([&] { return lab.Shown(id) == kRunning; }));

  lab.Restart();
  CHECK(lab.Shown(id) == kRunning);
  lab.site.Fail("StartContainer", Status::Ok());

  CHECK(Eventually([&] { return lab.site.RecordOf(id).seen() == interlink::v1::SEEN_UP; }));
  CHECK_FALSE(NodeLab::Get(std::move(start)).ok());
}

TEST_CASE("A stop that comes before the start's answer leaves the container RUNNING") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Created(pod, "c");
  lab.site.Fail("StartContainer", Unavailable("no answer"));
  lab.site.Fail("StopContainer", Unavailable("no answer"));
  lab.site.Fail("StopSandbox", Unavailable("no answer"));
  auto start = lab.BeginStart(id);
  REQUIRE(Eventually([&] { return lab.Shown(id) == kRunning; }));

  auto stop = lab.BeginStopUnit(id);
  REQUIRE(Eventually([&] { return lab.site.Calls("StopContainer") > 0; }));
  CHECK(lab.Shown(id) == kRunning);
  auto stop_pod = lab.BeginStopPod(pod);
  REQUIRE(Eventually([&] { return lab.site.Calls("StopSandbox") > 0; }));
  CHECK(lab.Shown(id) == kRunning);
  lab.Restart();
  CHECK(lab.Shown(id) == kRunning);

  CHECK_FALSE(NodeLab::Get(std::move(start)).ok());
  CHECK_FALSE(NodeLab::Get(std::move(stop)).ok());
  CHECK_FALSE(NodeLab::Get(std::move(stop_pod)).ok());
}

TEST_CASE("A start does not leave before it is durable") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Created(pod, "c");
  lab.store->Hold(true);
  auto start = lab.BeginStart(id);
  SandboxRecord word = lab.site.RecordOf(pod);
  word.set_message("another event of the sandbox drives it");
  lab.site.Tell(word);
  REQUIRE_FALSE(Eventually([&] { return lab.site.Calls("StartContainer") > 0; }, 300ms));
  CHECK(lab.Shown(id) == kCreated);

  lab.store->Hold(false);

  CHECK(NodeLab::Get(std::move(start)).ok());
  CHECK(lab.Shown(id) == kRunning);
}

TEST_CASE("A start that fails is EXITED 128 StartError and an error") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Created(pod, "c");
  lab.site.SetSilent(true);
  auto start = lab.BeginStart(id);
  REQUIRE(Eventually([&] { return lab.site.Calls("StartContainer") > 0; }));
  ContainerRecord failed = Exit(lab, id, 128);
  failed.set_reason("StartError");
  failed.set_message("no such program");
  lab.site.Tell(failed);

  const Status started = NodeLab::Get(std::move(start)).status();

  CHECK(started.message().find("no such program") != std::string::npos);
  CHECK(lab.Shown(id) == kExited);
  CHECK(lab.StatusOf(id).exit_code() == 128);
  CHECK(lab.StatusOf(id).reason() == "StartError");
  CHECK(lab.StatusOf(id).started_at() != 0);
  CHECK(lab.StatusOf(id).finished_at() != 0);
}

TEST_CASE("A start that failed at the site is repeated: it may have happened") {
  NodeLab lab;
  const ContainerId id = lab.Created(lab.Ready("a"), "c");
  const Code code =
      GENERATE(Code::kResourceExhausted, Code::kInternal, Code::kUnknown, Code::kDataLoss);
  lab.site.Fail("StartContainer", Status(code, "no answer that proves anything"));
  auto start = lab.BeginStart(id);
  REQUIRE(Eventually([&] { return lab.site.Calls("StartContainer") >= 2; }));
  CHECK(lab.Shown(id) == kRunning);

  lab.site.Fail("StartContainer", Status::Ok());

  CHECK(NodeLab::Get(std::move(start)).ok());
  CHECK(lab.Shown(id) == kRunning);
}

TEST_CASE("A start that the site refuses is EXITED only after the proof of its end") {
  // The refusal may be of a repeat: an earlier try may have started it.
  NodeLab lab;
  const ContainerId id = lab.Created(lab.Ready("a"), "c");
  lab.site.Fail("StartContainer", PermissionDenied("not allowed any more"));
  lab.site.Fail("StopContainer", Unavailable("no answer"));
  auto start = lab.BeginStart(id);
  REQUIRE(Eventually([&] { return lab.site.Calls("StopContainer") > 0; }));
  CHECK(lab.Shown(id) == kRunning);

  lab.site.Fail("StopContainer", Status::Ok());

  CHECK(NodeLab::Get(std::move(start)).ok());
  CHECK(Eventually([&] { return lab.Shown(id) == kExited; }));
  CHECK(lab.StatusOf(id).exit_code() == 143);
}

TEST_CASE("A start of which the site knows nothing is settled by proof, as lost") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Created(pod, "c");
  lab.site.Forget(id.str());

  auto start = lab.BeginStart(id);

  CHECK(NodeLab::Get(std::move(start)).ok());
  CHECK(Eventually([&] { return lab.Shown(id) == kExited; }));
  CHECK(lab.site.Calls("StopContainer", id.str()) >= 1);
  CHECK(lab.StatusOf(id).exit_code() == 255);
  CHECK(lab.StatusOf(id).reason() == "Error");
}

TEST_CASE("An exit never changes once it was told") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  lab.site.Tell(Exit(lab, id, 3));
  REQUIRE(Eventually([&] { return lab.Shown(id) == kExited; }));

  lab.site.Tell(Exit(lab, id, 0));
  lab.site.Tell(Exit(lab, lab.Running(pod, "d"), 0));
  REQUIRE(Eventually([&] { return lab.node->Summary().containers == 2; }));
  lab.Relink();

  CHECK(lab.StatusOf(id).exit_code() == 3);
  lab.Restart();
  CHECK(lab.StatusOf(id).exit_code() == 3);
  CHECK(lab.Shown(id) == kExited);
}

TEST_CASE("Late and repeated facts change nothing") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  Event old;
  *old.mutable_record()->mutable_container() = lab.site.RecordOf(id);
  lab.site.Tell(Exit(lab, id, 3));
  REQUIRE(Eventually([&] { return lab.Shown(id) == kExited; }));

  for (int i = 0; i < 3; ++i) lab.site.Send(old);
  lab.site.TellImage("sha256:mark", "mark:latest");
  REQUIRE(Eventually([&] { return lab.node->images().List({})->size() == 2; }));

  CHECK(lab.Shown(id) == kExited);
}

TEST_CASE("The log reaches the file before the exit is shown, and is acknowledged") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  lab.logs->SetStuck(true);
  const std::string text = "2026-01-01T00:00:00.000000001Z stdout F hello\n";
  lab.site.SetLog(id, text, true);
  ContainerRecord exit = Exit(lab, id, 0);
  exit.set_log_end(text.size());
  lab.site.Tell(exit);
  REQUIRE_FALSE(Eventually([&] { return lab.Shown(id) == kExited; }, 700ms));

  lab.logs->SetStuck(false);
  lab.Restart();

  CHECK(Eventually([&] { return lab.Shown(id) == kExited; }));
  CHECK(lab.logs->TextOf(id) == text);
  CHECK(lab.logs->PathOf(id) == "/logs/a/c.log");
  CHECK(Eventually([&] { return lab.site.Acknowledged(id) == text.size(); }));
}

TEST_CASE("A log that makes no progress holds an exit up for two seconds only") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  ContainerRecord exit = Exit(lab, id, 0);
  exit.set_log_end(100);
  lab.site.Tell(exit);
  const int64_t looks = lab.clock.Asked();
  REQUIRE_FALSE(Eventually([&] { return lab.Shown(id) == kExited; }, 600ms));
  CHECK(lab.clock.Asked() - looks < 10'000);  // it waits; who asks here looks too

  lab.clock.Advance(2s);

  CHECK(Eventually([&] { return lab.Shown(id) == kExited; }));
}

TEST_CASE("A log that the site could not read is asked for again, ended or not") {
  // A site that restarts refuses until it has found its work again; it then drops the subscription.
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId running = lab.Running(pod, "running");
  const ContainerId ended = lab.Running(pod, "ended");
  const std::string text = "2026-01-01T00:00:00.000000001Z stdout F hello\n";
  ContainerRecord exit = Exit(lab, ended, 0);
  exit.set_log_end(text.size());
  lab.site.FailLog(running, Unavailable("the handler is not recovered"));
  lab.site.FailLog(ended, NotFound("no such log"));
  lab.site.Tell(exit);
  lab.site.SetLog(running, text, false);
  lab.site.SetLog(ended, text, true);
  REQUIRE_FALSE(Eventually([&] { return lab.Shown(ended) == kExited; }, 300ms));

  lab.site.FailLog(running, Status::Ok());
  lab.site.FailLog(ended, Status::Ok());

  CHECK(Eventually([&] { return lab.logs->TextOf(running) == text; }));
  CHECK(Eventually([&] { return lab.logs->TextOf(ended) == text; }));
  CHECK(Eventually([&] { return lab.Shown(ended) == kExited; }));
}

TEST_CASE("A log folder that is missing stops neither the container nor its exit") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.logs->FailOpen(NotFound("no such folder"));
  const ContainerId id = lab.Running(pod, "c");

  lab.site.Tell(Exit(lab, id, 0));

  CHECK(Eventually([&] { return lab.Shown(id) == kExited; }));
}

TEST_CASE("A log that cannot be opened now is neither discarded nor acknowledged") {
  // A full disk at the start once lost the whole log: it was read, dropped and acknowledged.
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.logs->FailOpen(ResourceExhausted("no space left on device"));
  const ContainerId id = lab.Running(pod, "c");
  lab.site.SetLog(id, "2026-01-01T00:00:00.000000001Z stdout F hello\n", false);

  REQUIRE_FALSE(Eventually([&] { return lab.site.Acknowledged(id) > 0; }, 300ms));

  lab.logs->FailOpen(Status::Ok());
  lab.Restart();
  CHECK(Eventually([&] { return !lab.logs->TextOf(id).empty(); }));
}

TEST_CASE("The termination message is in its file before the exit is shown") {
  TemporaryFolder folder;
  NodeLab lab;
  lab.site.SetKubeletHost(false);
  lab.Relink();
  const std::string path = folder.path() + "/termination-log";
  REQUIRE(WriteFileAtomically(path, "", 0644).ok());
  const SandboxId pod = lab.Ready("a");
  auto request = NodeLab::Unit(pod, "c");
  (*request.mutable_config()
        ->mutable_annotations())["io.kubernetes.container.terminationMessagePath"] = "/dev/last";
  auto* mount = request.mutable_config()->add_mounts();
  mount->set_container_path("/dev/last");
  mount->set_host_path(path);
  const auto id = lab.Create(request);
  REQUIRE(id.ok());
  REQUIRE(lab.StartUnit(*id).ok());
  ContainerRecord exit = Exit(lab, *id, 1);
  exit.set_termination_message("out of cheese");

  lab.site.Tell(exit);

  REQUIRE(Eventually([&] { return lab.Shown(*id) == kExited; }));
  CHECK(*ReadFile(path) == "out of cheese");
  // Kubelet appends the file to the message.
  CHECK(lab.StatusOf(*id).message().empty());
}

TEST_CASE("A sandbox is NOTREADY only after its containers are EXITED") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  SandboxRecord down = lab.site.RecordOf(pod);
  down.set_seen(interlink::v1::SEEN_DOWN);
  lab.site.Tell(down);
  lab.site.TellImage("sha256:mark", "mark:latest");
  REQUIRE(Eventually([&] { return lab.node->images().List({})->size() == 2; }));
  CHECK(lab.Shown(pod) == runtime::v1::SANDBOX_READY);

  lab.site.Tell(Exit(lab, id, 0));

  CHECK(Eventually([&] { return lab.Shown(pod) == runtime::v1::SANDBOX_NOTREADY; }));
  CHECK(lab.Shown(id) == kExited);
}

TEST_CASE("Containers of an ended sandbox whose end is never told are lost, also over a restart") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  SandboxRecord down = lab.site.RecordOf(pod);
  down.set_seen(interlink::v1::SEEN_DOWN);
  lab.site.Tell(down);
  lab.site.TellImage("sha256:mark", "mark:latest");
  REQUIRE(Eventually([&] { return lab.node->images().List({})->size() == 2; }));

  lab.Restart();

  CHECK(Eventually([&] { return lab.Shown(id) == kExited; }));
  CHECK(lab.StatusOf(id).exit_code() == 255);
  CHECK(Eventually([&] { return lab.Shown(pod) == runtime::v1::SANDBOX_NOTREADY; }));
}

TEST_CASE("Stop twice, after a lost answer, and of an exited or unknown container, is success") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  lab.site.LoseAnswer("StopContainer");

  CHECK(lab.StopUnit(id).ok());

  CHECK(lab.Shown(id) == kExited);
  CHECK(lab.StatusOf(id).exit_code() == 143);
  CHECK(lab.StopUnit(id).ok());
  CHECK(lab.RemoveUnit(id).ok());
  CHECK_FALSE(lab.Shown(id));
  CHECK(lab.RemoveUnit(id).ok());
  CHECK(lab.StopUnit(id).ok());
}

TEST_CASE("A running container is removed, and its name may be used again") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");

  REQUIRE(lab.RemoveUnit(id).ok());

  const ContainerId next = lab.Running(pod, "c");
  CHECK(next != id);
}

TEST_CASE("Times are clamped between creation and now") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  ContainerRecord exit = Exit(lab, id, 0);
  exit.set_started_ns(1);
  exit.set_finished_ns(INT64_MAX);
  lab.clock.Advance(1s);
  lab.site.Tell(exit);
  REQUIRE(Eventually([&] { return lab.Shown(id) == kExited; }));

  const auto status = lab.StatusOf(id);

  CHECK(status.started_at() == status.created_at());
  CHECK(status.finished_at() <= lab.clock.WallNanos());
  CHECK(status.finished_at() >= status.started_at());
  lab.clock.Advance(1h);
  CHECK(lab.StatusOf(id).finished_at() == status.finished_at());
}

// Kubelet's back-off counts from finished_at: if that were "now" it would never be over.
TEST_CASE("Times that nobody knows do not move") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId starting = lab.Created(pod, "starting");
  const ContainerId failed = lab.Created(pod, "failed");
  lab.site.SetSilent(true);
  auto start = lab.BeginStart(starting);
  REQUIRE(Eventually([&] { return lab.Shown(starting) == kRunning; }));
  ContainerRecord exit = Exit(lab, failed, 128);
  exit.set_started_ns(0);
  exit.set_finished_ns(GENERATE(0, 1, INT64_MAX));
  lab.site.Tell(exit);
  REQUIRE(Eventually([&] { return lab.Shown(failed) == kExited; }));
  const auto first = lab.StatusOf(failed);
  const int64_t since = lab.StatusOf(starting).started_at();

  lab.clock.Advance(1h);

  CHECK(lab.StatusOf(failed).started_at() == first.started_at());
  CHECK(lab.StatusOf(failed).finished_at() == first.finished_at());
  CHECK(first.started_at() >= first.created_at());
  CHECK(first.finished_at() >= first.started_at());
  CHECK(lab.StatusOf(starting).started_at() == since);
  CHECK(since >= lab.StatusOf(starting).created_at());
  lab.site.SetSilent(false);
  static_cast<void>(NodeLab::Get(std::move(start)));
}

TEST_CASE("Reopen makes a new file only while the container runs") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Created(pod, "c");
  const auto reopen = [&] {
    runtime::v1::ReopenContainerLogRequest request;
    request.set_container_id(id.str());
    return NodeLab::Get(lab.Begin<runtime::v1::ReopenContainerLogResponse>([&](auto reply) {
             lab.node->containers().ReopenLog(NodeLab::call(), request, reply);
           }))
        .status();
  };
  CHECK(reopen().code() == Code::kFailedPrecondition);
  REQUIRE(lab.StartUnit(id).ok());
  CHECK(reopen().ok());
  CHECK(lab.logs->ReopenedOf(id) == 1);
}

TEST_CASE("ExecSync: DeadlineExceeded only when the command overran its own time") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  const auto exec = [&](const std::string& command) {
    return NodeLab::Get(lab.BeginExec(id, command));
  };
  CHECK(exec("hello")->stdout() == "hello");
  CHECK(exec("too-long").status().code() == Code::kDeadlineExceeded);
  lab.site.Fail("ExecSync", Aborted("stale-link"));
  CHECK(exec("hello").status().code() == Code::kUnavailable);
  lab.site.SetDown(true);
  REQUIRE(Eventually([&] { return !lab.node->Summary().reachable.ok(); }));
  CHECK(exec("hello").status().code() == Code::kUnavailable);
}

// Kubelet takes the end of its own call for a failed probe.
TEST_CASE("ExecSync is answered before its caller gives up") {
  NodeLab lab;
  const ContainerId id = lab.Running(lab.Ready("a"), "c");
  const Call call = NodeLab::call(5s);

  const auto answer = NodeLab::Get(lab.BeginExec(id, "endless", call));

  CHECK(answer.status().code() == Code::kUnavailable);
  CHECK_FALSE(call.expired());
}

TEST_CASE("ExecSync is not cut short before the command's own time is over") {
  NodeLab lab;
  const ContainerId id = lab.Running(lab.Ready("a"), "c");
  // A tenth of the call's time would be more than the 300 ms that are left behind the command's.
  const Call call = NodeLab::call(4300ms);

  const auto answer = NodeLab::Get(lab.BeginExec(id, "endless", call, 4));

  CHECK(answer.status().code() == Code::kUnavailable);
  CHECK(call.remaining() < 300ms);
}

TEST_CASE("A tag that has moved is found at the image that has it now") {
  NodeLab lab;
  const std::string tag = "registry.test/app:latest";
  runtime::v1::ImageStatusRequest status;
  status.mutable_image()->set_image(tag);
  const auto found = [&] { return lab.node->images().GetStatus(status)->image().id(); };
  lab.site.TellImage("sha256:a", tag);
  REQUIRE(Eventually([&] { return found() == "sha256:a"; }));

  lab.site.TellImage("sha256:a", "");
  lab.site.TellImage("sha256:b", tag);

  CHECK(Eventually([&] { return found() == "sha256:b"; }));
}

TEST_CASE("Every running container has memory in its statistics, asked or not") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId id = lab.Running(pod, "c");
  const auto memory = [&] {
    runtime::v1::ContainerStatsRequest request;
    request.set_container_id(id.str());
    const auto stats = lab.node->stats().GetContainer(request);
    REQUIRE(stats.ok());
    REQUIRE(stats->stats().memory().has_working_set_bytes());
    lab.clock.Advance(100ms);
    return stats->stats().memory().working_set_bytes().value();
  };
  CHECK(memory() == 0);
  CHECK(Eventually([&] { return memory() == 4711; }));

  // A site that has just started, or waits for a slow agent, cannot measure it now.
  lab.site.SetUnmeasured(true);
  const int asked = lab.site.Calls("Stats");
  REQUIRE(Eventually([&] {
    memory();
    return lab.site.Calls("Stats") > asked + 2;
  }));
  CHECK(memory() == 4711);
}

}  // namespace
}  // namespace interlink::test
