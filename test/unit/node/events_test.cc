// GetContainerEvents of the domain: what is told, when, in which order, and to whom.
#include "node/event_feed.h"
#include "node_lab.h"

namespace interlink::test {
namespace {

using node::EventFeed;
using node::Slices;
using runtime::v1::ContainerEventResponse;

// Reads a feed to its end. `look` sees each event as it comes.
class Listener {
 public:
  using Look = std::function<void(const ContainerEventResponse&)>;
  explicit Listener(node::Node& node, Look look = {}) : look_(std::move(look)) {
    auto feed = node.events().Subscribe();
    REQUIRE(feed.ok());
    feed_ = *feed;
    Ask();
  }
  ~Listener() { feed_->Cancel(); }

  std::vector<ContainerEventResponse> Events() {
    MutexLock lock(mutex_);
    return events_;
  }
  size_t Count() { return Events().size(); }
  // The events as "who:what"; who by `names`. Waits for so
  // many.
  std::vector<std::string> Told(const std::map<std::string, std::string>& names, size_t count) {
    Eventually([&] { return Count() >= count; });
    std::vector<std::string> told;
    for (const auto& event : Events()) {
      const auto name = names.find(event.container_id());
      const std::string what = ContainerEventType_Name(event.container_event_type());
      told.push_back((name == names.end() ? event.container_id() : name->second) + ":" +
                     what.substr(what.find('_') + 1, what.rfind('_') - what.find('_') - 1));
    }
    return told;
  }
  Status End() {
    MutexLock lock(mutex_);
    return end_;
  }

 private:
  void Ask() {
    feed_->Next([this](Result<std::optional<Slices>> next) {
      if (!next.ok() || !next->has_value()) {
        MutexLock lock(mutex_);
        end_ = next.status();
        return;
      }
      ContainerEventResponse event;
      if (!event.ParseFromString(*(*next)->front())) std::abort();
      if (look_) look_(event);
      {
        MutexLock lock(mutex_);
        events_.push_back(event);
      }
      Ask();
    });
  }

  const Look look_;
  node::FeedPtr feed_;
  Mutex mutex_;
  std::vector<ContainerEventResponse> events_ GUARDED_BY(mutex_);
  Status end_ GUARDED_BY(mutex_);
};

using Names = std::vector<std::string>;

TEST_CASE("the whole life of a pod and a container is told, in order, with the pod's status") {
  NodeLab lab;
  Listener listener(*lab.node);

  const SandboxId pod = lab.Ready("web");
  const ContainerId unit = lab.Running(pod, "main");
  REQUIRE(lab.StopUnit(unit).ok());
  REQUIRE(lab.RemoveUnit(unit).ok());
  REQUIRE(lab.StopPod(pod).ok());
  REQUIRE(lab.RemovePod(pod).ok());

  CHECK(listener.Told({{pod.str(), "pod"}, {unit.str(), "unit"}}, 8) ==
        Names{"pod:CREATED", "pod:STARTED", "unit:CREATED", "unit:STARTED", "unit:STOPPED",
              "unit:DELETED", "pod:STOPPED", "pod:DELETED"});
  REQUIRE(listener.Count() == 8);
  int64_t last = 0;
  for (const auto& event : listener.Events()) {
    INFO(event.ShortDebugString());
    CHECK(event.created_at() > last);
    last = event.created_at();
    CHECK(event.pod_sandbox_status().id() == pod.str());
    CHECK(event.pod_sandbox_status().metadata().uid() == "uid-web");
  }
  const auto events = listener.Events();
  CHECK(events[1].pod_sandbox_status().state() == runtime::v1::SANDBOX_READY);
  CHECK(events[1].containers_statuses_size() == 0);
  REQUIRE(events[4].containers_statuses_size() == 1);
  CHECK(events[4].containers_statuses(0).state() == runtime::v1::CONTAINER_EXITED);
  CHECK(events[4].containers_statuses(0).id() == unit.str());
  CHECK(events[5].containers_statuses_size() == 0);
  CHECK(events[7].pod_sandbox_status().state() == runtime::v1::SANDBOX_NOTREADY);
}

TEST_CASE("an event carries all containers of its pod, and none of another") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("web");
  const SandboxId other = lab.Ready("other");
  const ContainerId first = lab.Running(pod, "first");
  const ContainerId stranger = lab.Running(other, "stranger");
  Listener listener(*lab.node);

  const ContainerId second = lab.Created(pod, "second");

