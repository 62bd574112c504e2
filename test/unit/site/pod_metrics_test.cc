// Metrics of pods at the site: memory, shared measurements, and failures that stay where they are.
#include <algorithm>
#include <atomic>

#include "site_lab.h"

namespace interlink::test {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)
using interlink::v1::PodMetricsResponse;
using runtime::v1::PodSandboxMetrics;
using Pods = std::vector<PodSandboxMetrics>;

// Everything of `world` that is up, each container with one number: which measurement it is of.
Pods MeasureAll(World& world, uint64_t number) {
  Pods pods;
  MutexLock lock(world.mutex);
  for (const auto& [id, pod] : world.pods) {
    if (pod.state != World::State::kUp) continue;
    auto& metrics = pods.emplace_back();
    metrics.set_pod_sandbox_id(id.str());
    for (const auto& [unit_id, unit] : world.units) {
      if (unit.sandbox != id || unit.state != World::State::kUp) continue;
      auto* container = metrics.add_container_metrics();
      container->set_container_id(unit_id.str());
      auto* metric = container->add_metrics();
      metric->set_name("container_processes");
      metric->set_timestamp(1);
      metric->mutable_value()->set_value(number);
    }
  }
  return pods;
}

// Counts its measurements.
struct Meter {
  explicit Meter(World& world) {
    world.metrics = [count = count, &world](const Call&) -> Result<Pods> {
      return MeasureAll(world, static_cast<uint64_t>(++*count));
    };
  }
  // Owners: this and the world, which is measured until the end of its site.
  std::shared_ptr<std::atomic<int>> count = std::make_shared<std::atomic<int>>(0);
};

Result<PodMetricsResponse> Ask(SiteLab& lab, const std::string& node = "n1") {
  return lab.Wait<PodMetricsResponse>(
      [&](auto reply) { lab.site->PodMetrics(NodeId(node), reply); });
}

// The number of that container; -1: it is not in the answer.
int NumberOf(const Result<PodMetricsResponse>& answer, const ContainerId& unit) {
  REQUIRE(answer.ok());
  for (const auto& pod : answer->pods()) {
    for (const auto& container : pod.container_metrics()) {
      if (container.container_id() == unit.str())
        return static_cast<int>(container.metrics(0).value().value());
    }
  }
  return -1;
}

bool HasPod(const Result<PodMetricsResponse>& answer, const SandboxId& id) {
  REQUIRE(answer.ok());
  return std::any_of(answer->pods().begin(), answer->pods().end(),
                     [&id](const auto& pod) { return pod.pod_sandbox_id() == id.str(); });
}

struct Running {
  explicit Running(SiteLab& lab) {
    lab.WaitReady();
    REQUIRE(lab.LinkNode().ok());
    lab.RunAll(pod, unit);
  }
  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
};

TEST_CASE("metrics come from memory while it is young and has all that runs") {
  SiteLab lab;
  Meter meter(lab.world);
  Running running(lab);

  CHECK(NumberOf(Ask(lab), running.unit) == 1);
  CHECK(NumberOf(Ask(lab), running.unit) == 1);
  CHECK(*meter.count == 1);

  const ContainerId late = MintContainerId();
  lab.RunAll(MintSandboxId(), late);
  const auto complete = Ask(lab);
  CHECK(NumberOf(complete, late) == 2);
  CHECK(NumberOf(complete, running.unit) == 2);
  CHECK(complete->now_ns() > 0);

  lab.clock.Advance(16s);
  CHECK(NumberOf(Ask(lab), late) == 3);
}

TEST_CASE("only the caller's pods and what runs of them are told") {
  SiteLab lab;
  Meter meter(lab.world);
  Running running(lab);
  const ContainerId ended = MintContainerId();
  REQUIRE(lab.Create(running.pod, ended, lab.UnitBody("ended")).ok());
  REQUIRE(lab.StartUnit(running.pod, ended).ok());
  CHECK(NumberOf(Ask(lab), ended) == 1);
  REQUIRE(lab.StopUnit(running.pod, ended).ok());

  const auto answer = Ask(lab);

  CHECK(NumberOf(answer, ended) == -1);
  CHECK(NumberOf(answer, running.unit) == 1);
  CHECK(Ask(lab, "n2")->pods().empty());
}

TEST_CASE("who waits together shares a measurement") {
  SiteLab lab;
  std::promise<void> go_on;
  const auto gate = go_on.get_future().share();
  std::atomic<int> count = 0;
  lab.world.metrics = [&, gate](const Call&) -> Result<Pods> {
    const int number = ++count;
    gate.wait_for(30s);
    return MeasureAll(lab.world, static_cast<uint64_t>(number));
  };
  Running running(lab);
  std::vector<std::future<Result<PodMetricsResponse>>> answers;
  for (int i = 0; i < 50; ++i) {
    auto promise = std::make_shared<std::promise<Result<PodMetricsResponse>>>();
    answers.push_back(promise->get_future());
    lab.site->PodMetrics(NodeId("n1"),
                         [promise](Result<PodMetricsResponse> r) { promise->set_value(r); });
  }
  REQUIRE(Eventually([&] { return count == 1; }));

  go_on.set_value();

  for (auto& answer : answers) {
    REQUIRE(answer.wait_for(30s) == std::future_status::ready);
    CHECK(NumberOf(answer.get(), running.unit) == 1);
  }
  CHECK(count == 1);
}

