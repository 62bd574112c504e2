// The calls of a sandbox: each twice, each repeated after a lost answer, each with what can fail.
#include "node_lab.h"

namespace interlink::test {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

constexpr auto kReady = runtime::v1::SANDBOX_READY;
constexpr auto kNotReady = runtime::v1::SANDBOX_NOTREADY;

TEST_CASE("A sandbox that was run is listed READY before the answer comes") {
  NodeLab lab;

  const auto id = lab.Run(NodeLab::Pod("a"));

  REQUIRE(id.ok());
  CHECK(lab.Shown(*id) == kReady);
}

TEST_CASE("Running the same name twice gives one id and asks the site once") {
  NodeLab lab;
  const SandboxId id = lab.Ready("a");

  const auto again = lab.Run(NodeLab::Pod("a"));

  REQUIRE(again.ok());
  CHECK(*again == id);
  CHECK(lab.site.Calls("RunSandbox", id.str()) == 1);
}

TEST_CASE("A run whose answer was lost is repeated with the same bytes and runs once") {
  NodeLab lab;
  lab.site.LoseAnswer("RunSandbox");
  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return lab.site.Calls("RunSandbox") >= 2; }));
  SandboxRecord up = lab.site.RecordOf(SandboxId(*lab.site.Ids().begin()));
  up.set_seen(interlink::v1::SEEN_UP);
  lab.site.Tell(up);

  const auto answer = NodeLab::Get(std::move(run));

  REQUIRE(answer.ok());
  CHECK(lab.site.Ids().size() == 1);
  const auto bodies = lab.site.Bodies(answer->pod_sandbox_id());
  REQUIRE(bodies.size() >= 2);
  CHECK(bodies[0] == bodies[1]);
}