  listener.Told({}, 1);
  std::set<std::string> ids;
  const auto events = listener.Events();
  REQUIRE(events.size() == 1);
  for (const auto& status : events[0].containers_statuses()) ids.insert(status.id());
  CHECK(ids == std::set<std::string>{first.str(), second.str()});
  CHECK(!ids.contains(stranger.str()));
}

TEST_CASE("lists already say what an event tells") {
  NodeLab lab;
  std::atomic<int> wrong = 0;
  const auto look = [&](const ContainerEventResponse& event) {
    if (event.container_id() == event.pod_sandbox_status().id()) return;
    const auto shown = lab.Shown(ContainerId(event.container_id()));
    switch (event.container_event_type()) {
      case runtime::v1::CONTAINER_CREATED_EVENT:
        if (!shown) ++wrong;
        break;
      case runtime::v1::CONTAINER_STARTED_EVENT:
        if (shown < runtime::v1::CONTAINER_RUNNING) ++wrong;
        break;
      case runtime::v1::CONTAINER_STOPPED_EVENT:
        if (shown && *shown != runtime::v1::CONTAINER_EXITED) ++wrong;
        break;
      default:
        if (shown) ++wrong;
    }
  };
  Listener listener(*lab.node, look);

  const SandboxId pod = lab.Ready("web");
  const ContainerId unit = lab.Running(pod, "main");
  REQUIRE(lab.StopUnit(unit).ok());
  REQUIRE(lab.RemoveUnit(unit).ok());

  REQUIRE(Eventually([&] { return listener.Count() == 6; }));
  CHECK(wrong == 0);
}

TEST_CASE("nothing is told before it is durable") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("web");
  const ContainerId unit = lab.Created(pod, "main");
  Listener listener(*lab.node);

  lab.store->Hold(true);
  auto started = lab.BeginStart(unit);
  CHECK(listener.Count() == 0);  // the change itself is made by now
  lab.store->Hold(false);

  REQUIRE(NodeLab::Get(std::move(started)).ok());
  CHECK(listener.Told({{unit.str(), "unit"}}, 1) == Names{"unit:STARTED"});
}

TEST_CASE("a pod that is removed with its containers is told last") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("web");
  const ContainerId unit = lab.Running(pod, "main");
  Listener listener(*lab.node);

  REQUIRE(lab.RemovePod(pod).ok());

  const std::map<std::string, std::string> names = {{pod.str(), "pod"}, {unit.str(), "unit"}};
  CHECK(listener.Told(names, 4).back() == "pod:DELETED");
  const Names told = listener.Told(names, 4);
  const auto at = [&](const char* what) { return std::find(told.begin(), told.end(), what); };
  CHECK(told.size() == 4);
  CHECK(at("unit:STOPPED") < at("unit:DELETED"));
  CHECK(at("unit:STOPPED") < at("pod:STOPPED"));
  CHECK(at("unit:DELETED") < at("pod:DELETED"));
}

TEST_CASE("a start that fails is told as stopped, never as deleted") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("web");
  const ContainerId unit = lab.Created(pod, "main");
  Listener listener(*lab.node);
  lab.site.SetSilent(true);
  auto start = lab.BeginStart(unit);
  REQUIRE(Eventually([&] { return lab.site.Calls("StartContainer") > 0; }));
  ContainerRecord failed = lab.site.RecordOf(unit);
  failed.set_seen(interlink::v1::SEEN_DOWN);
  failed.set_reason("StartError");
  failed.set_exit_code(128);
  lab.site.Tell(failed);

  CHECK(!NodeLab::Get(std::move(start)).ok());

  CHECK(listener.Told({{unit.str(), "unit"}}, 2) == Names{"unit:STARTED", "unit:STOPPED"});
}

TEST_CASE("a new link and a restart tell nothing: nothing has changed") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("web");
  const ContainerId unit = lab.Running(pod, "main");
  size_t told = 0;
  {
    Listener listener(*lab.node);
    lab.Relink();
    // What follows is told, so everything before it has been.
    lab.Created(pod, "next");
    CHECK(listener.Told({{unit.str(), "unit"}}, 1).size() == 1);
    told = listener.Count();
  }
  CHECK(told == 1);

  lab.Restart();
  Listener listener(*lab.node);
  lab.Relink();
  const ContainerId third = lab.Created(pod, "third");
  CHECK(listener.Told({{third.str(), "third"}}, 1) == Names{"third:CREATED"});
}

TEST_CASE("an end that was missed while the site was away is told once") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("web");
  const ContainerId unit = lab.Running(pod, "main");
  Listener listener(*lab.node);

  lab.site.SetDown(true);
  REQUIRE(Eventually([&] { return !lab.node->Summary().reachable.ok(); }));
  auto record = lab.site.RecordOf(unit);
  record.set_seen(interlink::v1::SEEN_DOWN);
  record.set_exit_code(3);
  record.set_finished_ns(1);
  lab.site.Tell(record);
  lab.site.SetDown(false);
  lab.WaitLinked();

  CHECK(listener.Told({{unit.str(), "unit"}}, 1) == Names{"unit:STOPPED"});
  lab.Created(pod, "next");
  CHECK(listener.Told({{unit.str(), "unit"}}, 2).size() == 2);
}

