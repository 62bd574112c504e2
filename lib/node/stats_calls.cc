// Statistics from memory.
#include "node/calls.h"
#include "node/views.h"

namespace interlink::node {
namespace {

constexpr auto kFresh = std::chrono::seconds(3);

}  // namespace

void LiveNode::StatsCalls::WantLocked() { node_.stats_wanted_until_ = node_.Steady() + kFresh; }

runtime::v1::ContainerStats LiveNode::StatsCalls::StatsLocked(const Container& container) const {
  runtime::v1::ContainerStats stats;
  const auto known = node_.container_stats_.find(container.stored.id());
  if (known != node_.container_stats_.end()) stats = known->second;
  auto* attributes = stats.mutable_attributes();
  attributes->set_id(container.stored.id());
  *attributes->mutable_metadata() = container.request->config().metadata();
  *attributes->mutable_labels() = container.request->config().labels();
  *attributes->mutable_annotations() = container.request->config().annotations();
  // Kubelet evicts first what has no memory entry: every running container has one.
  if (!stats.has_cpu()) stats.mutable_cpu()->set_timestamp(node_.Now());
  if (!stats.cpu().has_usage_core_nano_seconds())
    stats.mutable_cpu()->mutable_usage_core_nano_seconds();
  if (!stats.has_memory()) stats.mutable_memory()->set_timestamp(node_.Now());
  if (!stats.memory().has_working_set_bytes()) stats.mutable_memory()->mutable_working_set_bytes();
  return stats;
}

runtime::v1::PodSandboxStats LiveNode::StatsCalls::StatsLocked(const Sandbox& sandbox) const {
  runtime::v1::PodSandboxStats stats;
  const auto known = node_.sandbox_stats_.find(sandbox.stored.id());
  if (known != node_.sandbox_stats_.end()) stats = known->second;
  auto* attributes = stats.mutable_attributes();
  attributes->set_id(sandbox.stored.id());
  *attributes->mutable_metadata() = sandbox.request->config().metadata();
  *attributes->mutable_labels() = sandbox.stored.labels();
  *attributes->mutable_annotations() = sandbox.stored.annotations();
  auto* parts = stats.mutable_linux();
  parts->clear_containers();
  for (const ContainerId& id : sandbox.containers) {
    const Container* container = node_.tables_.Find(id);
    if (container != nullptr && container->shown == runtime::v1::CONTAINER_RUNNING)
      *parts->add_containers() = StatsLocked(*container);
  }
  if (!parts->has_cpu()) parts->mutable_cpu()->set_timestamp(node_.Now());
  if (!parts->cpu().has_usage_core_nano_seconds())
    parts->mutable_cpu()->mutable_usage_core_nano_seconds();
  if (!parts->has_memory()) parts->mutable_memory()->set_timestamp(node_.Now());
  if (!parts->memory().has_working_set_bytes())
    parts->mutable_memory()->mutable_working_set_bytes();
  return stats;
}

Result<runtime::v1::ContainerStatsResponse> LiveNode::StatsCalls::GetContainer(
    const runtime::v1::ContainerStatsRequest& request) {
  runtime::v1::ContainerStatsResponse response;
  MutexLock lock(node_.mutex_);
  ASSIGN_OR_RETURN(const ContainerId id, node_.tables_.ResolveContainer(request.container_id()));
  WantLocked();
  *response.mutable_stats() = StatsLocked(*node_.tables_.Find(id));
  return response;
}

Result<Slices> LiveNode::StatsCalls::ListContainers(
    const runtime::v1::ContainerStatsFilter& filter) {
  runtime::v1::ContainerFilter same;
  same.set_id(filter.id());
  same.set_pod_sandbox_id(filter.pod_sandbox_id());
  *same.mutable_label_selector() = filter.label_selector();
  Slices slices;
  MutexLock lock(node_.mutex_);
  RETURN_IF_ERROR(node_.ListsReadyLocked());
  WantLocked();
  for (const auto& [id, container] : node_.tables_.containers) {
    if (container.shown == runtime::v1::CONTAINER_RUNNING && Matches(same, container))
      slices.push_back(MakeSlice(StatsLocked(container)));
  }
  return slices;
}

Result<runtime::v1::PodSandboxStatsResponse> LiveNode::StatsCalls::GetSandbox(
    const runtime::v1::PodSandboxStatsRequest& request) {
  runtime::v1::PodSandboxStatsResponse response;
  MutexLock lock(node_.mutex_);
  ASSIGN_OR_RETURN(const SandboxId id, node_.tables_.ResolveSandbox(request.pod_sandbox_id()));
  WantLocked();
  *response.mutable_stats() = StatsLocked(*node_.tables_.Find(id));
  return response;
}

Result<Slices> LiveNode::StatsCalls::ListSandboxes(
    const runtime::v1::PodSandboxStatsFilter& filter) {
  runtime::v1::PodSandboxFilter same;
  same.set_id(filter.id());
  *same.mutable_label_selector() = filter.label_selector();
  Slices slices;
  MutexLock lock(node_.mutex_);
  RETURN_IF_ERROR(node_.ListsReadyLocked());
  WantLocked();
  for (const auto& [id, sandbox] : node_.tables_.sandboxes) {
    if (sandbox.shown == runtime::v1::SANDBOX_READY && Matches(same, sandbox))
      slices.push_back(MakeSlice(StatsLocked(sandbox)));
  }
  return slices;
}

}  // namespace interlink::node