TEST_CASE("Nothing leaves before the run is durable") {
  NodeLab lab;
  lab.store->Hold(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  // A new link drives everything: still nothing may leave.
  lab.site.SetDown(true);
  REQUIRE(Eventually([&] { return !lab.node->Summary().reachable.ok(); }));
  CHECK(lab.site.Calls("RunSandbox") == 0);

  lab.store->Kill();
  lab.Crash();
  lab.site.SetDown(false);
  lab.Boot();
  lab.WaitLinked();

  CHECK_FALSE(NodeLab::Get(std::move(run)).ok());
  CHECK(lab.node->Summary().sandboxes == 0);
  CHECK(lab.site.Ids().empty());
}

TEST_CASE("A full disk refuses new work, keeps nothing of it, and lets stops pass") {
  NodeLab lab;
  const SandboxId old = lab.Ready("old");
  lab.store->SetFull(true);

  CHECK(lab.Run(NodeLab::Pod("a")).status().code() == Code::kResourceExhausted);
  CHECK(Eventually([&] { return lab.node->Summary().sandboxes == 1; }));
  CHECK(lab.StopPod(old).ok());

  lab.store->SetFull(false);
  CHECK(lab.Run(NodeLab::Pod("a")).ok());
}

TEST_CASE("A store that refuses to queue does not lock up the node") {
  NodeLab lab;
  lab.store->SetQueueFull(true);

  CHECK(lab.Run(NodeLab::Pod("a")).status().code() == Code::kUnavailable);

  lab.store->SetQueueFull(false);
  REQUIRE(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
  CHECK(lab.Run(NodeLab::Pod("a")).ok());
}

// The answer to a log's position came under the lock that it took.
TEST_CASE("A store that refuses a log position does not lock up the node") {
  NodeLab lab;
  const ContainerId id = lab.Running(lab.Ready("a"), "c");
  const std::string text = "2026-01-01T00:00:00.000000001Z stdout F hello\n";
  lab.store->SetQueueFull(true);
  lab.site.SetLog(id, text, false);

  // Read on, not acknowledged: the site keeps what is not remembered here.
  REQUIRE(Eventually([&] { return lab.site.Credited(id) == text.size(); }));
  CHECK(lab.site.Acknowledged(id) == 0);

  lab.store->SetQueueFull(false);
  lab.site.SetLog(id, text + text, false);
  CHECK(Eventually([&] { return lab.site.Acknowledged(id) == 2 * text.size(); }));
}

TEST_CASE("A refused run answers the site's reason and leaves nothing behind") {
  NodeLab lab;
  lab.site.Fail("RunSandbox", InvalidArgument("\"hostname\" is not supported"));

  const auto answer = lab.Run(NodeLab::Pod("a"));

  CHECK(answer.status().code() == Code::kInvalidArgument);
  CHECK(answer.status().message() == "\"hostname\" is not supported");
  REQUIRE(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
  lab.site.Fail("RunSandbox", Status::Ok());
  CHECK(lab.Run(NodeLab::Pod("a")).ok());
}

TEST_CASE("A start that fails at the site is an error, is undone, and the next try has a new id") {
  NodeLab lab;
  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return !lab.site.Ids().empty(); }));
  const SandboxId first(*lab.site.Ids().begin());
  SandboxRecord failed = lab.site.RecordOf(first);
  failed.set_seen(interlink::v1::SEEN_DOWN);
  failed.mutable_failure()->set_code(static_cast<int>(Code::kUnknown));
  failed.mutable_failure()->set_message("the job was rejected");
  lab.site.SetSilent(false);
  lab.site.Tell(failed);

  const auto answer = NodeLab::Get(std::move(run));

  CHECK(answer.status().message() == "the job was rejected");
  CHECK_FALSE(lab.Shown(first));
  REQUIRE(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
  const auto second = lab.Run(NodeLab::Pod("a"));
  REQUIRE(second.ok());
  CHECK(*second != first);
}

TEST_CASE("While it is queued the answer says so before the deadline and a retry collects it") {
  NodeLab lab;
  lab.site.SetSilent(true);

  const auto queued = lab.Run(NodeLab::Pod("a"), NodeLab::call(500ms));
  REQUIRE(Eventually([&] { return lab.site.Ids().size() == 1; }));

  CHECK(queued.status().code() == Code::kUnavailable);
  CHECK(queued.status().message().find("queued at site fake:443") != std::string::npos);
  CHECK(queued.status().message().find("ask again") != std::string::npos);
  const SandboxId id(*lab.site.Ids().begin());
  CHECK_FALSE(lab.Shown(id));
  auto retry = lab.BeginRun(NodeLab::Pod("a"));
  SandboxRecord up = lab.site.RecordOf(id);
  up.set_seen(interlink::v1::SEEN_UP);
  lab.site.Tell(up);
  const auto collected = NodeLab::Get(std::move(retry));
  REQUIRE(collected.ok());
  CHECK(collected->pod_sandbox_id() == id.str());
}

// A call hears what is known at its end, and what the site tells takes its time to be known.
const Duration kShort = 300ms;
bool IsTold(NodeLab& lab, const std::string& words) {
  std::string told;
  const bool is = Eventually([&] {
    told = lab.Run(NodeLab::Pod("a"), NodeLab::call(kShort)).status().message();
    return told == words;
  });
  CHECK(told == words);
  return is;
}

TEST_CASE("While it is queued the answer has the site's own words, where it has some") {
  const auto [reason, message, words] = GENERATE(table<std::string, std::string, std::string>({
      {"Resources", "queued as job 7, PENDING (Resources)", "queued as job 7, PENDING (Resources)"},
      {"Resources", "", "Resources, allocation 7, expected start 1970-01-01T00:00:01.000000000Z"},
      {"", "", "allocation 7, expected start 1970-01-01T00:00:01.000000000Z"},
  }));
  NodeLab lab;
  lab.site.SetSilent(true);
  REQUIRE_FALSE(lab.Run(NodeLab::Pod("a"), NodeLab::call(kShort)).ok());
  REQUIRE(lab.site.Ids().size() == 1);
  SandboxRecord queued = lab.site.RecordOf(SandboxId(*lab.site.Ids().begin()));
  queued.set_reason(reason);
  queued.set_message(message);
  queued.set_allocation("7");
  queued.set_expected_start_ns(1'000'000'000);
  lab.site.Tell(queued);

  CHECK(IsTold(lab, "queued at site fake:443: " + words + "; the request is kept, ask again"));
}

// "queued at site ...: , allocation 29", for a job that ran.
TEST_CASE("While it starts in its allocation the answer does not call it queued") {
  const auto [message, words] = GENERATE(table<std::string, std::string>({
      {"job 7 runs on n1, its agent has not called yet",
       "job 7 runs on n1, its agent has not called yet"},
      {"", "allocation 7"},
  }));
  NodeLab lab;
  lab.site.SetSilent(true);
  REQUIRE_FALSE(lab.Run(NodeLab::Pod("a"), NodeLab::call(kShort)).ok());
  REQUIRE(lab.site.Ids().size() == 1);
  SandboxRecord starting = lab.site.RecordOf(SandboxId(*lab.site.Ids().begin()));
  starting.set_granted(true);
  starting.set_message(message);
  starting.set_allocation("7");
  lab.site.Tell(starting);

  CHECK(IsTold(lab, "starting at site fake:443: " + words + "; the request is kept, ask again"));
}

// The reason stood in the logs of both daemons; whoever waited heard that it is queued.
TEST_CASE("A run that the site tries again is answered with the reason") {
  const auto [queue, words] = GENERATE(table<std::string, std::string>({
      {"", "not started yet at site fake:443: RunSandbox has failed and is tried again: disk full"},
      {"as job 7",
       "queued at site fake:443: as job 7; RunSandbox has failed and is tried again: disk full"},
  }));
  NodeLab lab;
  lab.site.SetSilent(true);
  REQUIRE_FALSE(lab.Run(NodeLab::Pod("a"), NodeLab::call(kShort)).ok());
  REQUIRE(lab.site.Ids().size() == 1);
  SandboxRecord record = lab.site.RecordOf(SandboxId(*lab.site.Ids().begin()));
  record.set_message(queue);
  record.set_retrying("RunSandbox has failed and is tried again: disk full");
  lab.site.Tell(record);

  CHECK(IsTold(lab, words + "; the request is kept, ask again"));
}

TEST_CASE("A run that the site does not take is answered with the site's reason") {
  NodeLab lab;
  lab.site.Fail("RunSandbox", Unavailable("the containers are\nbeing inventoried"));

  CHECK(IsTold(
      lab,
      "not started yet at site fake:443: the containers are being inventoried; the request is "
      "kept, ask again"));
  lab.site.SetSilent(true);
  lab.site.Fail("RunSandbox", {});
  REQUIRE(Eventually([&] { return !lab.site.Ids().empty(); }));
  CHECK(IsTold(lab, "queued at site fake:443; the request is kept, ask again"));
}

TEST_CASE("What is tried again for a pod and its containers is in its verbose status") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId unit = lab.Running(pod, "c");
  const auto retrying = [&] {
    runtime::v1::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(pod.str());
    request.set_verbose(true);
    const auto status = NodeLab::Get(lab.Begin<runtime::v1::PodSandboxStatusResponse>(
        [&](auto reply) { lab.node->sandboxes().GetStatus(NodeLab::call(), request, reply); }));
    REQUIRE(status.ok());
    const auto it = status->info().find("retrying");
    return it == status->info().end() ? std::string() : it->second;
  };
  CHECK(retrying().empty());

  interlink::v1::ContainerRecord stuck = lab.site.RecordOf(unit);
  stuck.set_retrying("StopContainer has failed and is tried again: busy");
  lab.site.Tell(stuck);
  CHECK(Eventually([&] {
    return retrying() == "container \"c\": StopContainer has failed and is tried again: busy";
  }));
  SandboxRecord pod_stuck = lab.site.RecordOf(pod);
  pod_stuck.set_retrying("StopSandbox has failed and is tried again: busy");
  lab.site.Tell(pod_stuck);
  CHECK(
      Eventually([&] { return retrying() == "StopSandbox has failed and is tried again: busy"; }));
  pod_stuck.clear_retrying();
  lab.site.Tell(pod_stuck);
  stuck.clear_retrying();
  lab.site.Tell(stuck);
  CHECK(Eventually([&] { return retrying().empty(); }));
}

TEST_CASE("The summary names the pods that wait, and why") {
  NodeLab lab;
  const SandboxId ready = lab.Ready("ready");
  CHECK(lab.node->Summary().waiting == 0);

  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("queued"));
  auto stop = lab.BeginStopPod(ready);
  REQUIRE(Eventually([&] { return lab.node->Summary().waiting == 2; }));

  std::map<std::string, std::string> why;
  for (const auto& pod : lab.node->Summary().first_waiting) why[pod.pod] = pod.why;
  CHECK(why == std::map<std::string, std::string>{
                   {"default/queued", "queued at site fake:443"},
                   {"default/ready", "the end is not proven yet by site fake:443"}});

  for (size_t i = 0; i < node::kMostWaitingPods; ++i) {
    CHECK_FALSE(lab.Run(NodeLab::Pod("more-" + std::to_string(i)), NodeLab::call(10ms)).ok());
  }
  CHECK(lab.node->Summary().waiting == node::kMostWaitingPods + 2);
  CHECK(lab.node->Summary().first_waiting.size() == node::kMostWaitingPods);
}

