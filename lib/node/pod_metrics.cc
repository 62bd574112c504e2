// Metrics of pods: one request to the site for all who ask at the same time.
#include <utility>

#include "interlink/v1/record.pb.h"
#include "node/calls.h"
#include "node/limits.h"
#include "node/pod_metric_views.h"
#include "node/views.h"

namespace interlink::node {
namespace {

constexpr size_t kMetricsWaiters = 256;

}  // namespace

runtime::v1::ListMetricDescriptorsResponse LiveNode::StatsCalls::DescribeMetrics() const {
  return DescribePodMetrics();
}

void LiveNode::StatsCalls::ListMetrics(Reply<Slices> reply) {
  bool post = false;
  Status why;
  {
    MutexLock lock(node_.mutex_);
    why = node_.stopping_ ? ShuttingDown() : node_.ListsReadyLocked();
    if (why.ok()) why = node_.ReachableLocked();
    if (why.ok() && node_.metrics_waiting_.size() >= kMetricsWaiters)
      why = ResourceExhausted("too many calls wait for metrics, try again later");
    if (why.ok()) {
      node_.metrics_waiting_.push_back(std::move(reply));
      post = !std::exchange(node_.metrics_posted_, true);
    }
  }
  if (!why.ok()) return reply(why);
  if (!post) return;
  const Status posted = node_.steps_.Post("pod-metrics", [this] { node_.AskForMetrics(); });
  if (!posted.ok()) node_.AnswerMetrics(node_.TakeMetricsWaiters(), posted);
}

std::vector<Reply<Slices>> LiveNode::TakeMetricsWaiters() {
  MutexLock lock(mutex_);
  metrics_posted_ = false;
  return std::exchange(metrics_waiting_, {});
}

void LiveNode::AnswerMetrics(const std::vector<Reply<Slices>>& waiting,
                             const Result<Slices>& answer) {
  for (const Reply<Slices>& reply : waiting) reply(answer);
}

void LiveNode::AskForMetrics() {
  // Who comes from now on waits for the next request: this one may be too early for what they made.
  const std::vector<Reply<Slices>> waiting = TakeMetricsWaiters();
  if (waiting.empty()) return;
  Result<interlink::v1::PodMetricsResponse> measured = ports_.site.PodMetrics(NewRequest().call);
  // A site without this route has no such numbers: what the node knows is told all the same.
  if (!measured.ok() && measured.status().code() == Code::kUnimplemented)
    measured = interlink::v1::PodMetricsResponse();
  if (!measured.ok()) {
    // Whatever hindered it at the site: nothing is wrong with the caller's request.
    return AnswerMetrics(waiting, Unavailable("the site's pod metrics cannot be had: " +
                                              measured.status().message()));
  }
  std::map<std::string, const runtime::v1::PodSandboxMetrics*> by_pod;
  for (const auto& pod : measured->pods()) by_pod.emplace(pod.pod_sandbox_id(), &pod);
  const ClockPair clocks{measured->now_ns(), Now()};
  Slices slices;
  for (const PodFacts& pod : PodsForMetrics()) {
    const auto it = by_pod.find(pod.id);
    slices.push_back(MakeSlice(MetricsOf(pod, it == by_pod.end() ? nullptr : it->second, clocks)));
  }
  AnswerMetrics(waiting, slices);
}

std::vector<PodFacts> LiveNode::PodsForMetrics() const {
  std::vector<PodFacts> pods;
  const int64_t now = Now();
  MutexLock lock(mutex_);
  for (const auto& [id, sandbox] : tables_.sandboxes) {
    if (sandbox.shown != runtime::v1::SANDBOX_READY) continue;
    const auto& metadata = sandbox.request->config().metadata();
    PodFacts& pod = pods.emplace_back(
        PodFacts{sandbox.stored.id(), metadata.name(), metadata.namespace_(), {}});
    for (const ContainerId& name : sandbox.containers) {
      const Container* container = tables_.Find(name);
      if (container == nullptr || container->shown != runtime::v1::CONTAINER_RUNNING) continue;
      const auto& config = container->request->config();
      const auto& image = config.image();
      pod.containers.push_back(
          {container->stored.id(), config.metadata().name(),
           image.user_specified_image().empty() ? image.image() : image.user_specified_image(),
           StartedAt(*container, now), ResourcesOf(*container)});
    }
  }
  return pods;
}

}  // namespace interlink::node
