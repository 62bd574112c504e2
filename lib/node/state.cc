#include "node/state.h"

namespace interlink::node {

using interlink::v1::StoredNodeContainer;
using interlink::v1::StoredNodeSandbox;

std::optional<runtime::v1::PodSandboxState> Shown(const StoredNodeSandbox& sandbox,
                                                  bool containers_exited) {
  const auto seen = sandbox.fact().seen();
  if (sandbox.abandoned() || seen == interlink::v1::SEEN_GONE) return std::nullopt;
  const bool ever_up = sandbox.fact().up_ns() != 0 || seen == interlink::v1::SEEN_UP;
  if (seen < interlink::v1::SEEN_UP) return std::nullopt;
  if (sandbox.fact().has_failure() && !ever_up) return std::nullopt;
  if (seen == interlink::v1::SEEN_DOWN && containers_exited) return runtime::v1::SANDBOX_NOTREADY;
  return runtime::v1::SANDBOX_READY;
}

std::optional<runtime::v1::ContainerState> Shown(const StoredNodeContainer& container) {
  const auto seen = container.fact().seen();
  if (container.abandoned()) return std::nullopt;
  if (container.exit_shown()) return runtime::v1::CONTAINER_EXITED;
  if (seen < interlink::v1::SEEN_CREATED || seen == interlink::v1::SEEN_GONE) return std::nullopt;
  if (container.fact().has_failure()) return std::nullopt;
  // A stop that overtakes the start's answer must not make CREATED of RUNNING: kubelet restarts
  // what is CREATED without killing it.
  const bool started = container.started() || container.wanted() == interlink::v1::WANTED_START ||
                       WasStarted(container.fact());
  if (seen == interlink::v1::SEEN_CREATED && !started) return runtime::v1::CONTAINER_CREATED;
  return runtime::v1::CONTAINER_RUNNING;
}

std::vector<runtime::v1::ContainerEventType> EventsBetween(
    std::optional<runtime::v1::ContainerState> before,
    std::optional<runtime::v1::ContainerState> now) {
  std::vector<runtime::v1::ContainerEventType> events;
  if (before == now) return events;
  if (!before) events.push_back(runtime::v1::CONTAINER_CREATED_EVENT);
  if (now == runtime::v1::CONTAINER_RUNNING) events.push_back(runtime::v1::CONTAINER_STARTED_EVENT);
  if (now == runtime::v1::CONTAINER_EXITED || (!now && before == runtime::v1::CONTAINER_RUNNING))
    events.push_back(runtime::v1::CONTAINER_STOPPED_EVENT);
  if (!now) events.push_back(runtime::v1::CONTAINER_DELETED_EVENT);
  return events;
}

std::vector<runtime::v1::ContainerEventType> EventsBetween(
    std::optional<runtime::v1::PodSandboxState> before,
    std::optional<runtime::v1::PodSandboxState> now) {
  std::vector<runtime::v1::ContainerEventType> events;
  if (before == now) return events;
  if (!before) events.push_back(runtime::v1::CONTAINER_CREATED_EVENT);
  if (now == runtime::v1::SANDBOX_READY) events.push_back(runtime::v1::CONTAINER_STARTED_EVENT);
  if (now == runtime::v1::SANDBOX_NOTREADY || (!now && before == runtime::v1::SANDBOX_READY))
    events.push_back(runtime::v1::CONTAINER_STOPPED_EVENT);
  if (!now) events.push_back(runtime::v1::CONTAINER_DELETED_EVENT);
  return events;
}

bool WasStarted(const interlink::v1::ContainerRecord& fact) {
  return fact.wanted() == interlink::v1::WANTED_START || fact.seen() == interlink::v1::SEEN_UP ||
         fact.started_ns() != 0;
}

void TakeTimes(int64_t now_ns, interlink::v1::ContainerRecord& fact) {
  fact.set_started_ns(std::min(fact.started_ns(), now_ns));
  if (fact.seen() < interlink::v1::SEEN_DOWN) return;
  const bool known = fact.finished_ns() != 0 && fact.finished_ns() < now_ns;
  if (!known) fact.set_finished_ns(now_ns);
}

Status FailureOf(const interlink::v1::Failure& failure) {
  const bool known = failure.code() > static_cast<int>(Code::kOk) &&
                     failure.code() <= static_cast<int>(Code::kUnauthenticated);
  return {known ? static_cast<Code>(failure.code()) : Code::kInternal, failure.message()};
}

interlink::v1::Failure FailureFrom(const Status& why) {
  interlink::v1::Failure failure;
  failure.set_code(static_cast<int>(why.code()));
  failure.set_message(why.message());
  return failure;
}

void MarkLost(const std::string& why, int64_t now_ns, interlink::v1::ContainerRecord& fact) {
  fact.set_seen(interlink::v1::SEEN_DOWN);
  fact.set_exit_code(255);
  fact.set_reason("Error");
  fact.set_message("lost: " + why);
  fact.set_finished_ns(now_ns);
  fact.clear_failure();
}

}  // namespace interlink::node