TEST_CASE("A creation that nobody asks for any more is undone, sooner after a cancelled call") {
  NodeLab lab;
  lab.site.SetSilent(true);
  const Call call = NodeLab::call();
  auto run = lab.BeginRun(NodeLab::Pod("a"), call);
  REQUIRE(Eventually([&] { return !lab.site.Ids().empty(); }));
  call.Cancel();
  CHECK(NodeLab::Get(std::move(run)).status().code() == Code::kCancelled);
  lab.site.SetSilent(false);

  // Nobody listens: time alone undoes nothing.
  lab.clock.Advance(1h);
  CHECK_FALSE(Eventually([&] { return lab.site.Calls("RemoveSandbox") > 0; }, 1200ms));

  const auto listening = [&] {
    lab.clock.Advance(100ms);
    CHECK(lab.ListsReady());
    return lab.site.Calls("RemoveSandbox") > 0;
  };
  REQUIRE(Eventually(listening));
  CHECK(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
}

TEST_CASE("A creation whose pod kubelet has finished with is undone at once, no other is") {
  // kubelet does not cancel its call when the pod is deleted: the 5 minutes kept its job that long.
  NodeLab lab;
  lab.site.SetSilent(true);
  const auto [before, after, undone] =
      GENERATE(table<std::optional<bool>, std::optional<bool>, bool>({
          {true, false, true},
          {true, true, false},
          {true, std::nullopt, false},  // kubelet's folder cannot be looked into
          {false, false, false},        // crictl's pod
          {std::nullopt, false, false},
      }));
  lab.volumes.SetPod("uid-a", before);
  CHECK_FALSE(lab.Run(NodeLab::Pod("a"), NodeLab::call(300ms)).ok());
  REQUIRE(Eventually([&] { return lab.site.Calls("RunSandbox") > 0; }));
  lab.volumes.SetPod("uid-a", after);
  lab.site.SetSilent(false);

  int listened = 0;
  const auto listening = [&] {
    CHECK(lab.ListsReady());
    lab.clock.Advance(listened++ < 20 ? 1s : 0s);
    return lab.site.Calls("RemoveSandbox") > 0;
  };
  CHECK(Eventually(listening, undone ? 30s : 2500ms) == undone);
}

TEST_CASE("A pod that kubelet has again, under the same uid, is asked for again and kept") {
  NodeLab lab;
  lab.site.SetSilent(true);
  lab.volumes.SetPod("uid-a", true);
  CHECK_FALSE(lab.Run(NodeLab::Pod("a"), NodeLab::call(300ms)).ok());
  lab.volumes.SetPod("uid-a", false);
  CHECK_FALSE(Eventually([&] { return lab.site.Calls("RemoveSandbox") > 0; }, 1200ms));
  lab.volumes.SetPod("uid-a", true);
  CHECK_FALSE(lab.Run(NodeLab::Pod("a"), NodeLab::call(300ms)).ok());

  CHECK(lab.ListsReady());
  lab.clock.Advance(10s);
  CHECK_FALSE(Eventually([&] { return lab.site.Calls("RemoveSandbox") > 0; }, 1200ms));
}

TEST_CASE("Stop answers after proof and after the list says NOTREADY, and twice") {
  NodeLab lab;
  const SandboxId id = lab.Ready("a");

  REQUIRE(lab.StopPod(id).ok());

  CHECK(lab.Shown(id) == kNotReady);
  CHECK(lab.StopPod(id).ok());
  CHECK(lab.site.Calls("StopSandbox", id.str()) == 1);
}

TEST_CASE("A stop without proof is Unavailable while it goes on by itself") {
  NodeLab lab;
  const SandboxId id = lab.Ready("a");
  lab.site.SetSilent(true);

  const Status stopped = lab.StopPod(id, NodeLab::call(500ms));

  CHECK(stopped.code() == Code::kUnavailable);
  CHECK(lab.Shown(id) == kReady);
  SandboxRecord down = lab.site.RecordOf(id);
  down.set_seen(interlink::v1::SEEN_DOWN);
  lab.site.Tell(down);
  CHECK(Eventually([&] { return lab.Shown(id) == kNotReady; }));
}

TEST_CASE("A stop whose answer was lost is repeated until it is proven") {
  NodeLab lab;
  const SandboxId id = lab.Ready("a");
  lab.site.Fail("StopSandbox", Unavailable("no answer"));
  auto stop = lab.BeginStopPod(id);
  REQUIRE(Eventually([&] { return lab.site.Calls("StopSandbox") >= 2; }));

  lab.site.Fail("StopSandbox", Status::Ok());

  CHECK(NodeLab::Get(std::move(stop)).ok());
}

TEST_CASE("Remove ends it, its containers and its record; unknown ids are success") {
  NodeLab lab;
  const SandboxId id = lab.Ready("a");
  const ContainerId part = lab.Running(id, "c");

  REQUIRE(lab.RemovePod(id).ok());

  CHECK_FALSE(lab.Shown(id));
  CHECK_FALSE(lab.Shown(part));
  CHECK(lab.node->Summary().sandboxes == 0);
  CHECK(lab.node->Summary().containers == 0);
  CHECK(lab.RemovePod(id).ok());
  CHECK(lab.StopPod(id).ok());
  CHECK(lab.StopPod(SandboxId("../../etc/passwd")).ok());
}

TEST_CASE("Stopping an unfinished creation ends the wait and a later failure leaves no record") {
  NodeLab lab;
  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return !lab.site.Ids().empty(); }));
  const SandboxId id(*lab.site.Ids().begin());
  auto stop = lab.BeginStopPod(id);
  REQUIRE(Eventually([&] { return lab.site.Calls("StopSandbox") > 0; }));
  lab.site.SetSilent(false);
  SandboxRecord failed = lab.site.RecordOf(id);
  failed.set_seen(interlink::v1::SEEN_DOWN);
  failed.mutable_failure()->set_message("cancelled in the queue");
  lab.site.Tell(failed);

  CHECK(NodeLab::Get(std::move(stop)).ok());
  CHECK_FALSE(NodeLab::Get(std::move(run)).ok());
  CHECK(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
}