TEST_CASE("every listener hears everything, and its place is free when it has gone") {
  NodeLab lab;
  std::vector<std::unique_ptr<Listener>> listeners;
  for (int i = 0; i < 32; ++i) listeners.push_back(std::make_unique<Listener>(*lab.node));
  CHECK(lab.node->events().Subscribe().status().code() == Code::kResourceExhausted);

  lab.Ready("web");

  for (const auto& listener : listeners) CHECK(Eventually([&] { return listener->Count() == 2; }));
  listeners.pop_back();
  CHECK(lab.node->events().Subscribe().ok());
}

TEST_CASE("a stop ends every stream, and nobody subscribes any more") {
  NodeLab lab;
  Listener listener(*lab.node);

  lab.node->Stop();

  CHECK(listener.End().code() == Code::kUnavailable);
  CHECK(lab.node->events().Subscribe().status().code() == Code::kUnavailable);
}

TEST_CASE("a pod's status and the events about it are ordered by one time") {
  NodeLab lab;
  Listener listener(*lab.node);
  const SandboxId pod = lab.Ready("web");
  const ContainerId unit = lab.Created(pod, "main");
  REQUIRE(Eventually([&] { return listener.Count() == 3; }));
  runtime::v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod.str());
  const auto status = NodeLab::Get(lab.Begin<runtime::v1::PodSandboxStatusResponse>(
      [&](auto reply) { lab.node->sandboxes().GetStatus(NodeLab::call(), request, reply); }));
  REQUIRE(lab.StartUnit(unit).ok());
  REQUIRE(Eventually([&] { return listener.Count() == 4; }));

  REQUIRE(status.ok());
  CHECK(status->timestamp() > listener.Events()[2].created_at());
  CHECK(status->timestamp() < listener.Events()[3].created_at());
  REQUIRE(status->containers_statuses_size() == 1);
  CHECK(status->containers_statuses(0).id() == unit.str());
  CHECK(status->containers_statuses(0).state() == runtime::v1::CONTAINER_CREATED);
}

TEST_CASE("a pod's containers are told the newest first, in its status and in events") {
  // kubelet's Evented PLEG takes the first of a name for the last attempt, and starts the next one
  // by it.
  NodeLab lab;
  const SandboxId pod = lab.Ready("web");
  std::vector<std::string> newest;
  for (int i = 0; i < 6; ++i)
    newest.insert(newest.begin(), lab.Created(pod, "c" + std::to_string(i)).str());
  Listener listener(*lab.node);
  newest.insert(newest.begin(), lab.Created(pod, "last").str());
  const auto ids = [](const auto& statuses) {
    std::vector<std::string> found;
    for (const auto& status : statuses) found.push_back(status.id());
    return found;
  };

  runtime::v1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod.str());
  const auto status = NodeLab::Get(lab.Begin<runtime::v1::PodSandboxStatusResponse>(
      [&](auto reply) { lab.node->sandboxes().GetStatus(NodeLab::call(), request, reply); }));

  REQUIRE(status.ok());
  CHECK(ids(status->containers_statuses()) == newest);
  REQUIRE(Eventually([&] { return listener.Count() == 1; }));
  CHECK(ids(listener.Events()[0].containers_statuses()) == newest);
}

node::Slice Text(const std::string& text) { return std::make_shared<const std::string>(text); }

TEST_CASE("a reader that falls behind loses its feed with an error and holds nobody up") {
  EventFeed feed(10);
  feed.Push(Text("12345"));
  feed.Push(Text("67890"));
  CHECK(!feed.ended());

  feed.Push(Text("x"));

  CHECK(feed.ended());
  Status end;
  feed.Next([&](const auto& next) { end = next.status(); });
  CHECK(end.code() == Code::kResourceExhausted);
}

TEST_CASE("an event that alone is larger than the queue is told") {
  EventFeed feed(10);
  feed.Push(Text("longer than ten bytes"));
  std::string got;
  feed.Next([&](const auto& next) { got = *(*next)->front(); });
  CHECK(got == "longer than ten bytes");
}

TEST_CASE("what was told before an end is still read, then the end") {
  EventFeed feed(10);
  feed.Push(Text("a"));
  feed.End(Unavailable("bye"));
  feed.Push(Text("b"));
  std::vector<std::string> got;
  feed.Next([&](const auto& next) { got.push_back(*(*next)->front()); });
  feed.Next([&](const auto& next) { got.push_back(next.status().message()); });
  CHECK(got == std::vector<std::string>{"a", "bye"});
}

TEST_CASE("a cancelled reader is answered at once") {
  EventFeed feed(10);
  Status end;
  feed.Next([&](const auto& next) { end = next.status(); });
  CHECK(end.ok());
  feed.Cancel();
  CHECK(end.code() == Code::kCancelled);
}

}  // namespace
}  // namespace interlink::test
