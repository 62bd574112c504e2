// Records as CRI messages: pure converters.
#ifndef INTERLINK_NODE_VIEWS_H_
#define INTERLINK_NODE_VIEWS_H_

#include "node/records.h"
#include "runtime/v1/api.pb.h"

namespace interlink::node {

runtime::v1::PodSandbox ListItem(const Sandbox& sandbox);
runtime::v1::Container ListItem(const Container& container);
// REQUIRES: shown.
runtime::v1::PodSandboxStatus StatusOf(const Sandbox& sandbox);
// `image`: the reference as it was asked for; `log_path` absolute or empty. Times are clamped
// between created_at and `now_ns` and are never 0 once they have to be told.
runtime::v1::ContainerStatus StatusOf(const Container& container, const Sandbox& sandbox,
                                      int64_t now_ns);
// When a container was started that has been; clamped as above.
int64_t StartedAt(const Container& container, int64_t now_ns);
// The resources in force.
const runtime::v1::LinuxContainerResources& ResourcesOf(const Container& container);

// The host path of the file in which kubelet looks for the termination message; empty: there is
// none.
std::string TerminationFile(const runtime::v1::ContainerConfig& config);

// The absolute log path of a container; empty: its output is discarded.
std::string LogPath(const Sandbox& sandbox, const Container& container);

// A link that went stale under a call is nothing that a caller of CRI could understand: ask again.
Status ForCaller(const Status& status);

bool Matches(const runtime::v1::PodSandboxFilter& filter, const Sandbox& sandbox);
bool Matches(const runtime::v1::ContainerFilter& filter, const Container& container);

}  // namespace interlink::node

#endif  // INTERLINK_NODE_VIEWS_H_