TEST_CASE("Unique prefixes resolve, ambiguous ones are refused, hostile ones are not found") {
  NodeLab lab;
  std::vector<SandboxId> ids;
  for (int i = 0; i < 17; ++i) ids.push_back(lab.Ready("p" + std::to_string(i)));
  const auto status = [&](const std::string& id) {
    runtime::v1::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(id);
    return NodeLab::Get(lab.Begin<runtime::v1::PodSandboxStatusResponse>(
        [&](auto reply) { lab.node->sandboxes().GetStatus(NodeLab::call(), request, reply); }));
  };
  // 17 ids, 16 first digits: one digit is shared.
  std::map<char, int> first;
  for (const auto& id : ids) ++first[id.str()[0]];
  for (const auto& [digit, count] : first) {
    const auto answer = status(std::string(1, digit));
    if (count == 1) {
      REQUIRE(answer.ok());
      CHECK(answer->status().id()[0] == digit);
    } else {
      CHECK(answer.status().code() == Code::kInvalidArgument);
    }
  }
  for (const std::string& id :
       std::vector<std::string>{"../x", "zz", "\n", std::string(100'000, 'a')})
    CHECK(status(id).status().code() == Code::kNotFound);
}

TEST_CASE("created_at only rises, also when the clock goes back") {
  NodeLab lab;
  const auto created = [&](const SandboxId& id) {
    runtime::v1::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(id.str());
    return NodeLab::Get(lab.Begin<runtime::v1::PodSandboxStatusResponse>([&](auto reply) {
             lab.node->sandboxes().GetStatus(NodeLab::call(), request, reply);
           }))
        ->status()
        .created_at();
  };
  const int64_t first = created(lab.Ready("a"));
  lab.clock.SetWall(1);
  const int64_t second = created(lab.Ready("b"));
  lab.Restart();
  const int64_t third = created(lab.Ready("c"));

  CHECK(second > first);
  CHECK(third > second);
}

TEST_CASE("Handlers: the default has three names, others are refused with the known ones") {
  NodeLab lab;
  auto request = NodeLab::Pod("a");
  request.set_runtime_handler("test");
  CHECK(lab.Run(request).ok());
  auto unknown = NodeLab::Pod("b");
  unknown.set_runtime_handler("runc");

  const auto refused = lab.Run(unknown);

  CHECK(refused.status().code() == Code::kInvalidArgument);
  CHECK(refused.status().message().find("\"test\"") != std::string::npos);
}

TEST_CASE("Status tells each handler's features under each of its names, once") {
  NodeLab lab;
  const auto [alias, second, names] = GENERATE(table<std::string, std::string, std::string>({
      {"", "", "+ test+ "},
      {"interlink", "other", "+ interlink+ test+ other- "},
      {"test", "other", "+ test+ other- "},
      // Pods that ask for "other" get the default one: the alias hides the site's.
      {"other", "other", "+ other+ test+ "},
  }));
  lab.options.runtime_handler = alias;
  lab.site.SetSecondHandler(second);
  lab.Restart();

  const auto status = lab.node->runtime().GetStatus(true);

  std::string shown;
  for (const auto& handler : status.runtime_handlers()) {
    shown += handler.name() + (handler.features().user_namespaces() ? "+ " : "- ");
  }
  CHECK(shown == names);
  CHECK(status.features().supplemental_groups_policy());
  CHECK_FALSE(status.features().user_namespaces_host_network());
}

TEST_CASE("Verbose status has the folder of images where the node can look at it") {
  NodeLab lab;
  lab.Restart();
  CHECK(lab.node->runtime().GetStatus(true).info().at("config") ==
        R"({"stateDir":"/data/\"images\""})");
  CHECK(lab.node->runtime().GetStatus(false).info().empty());

  lab.site.SetKubeletHost(false);
  lab.Restart();

  CHECK(lab.node->runtime().GetStatus(true).info().count("config") == 0);
}

TEST_CASE("Creations that the site does not answer at once leave room for what comes after them") {
  NodeLab lab;
  const auto ready = lab.Run(NodeLab::Pod("ready"));
  REQUIRE(ready.ok());
  lab.site.SetSilent(true);
  lab.site.HoldWaits(true);
  const int many = 3 * lab.options.step_threads;
  std::vector<std::future<Result<runtime::v1::RunPodSandboxResponse>>> parked;
  for (int i = 0; i < many; ++i)
    parked.push_back(lab.BeginRun(NodeLab::Pod("parked-" + std::to_string(i))));
  CHECK(Eventually([&] { return lab.site.Calls("RunSandbox") == many + 1; }, 5s));

  const auto stopped = lab.BeginStopPod(*ready);
  CHECK(Eventually([&] { return lab.site.Calls("StopSandbox", ready->str()) == 1; }, 5s));
  lab.site.HoldWaits(false);
}

TEST_CASE("While the site is away the last known state stays and new work is refused at once") {
  NodeLab lab;
  const SandboxId id = lab.Ready("a");
  lab.site.SetDown(true);
  REQUIRE(Eventually([&] { return !lab.node->Summary().reachable.ok(); }));

  CHECK(lab.Run(NodeLab::Pod("b")).status().code() == Code::kUnavailable);
  CHECK(lab.Shown(id) == kReady);
  const auto status = lab.node->runtime().GetStatus(false);
  for (const auto& condition : status.status().conditions())
    CHECK(condition.status() == (condition.type() != "SiteReachable"));
}

TEST_CASE("A call that waits is answered within 5 s when the site goes away") {
  NodeLab lab;
  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"), NodeLab::call(10min));
  REQUIRE(Eventually([&] { return !lab.site.Ids().empty(); }));
  const auto begun = std::chrono::steady_clock::now();
  lab.site.SetDown(true);

  CHECK(NodeLab::Get(std::move(run)).status().code() == Code::kUnavailable);
  CHECK(std::chrono::steady_clock::now() - begun < 6s);
}

// A hook has no deadline, and a probe that hears nothing has failed.
TEST_CASE("A command that runs is answered within 5 s when the site goes away") {
  NodeLab lab;
  const ContainerId id = lab.Running(lab.Ready("a"), "c");
  const Call call = NodeLab::call(10min);
  auto exec = lab.BeginExec(id, "endless", call);
  const auto begun = std::chrono::steady_clock::now();
  lab.site.SetDown(true);

  const Status answer = NodeLab::Get(std::move(exec)).status();

  CHECK(answer.code() == Code::kUnavailable);
  CHECK(answer.message() == "site fake:443 cannot be reached, the command may still run");
  CHECK(std::chrono::steady_clock::now() - begun < 6s);
  CHECK(Eventually([&] { return call.cancelled(); }));
}

// The site was back, and the look that its first loss had arranged found it lost again.
TEST_CASE("A command that runs is not ended for a site that is lost anew before the time is over") {
  NodeLab lab;
  const ContainerId id = lab.Running(lab.Ready("a"), "c");
  auto exec = lab.BeginExec(id, "endless", NodeLab::call(10min));
  lab.site.SetDown(true);
  REQUIRE(Eventually([&] { return !lab.node->Summary().reachable.ok(); }));
  lab.site.SetDown(false);
  REQUIRE(Eventually([&] { return lab.node->Summary().reachable.ok(); }));
  const auto begun = std::chrono::steady_clock::now();
  lab.site.SetDown(true);

  const Status answer = NodeLab::Get(std::move(exec)).status();

  CHECK(answer.message() == "site fake:443 cannot be reached, the command may still run");
  CHECK(std::chrono::steady_clock::now() - begun >= 4s);
  CHECK(std::chrono::steady_clock::now() - begun < 6s);
}

TEST_CASE("Before a site was ever seen the runtime is not ready and lists are Unavailable") {
  NodeLab lab(false);
  lab.site.SetDown(true);
  lab.Crash();
  lab.disk.records.clear();
  lab.Boot();

  CHECK(lab.node->sandboxes().List({}).status().code() == Code::kUnavailable);
  CHECK(lab.node->containers().List({}).status().code() == Code::kUnavailable);
  CHECK(lab.StopPod(SandboxId(std::string(64, 'a'))).code() == Code::kUnavailable);
  const auto status = lab.node->runtime().GetStatus(false);
  REQUIRE(status.status().conditions_size() == 3);
  CHECK(status.status().conditions(0).reason() == "SiteNeverSeen");
  CHECK_FALSE(status.status().conditions(0).status());
}

TEST_CASE("A fresh node is not ready between its link and the site's list") {
  NodeLab lab(false);
  lab.site.HoldList(true);
  lab.Crash();
  lab.disk.records.clear();
  lab.Boot();
  REQUIRE(Eventually([&] { return lab.node->Summary().reachable.ok(); }));

  const auto before = lab.node->Summary();
  CHECK(before.site_seen);
  CHECK(before.listed.code() == Code::kUnavailable);
  CHECK(before.listed.message() == "site fake:443 has not told yet what it has");
  CHECK(lab.node->sandboxes().List({}).status().message() == before.listed.message());

  lab.site.HoldList(false);

  CHECK(Eventually([&] { return lab.node->Summary().listed.ok(); }));
  CHECK(lab.node->sandboxes().List({}).ok());
}

TEST_CASE("Shutdown answers what waits and a second node finds the request again") {
  NodeLab lab;
  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return !lab.site.Ids().empty(); }));

  lab.Restart();

  CHECK(NodeLab::Get(std::move(run)).status().code() == Code::kUnavailable);
  CHECK(lab.node->Summary().sandboxes == 1);
}

TEST_CASE("A creation that a full disk refused leaves nothing, also when its repeat was stored") {
  // The repeat is no new work: its commit went through with the reserve and brought the record
  // back at the next start.
  NodeLab lab;
  lab.store->Hold(true);
  lab.store->SetFull(true);
  auto first = lab.BeginRun(NodeLab::Pod("a"));
  auto repeat = lab.BeginRun(NodeLab::Pod("a"));

  lab.store->Hold(false);

  CHECK(NodeLab::Get(std::move(first)).status().code() == Code::kResourceExhausted);
  CHECK_FALSE(NodeLab::Get(std::move(repeat)).ok());
  CHECK(Eventually([&] { return lab.store->Backup().records.size() == 2; }));  // meta and an image
  CHECK(lab.site.Calls("RunSandbox") == 0);
}

}  // namespace
}  // namespace interlink::test
