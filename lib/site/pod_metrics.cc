// Metrics of pods: from memory, or one measurement for all who wait.
//
//   ask -> covered by memory? -> answer
//            no -> wait -> one measurement of each plugin that is behind -> answer everybody
//
// A measurement has all that was up when it began, or has tried it: what could not be measured is
// left out until the numbers are too old. So one pod that cannot be measured costs nothing more.
#include <algorithm>
#include <utility>

#include "runtime/v1/api.pb.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr auto kPodMetricsAge = std::chrono::seconds(15);
// Of one measurement. Less than a node's request may take (10 s): it gets the answer in time.
constexpr auto kPodMetricsLimit = std::chrono::seconds(8);
constexpr auto kPodMetricsInterest = std::chrono::minutes(1);
constexpr size_t kPodMetricsWaiters = 1024;

}  // namespace

void LiveSite::PodMetrics(const NodeId& node, Reply<interlink::v1::PodMetricsResponse> reply) {
  bool poll = false;
  {
    MutexLock lock(mutex_);
    pod_metrics_asked_at_ = ports_.clock.Steady();
    poll = !stopping_ && !std::exchange(pod_metrics_polled_, true);
  }
  if (poll) timer_.After(options_.pod_metrics_poll, [this] { PollPodMetrics(); });
  // On a step's thread: thousands of records are looked through and copied.
  PostOrFail<interlink::v1::PodMetricsResponse>(
      "pod-metrics/" + node.str(), std::move(reply),
      [this, node](Reply<interlink::v1::PodMetricsResponse> answer) {
        AnswerPodMetrics(node, std::move(answer));
      });
}

void LiveSite::AnswerPodMetrics(const NodeId& node,
                                Reply<interlink::v1::PodMetricsResponse> answer) {
  bool post = false;
  {
    MutexLock lock(mutex_);
    if (!PluginsToMeasureLocked(&node, kPodMetricsAge).empty()) {
      if (stopping_) return answer(Unavailable("interlink-api is shutting down"));
      if (pod_metrics_waiting_.size() >= kPodMetricsWaiters)
        return answer(ResourceExhausted("too many requests wait for metrics, try again later"));
      pod_metrics_waiting_.push_back({node, std::move(answer)});
      answer = nullptr;
      post = !std::exchange(pod_metrics_posted_, true);
    }
  }
  if (answer) return answer(PodMetricsOf(node));
  if (!post) return;
  const Status posted =
      steps_.Post("pod-metrics", [this] { MeasurePods(/*max_age=*/kPodMetricsAge); });
  if (!posted.ok()) FailPodMetrics(posted);
}

void LiveSite::FailPodMetrics(const Status& why) {
  for (const PodMetricsWaiter& waiter : TakePodMetricsWaiters()) waiter.reply(why);
}

std::vector<PodMetricsWaiter> LiveSite::TakePodMetricsWaiters() {
  MutexLock lock(mutex_);
  pod_metrics_posted_ = false;
  return std::exchange(pod_metrics_waiting_, {});
}

std::map<std::string, std::set<std::string>> LiveSite::UpByPluginLocked(const NodeId* only) const {
  std::map<std::string, std::set<std::string>> up;
  const auto add = [&](const NodeId& node, const auto& record,
                       const std::string& id) NO_LOCK_ANALYSIS {
    if (record.seen() != interlink::v1::SEEN_UP || (only != nullptr && node != *only)) return;
    if (const Plugin* plugin = FindPlugin(record.handler())) up[plugin->name].insert(id);
  };
  for (const auto& [key, sandbox] : tables_.sandboxes) add(key.node, sandbox.record, key.id.str());
  for (const auto& [key, unit] : tables_.containers) add(key.node, unit.record, key.id.str());
  return up;
}

std::map<std::string, sdk::Backend*> LiveSite::PluginsToMeasureLocked(const NodeId* only,
                                                                      Duration max_age) const {
  std::map<std::string, sdk::Backend*> plugins;
  const SteadyTime now = ports_.clock.Steady();
  for (const auto& [name, ids] : UpByPluginLocked(only)) {
    const auto it = std::find_if(plugins_.begin(), plugins_.end(),
                                 [&name = name](const auto& p) { return p->name == name; });
    if (it == plugins_.end() || (*it)->backend == nullptr || !(*it)->recovered) continue;
    const auto numbers = pod_numbers_.find(name);
    const bool covered = numbers != pod_numbers_.end() &&
                         (numbers->second.unsupported ||
                          (now - numbers->second.began < max_age &&
                           std::includes(numbers->second.tried.begin(), numbers->second.tried.end(),
                                         ids.begin(), ids.end())));
    if (!covered) plugins.emplace(name, (*it)->backend.get());
  }
  return plugins;
}

