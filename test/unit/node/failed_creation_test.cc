// Creations that fail while nobody waits for them: kubelet asks again 10 s later, and is told why.
#include "node_lab.h"

namespace interlink::test {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

constexpr auto kWords = "job 7 was cancelled by somebody else (CANCELLED)";

interlink::v1::Failure Failure() {
  interlink::v1::Failure failure;
  failure.set_code(static_cast<int>(Code::kUnknown));
  failure.set_message(kWords);
  return failure;
}

// A pod that waits in the site's queue when its call's time is over.
SandboxId Queued(NodeLab& lab, const std::string& name) {
  lab.site.SetSilent(true);
  CHECK(lab.Run(NodeLab::Pod(name), NodeLab::call(300ms)).status().code() == Code::kUnavailable);
  REQUIRE(Eventually([&] { return lab.site.Ids().size() == 1; }));
  return SandboxId(*lab.site.Ids().begin());
}

// `remove`: what the site answers to the removal that follows.
void FailPod(NodeLab& lab, const SandboxId& id, const Status& remove) {
  lab.site.Fail("RemoveSandbox", remove);
  lab.site.SetSilent(false);
  SandboxRecord failed = lab.site.RecordOf(id);
  failed.set_seen(interlink::v1::SEEN_DOWN);
  *failed.mutable_failure() = Failure();
  lab.site.Tell(failed);
  REQUIRE(Eventually([&] { return lab.site.Calls("RemoveSandbox", id.str()) > 0; }));
}

bool Says(const Status& status, const std::string& words) {
  return status.message().find(words) != std::string::npos;
}

TEST_CASE("A pod that failed between two calls: the next one is told why, the one after is new") {
  // The first asked while the failed try was still being removed and learned only that; when it was
  // gone the next call submitted a new job, and why the first had failed was in no event.
  NodeLab lab;
  const SandboxId first = Queued(lab, "a");
  const Status remove = GENERATE(Status::Ok(), Unavailable("not ended yet"));
  FailPod(lab, first, remove);

  const auto told = lab.Run(NodeLab::Pod("a"));

  CHECK(told.status().code() == Code::kUnknown);
  CHECK(Says(told.status(), "an earlier try of this pod: "));
  CHECK(Says(told.status(), kWords));
  if (!remove.ok()) {
    CHECK(Says(lab.Run(NodeLab::Pod("a")).status(), "still being removed"));
    lab.site.Fail("RemoveSandbox", Status::Ok());
  }
  REQUIRE(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
  const auto second = lab.Run(NodeLab::Pod("a"));
  REQUIRE(second.ok());
  CHECK(*second != first);
}

TEST_CASE("Why a pod failed outlives a crash of the node") {
  NodeLab lab;
  const SandboxId first = Queued(lab, "a");
  FailPod(lab, first, Status::Ok());
  REQUIRE(Eventually([&] { return lab.site.RecordOf(first).seen() == interlink::v1::SEEN_GONE; }));
  lab.Restart();

  CHECK(Says(lab.Run(NodeLab::Pod("a")).status(), kWords));
  REQUIRE(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
  lab.Restart();
  CHECK(lab.node->Summary().sandboxes == 0);
  CHECK(lab.Run(NodeLab::Pod("a")).ok());
}

TEST_CASE("Who waited was told: the next call is a new try") {
  NodeLab lab;
  lab.site.SetSilent(true);
  auto run = lab.BeginRun(NodeLab::Pod("a"));
  REQUIRE(Eventually([&] { return !lab.site.Ids().empty(); }));
  const SandboxId first(*lab.site.Ids().begin());
  FailPod(lab, first, Status::Ok());
  CHECK(Says(NodeLab::Get(std::move(run)).status(), kWords));
  REQUIRE(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));

  CHECK(lab.Run(NodeLab::Pod("a")).ok());
}

TEST_CASE("Why a pod failed is forgotten when nobody asks for it within five minutes") {
  NodeLab lab;
  const SandboxId first = Queued(lab, "a");
  FailPod(lab, first, Status::Ok());
  const auto listen = [&](Duration time) {
    CHECK(lab.ListsReady());
    lab.clock.Advance(time);
  };
  listen(1s);
  CHECK_FALSE(Eventually([&] { return lab.node->Summary().sandboxes == 0; }, 1200ms));

  CHECK(Eventually([&] {
    listen(10s);
    return lab.node->Summary().sandboxes == 0;
  }));
}

TEST_CASE("A refusal that comes after its call is told to the next one") {
  NodeLab lab;
  lab.site.Fail("RunSandbox", Unavailable("busy"));
  CHECK(lab.Run(NodeLab::Pod("a"), NodeLab::call(300ms)).status().code() == Code::kUnavailable);
  lab.site.Fail("RunSandbox", InvalidArgument("\"hostname\" is not supported"));
  REQUIRE(Eventually([&] { return lab.site.Calls("RemoveSandbox") > 0; }));

  const auto told = lab.Run(NodeLab::Pod("a"));

  CHECK(told.status().code() == Code::kInvalidArgument);
  CHECK(told.status().message() == "an earlier try of this pod: \"hostname\" is not supported");
}

TEST_CASE("A container that failed between two calls: the next one is told why") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.site.SetSilent(true);
  CHECK(lab.Create(NodeLab::Unit(pod, "c"), NodeLab::call(300ms)).status().code() ==
        Code::kUnavailable);
  REQUIRE(Eventually([&] { return lab.site.Ids().size() == 2; }));
  std::set<std::string> ids = lab.site.Ids();
  ids.erase(pod.str());
  const ContainerId first(*ids.begin());
  lab.site.SetSilent(false);
  ContainerRecord failed = lab.site.RecordOf(first);
  failed.set_seen(interlink::v1::SEEN_DOWN);
  *failed.mutable_failure() = Failure();
  lab.site.Tell(failed);
  REQUIRE(Eventually([&] { return lab.site.Calls("RemoveContainer", first.str()) > 0; }));

  const auto told = lab.Create(NodeLab::Unit(pod, "c"));

  CHECK(told.status().code() == Code::kUnknown);
  CHECK(Says(told.status(), std::string("an earlier try of this container: ") + kWords));
  REQUIRE(Eventually([&] { return lab.node->Summary().containers == 0; }));
  const auto second = lab.Create(NodeLab::Unit(pod, "c"));
  REQUIRE(second.ok());
  CHECK(*second != first);
}

}  // namespace
}  // namespace interlink::test
