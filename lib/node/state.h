// What kubelet sees of a record, and how facts are ordered: pure functions (DESIGN 6.8 and 6.10).
//
//   sandbox:   (not listed) RESERVED, STARTING -> READY -> STOPPING (READY) -> NOTREADY -> gone
//   container: (not listed) CREATING -> CREATED -> RUNNING (from the committed start on) -> EXITED
//   -> gone
//
// UNKNOWN is never shown; RUNNING never falls back to CREATED; EXITED never changes.
#ifndef INTERLINK_NODE_STATE_H_
#define INTERLINK_NODE_STATE_H_

#include <optional>
#include <vector>

#include "base/status.h"
#include "interlink/v1/node_store.pb.h"
#include "runtime/v1/api.pb.h"

namespace interlink::node {

// True when `fact` is newer than `known`: by (seen, epoch, revision).
template <typename Record>
bool IsNewer(const Record& fact, const Record& known) {
  if (fact.seen() != known.seen()) return fact.seen() > known.seen();
  if (fact.epoch() != known.epoch()) return fact.epoch() > known.epoch();
  return fact.revision() > known.revision();
}

// Nothing: not listed. `containers_exited`: every container of it is shown EXITED.
std::optional<runtime::v1::PodSandboxState> Shown(const interlink::v1::StoredNodeSandbox& sandbox,
                                                  bool containers_exited);
std::optional<runtime::v1::ContainerState> Shown(
    const interlink::v1::StoredNodeContainer& container);

// What events say of a change between two shown states, in their order: every state that was gone
// through. Told first when RUNNING or EXITED: CREATED too. Gone while RUNNING or READY: STOPPED
// too.
std::vector<runtime::v1::ContainerEventType> EventsBetween(
    std::optional<runtime::v1::ContainerState> before,
    std::optional<runtime::v1::ContainerState> now);
// A sandbox is created and started at once, as in containerd.
std::vector<runtime::v1::ContainerEventType> EventsBetween(
    std::optional<runtime::v1::PodSandboxState> before,
    std::optional<runtime::v1::PodSandboxState> now);

// True: the site's record shows that a start was committed.
bool WasStarted(const interlink::v1::ContainerRecord& fact);

// What was told of has happened: by a clock of the site that is ahead, or lacks an end's time, it
// happened now. Told once, so that what is shown stays.
void TakeTimes(int64_t now_ns, interlink::v1::ContainerRecord& fact);

// Why something failed, as the site tells it. Never OK: a code that is none is kInternal.
Status FailureOf(const interlink::v1::Failure& failure);
interlink::v1::Failure FailureFrom(const Status& why);

// A container whose end is proven without an exit record: EXITED 255 "Error" "lost: ...".
void MarkLost(const std::string& why, int64_t now_ns, interlink::v1::ContainerRecord& fact);

}  // namespace interlink::node

#endif  // INTERLINK_NODE_STATE_H_