void LiveSite::MeasurePods(Duration max_age) {
  // Who comes from now on waits for the next one.
  const std::vector<PodMetricsWaiter> waiting = TakePodMetricsWaiters();
  std::map<std::string, sdk::Backend*> plugins;
  std::map<std::string, PodNumbers> measured;
  {
    MutexLock lock(mutex_);
    plugins = PluginsToMeasureLocked(nullptr, max_age);
    auto up = UpByPluginLocked(nullptr);
    for (const auto& [name, backend] : plugins) {
      measured[name].began = ports_.clock.Steady();
      measured[name].tried = std::move(up[name]);
    }
  }
  const Call all = Call::WithTimeout(kPodMetricsLimit);
  size_t left = plugins.size();
  for (const auto& [name, backend] : plugins) {
    // Each has its share of the time: one that hangs takes nothing from the others.
    auto pods = backend->Metrics(all.Capped(all.remaining() / static_cast<int64_t>(left--)));
    PodNumbers& numbers = measured[name];
    if (pods.ok()) {
      for (auto& pod : *pods) {
        const std::string id = pod.pod_sandbox_id();
        numbers.pods[id] = std::make_shared<const runtime::v1::PodSandboxMetrics>(std::move(pod));
      }
    } else if (pods.status().code() == Code::kUnimplemented) {
      numbers.unsupported = true;
    } else {
      ports_.log.Warning("a plugin cannot measure its pods",
                         {{"plugin", name}, {"error", pods.status().ToString()}});
      measured.erase(name);  // the last numbers stay until they are too old
    }
  }
  {
    MutexLock lock(mutex_);
    for (auto& [name, numbers] : measured) pod_numbers_[name] = std::move(numbers);
  }
  for (const PodMetricsWaiter& waiter : waiting) waiter.reply(PodMetricsOf(waiter.node));
}

interlink::v1::PodMetricsResponse LiveSite::PodMetricsOf(const NodeId& node) const {
  // What is told of a pod: the numbers of those of its containers that run.
  struct Told {
    std::shared_ptr<const runtime::v1::PodSandboxMetrics> pod;
    std::set<std::string> running;
  };
  std::vector<Told> told;
  {
    MutexLock lock(mutex_);
    const SteadyTime now = ports_.clock.Steady();
    for (const auto& [key, sandbox] : tables_.sandboxes) {
      if (key.node != node || sandbox.record.seen() != interlink::v1::SEEN_UP) continue;
      const Plugin* plugin = FindPlugin(sandbox.record.handler());
      const auto numbers = plugin == nullptr ? pod_numbers_.end() : pod_numbers_.find(plugin->name);
      if (numbers == pod_numbers_.end() || now - numbers->second.began >= kPodMetricsAge) continue;
      const auto pod = numbers->second.pods.find(key.id.str());
      if (pod == numbers->second.pods.end()) continue;
      Told& one = told.emplace_back(Told{pod->second, {}});
      for (const ContainerId& id : sandbox.containers) {
        const Container* container = tables_.Find(ContainerKey{node, key.id, id});
        if (container != nullptr && container->record.seen() == interlink::v1::SEEN_UP)
          one.running.insert(id.str());
      }
    }
  }
  interlink::v1::PodMetricsResponse response;
  response.set_now_ns(Now());
  for (const Told& one : told) {
    auto* pod = response.add_pods();
    pod->set_pod_sandbox_id(one.pod->pod_sandbox_id());
    *pod->mutable_metrics() = one.pod->metrics();
    for (const auto& container : one.pod->container_metrics()) {
      if (one.running.contains(container.container_id())) *pod->add_container_metrics() = container;
    }
  }
  return response;
}

void LiveSite::PollPodMetrics() {
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    if (ports_.clock.Steady() - pod_metrics_asked_at_ >= kPodMetricsInterest) {
      pod_metrics_polled_ = false;
      return;
    }
  }
  // A full queue is no reason to end: the next poll, or who asks, makes it good.
  const Status posted = steps_.Post(
      "pod-metrics", [this] { MeasurePods(/*max_age=*/options_.pod_metrics_poll / 2); });
  if (!posted.ok()) ports_.log.Debug("pods are not measured now", {{"why", posted.message()}});
  timer_.After(options_.pod_metrics_poll, [this] { PollPodMetrics(); });
}

}  // namespace interlink::site