TEST_CASE("a pod that cannot be measured is left out, and is not tried again at once") {
  SiteLab lab;
  const SandboxId broken = MintSandboxId();
  std::atomic<int> count = 0;
  lab.world.metrics = [&](const Call&) -> Result<Pods> {
    Pods pods = MeasureAll(lab.world, static_cast<uint64_t>(++count));
    std::erase_if(pods, [&](const auto& pod) { return pod.pod_sandbox_id() == broken.str(); });
    return pods;
  };
  Running running(lab);
  lab.RunAll(broken, MintContainerId());

  for (int i = 0; i < 3; ++i) {
    const auto answer = Ask(lab);
    CHECK(HasPod(answer, running.pod));
    CHECK_FALSE(HasPod(answer, broken));
  }
  CHECK(count == 1);
  lab.clock.Advance(16s);
  CHECK(Ask(lab).ok());
  CHECK(count == 2);
}

TEST_CASE("a plugin that fails or has no metrics takes nothing from the others") {
  const auto why = GENERATE(Unavailable("the cgroups are gone"), Unimplemented("none here"));
  World other;
  SiteLab lab(other);
  Meter meter(lab.world);
  std::atomic<int> asked = 0;
  other.metrics = [&](const Call&) -> Result<Pods> {
    ++asked;
    return why;
  };
  Running running(lab);
  const SandboxId pod = MintSandboxId();
  REQUIRE(lab.Run(pod, lab.PodBody("o", "u", "other")).ok());

  const auto answer = Ask(lab);
  CHECK(NumberOf(answer, running.unit) == 1);
  CHECK_FALSE(HasPod(answer, pod));

  // One that has none is not asked again; one that failed is, and the numbers of others stay.
  CHECK(NumberOf(Ask(lab), running.unit) == 1);
  CHECK(asked == (why.code() == Code::kUnimplemented ? 1 : 2));
}

TEST_CASE("numbers of a plugin that fails are told until they are too old") {
  SiteLab lab;
  Meter meter(lab.world);
  Running running(lab);
  CHECK(NumberOf(Ask(lab), running.unit) == 1);
  lab.world.Fail("Metrics", Unavailable("the machine is busy"));
  const ContainerId late = MintContainerId();
  lab.RunAll(MintSandboxId(), late);  // so that it is asked again

  const auto young = Ask(lab);
  CHECK(NumberOf(young, running.unit) == 1);
  CHECK(NumberOf(young, late) == -1);
  lab.clock.Advance(16s);
  CHECK(NumberOf(Ask(lab), running.unit) == -1);
  lab.world.Fail("Metrics", {});
  CHECK(NumberOf(Ask(lab), late) == 2);
}

TEST_CASE("a site that has restarted measures anew") {
  SiteLab lab;
  Meter meter(lab.world);
  Running running(lab);
  CHECK(NumberOf(Ask(lab), running.unit) == 1);

  lab.Restart();

  CHECK(NumberOf(Ask(lab), running.unit) == 2);
}

TEST_CASE("while somebody asks it is measured again and again, and then no more") {
  World other;
  SiteLab lab(other, 20ms);
  Meter meter(lab.world);
  Running running(lab);
  CHECK(Ask(lab).ok());
  REQUIRE(Eventually([&] { return *meter.count >= 4; }));

  lab.clock.Advance(61s);

  int last = -1;
  REQUIRE(Eventually([&] { return std::exchange(last, meter.count->load()) == *meter.count; }));
  CHECK(Ask(lab).ok());  // and again when somebody asks again
  const int now = *meter.count;
  CHECK(Eventually([&] { return *meter.count >= now + 3; }));
}

TEST_CASE("who waits for a measurement at the site's end is answered") {
  SiteLab lab;
  std::promise<void> go_on;
  const auto gate = go_on.get_future().share();
  std::atomic<int> count = 0;
  lab.world.metrics = [&, gate](const Call&) -> Result<Pods> {
    ++count;
    gate.wait_for(30s);
    return Pods();
  };
  Running running(lab);
  const auto begin = [&] {
    auto promise = std::make_shared<std::promise<Result<PodMetricsResponse>>>();
    lab.site->PodMetrics(NodeId("n1"),
                         [promise](Result<PodMetricsResponse> r) { promise->set_value(r); });
    return promise->get_future();
  };
  auto first = begin();
  REQUIRE(Eventually([&] { return count == 1; }));
  auto second = begin();

  std::jthread stop([&] { lab.site->Stop(); });
  REQUIRE(second.wait_for(30s) == std::future_status::ready);
  CHECK(second.get().status().code() == Code::kUnavailable);
  go_on.set_value();
  REQUIRE(first.wait_for(30s) == std::future_status::ready);
}

}  // namespace
}  // namespace interlink::test
