// GetContainerEvents: what the commits' callbacks have published, told to every reader.
#include <algorithm>
#include <utility>

#include "node/calls.h"
#include "node/state.h"
#include "node/views.h"

namespace interlink::node {
namespace {

using google::protobuf::RepeatedPtrField;
using runtime::v1::ContainerEventType;

constexpr size_t kFeedBytes = size_t{4} << 20U;
constexpr size_t kMostFeeds = 32;

}  // namespace

Result<FeedPtr> LiveNode::EventCalls::Subscribe() {
  MutexLock lock(node_.mutex_);
  if (node_.stopping_) return ShuttingDown();
  std::erase_if(node_.feeds_, [](const auto& feed) { return feed->ended(); });
  if (node_.feeds_.size() >= kMostFeeds)
    return ResourceExhausted(std::to_string(kMostFeeds) +
                             " event streams are open: close one before another is opened");
  const auto feed = std::make_shared<EventFeed>(kFeedBytes);
  node_.feeds_.push_back(feed);
  return FeedPtr(feed);
}

int64_t LiveNode::EventTimeLocked() {
  last_event_ns_ = std::max(Now(), last_event_ns_ + 1);
  return last_event_ns_;
}

RepeatedPtrField<runtime::v1::ContainerStatus> LiveNode::StatusesLocked(
    const Sandbox& sandbox) const {
  RepeatedPtrField<runtime::v1::ContainerStatus> statuses;
  for (const ContainerId& id : sandbox.containers) {
    const Container* container = tables_.Find(id);
    if (container != nullptr && container->shown)
      *statuses.Add() = StatusOf(*container, sandbox, Now());
  }
  // The newest first: kubelet's Evented PLEG takes the first of a name in a pod's status for its
  // last attempt, and with an older one it would start an attempt that has been.
  std::sort(statuses.pointer_begin(), statuses.pointer_end(), [](const auto* a, const auto* b) {
    return std::pair(a->created_at(), a->metadata().attempt()) >
           std::pair(b->created_at(), b->metadata().attempt());
  });
  return statuses;
}

void LiveNode::TellLocked(Container& container, Fires& fires) {
  const auto before = std::exchange(container.told, container.shown);
  const Sandbox* sandbox = tables_.Find(container.sandbox());
  if (sandbox == nullptr) return;
  SendLocked(container.stored.id(), *sandbox, EventsBetween(before, container.told), fires);
}

void LiveNode::TellGoneLocked(Container& container, Fires& fires) {
  container.shown.reset();
  container.slice.reset();
  TellLocked(container, fires);
}

void LiveNode::TellLocked(Sandbox& sandbox, Fires& fires) {
  const auto before = std::exchange(sandbox.told, sandbox.shown);
  if (before && !sandbox.shown) {
    // Its containers go with it. The sandbox comes last: it ends what kubelet knows of the pod.
    for (const ContainerId& id : sandbox.containers) {
      if (Container* container = tables_.Find(id)) TellGoneLocked(*container, fires);
    }
  }
  SendLocked(sandbox.stored.id(), sandbox, EventsBetween(before, sandbox.told), fires);
}

void LiveNode::SendLocked(const std::string& id, const Sandbox& sandbox,
                          const std::vector<ContainerEventType>& types, Fires& fires) {
  if (types.empty() || feeds_.empty()) return;
  std::erase_if(feeds_, [](const auto& feed) { return feed->ended(); });
  runtime::v1::ContainerEventResponse event;
  event.set_container_id(id);
  *event.mutable_pod_sandbox_status() = StatusOf(sandbox);
  *event.mutable_containers_statuses() = StatusesLocked(sandbox);
  for (const ContainerEventType type : types) {
    event.set_container_event_type(type);
    event.set_created_at(EventTimeLocked());
    const auto bytes = std::make_shared<const std::string>(event.SerializeAsString());
    for (const auto& feed : feeds_) feed->Push(bytes);
  }
  for (const auto& feed : feeds_) fires.emplace_back([feed] { feed->Deliver(); });
}

}  // namespace interlink::node
