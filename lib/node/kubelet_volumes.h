// Port: kubelet's folder on the node, of whose volumes a site on another machine gets snapshots
// (docs/adr/0013), and which tells whether a pod is over. lib/kubelet_volumes implements it.
// Thread-safe.
#ifndef INTERLINK_NODE_KUBELET_VOLUMES_H_
#define INTERLINK_NODE_KUBELET_VOLUMES_H_

#include <optional>
#include <string>

#include "base/status.h"
#include "interlink/v1/volume.pb.h"

namespace interlink::node {

// Of the snapshots of one container together: with what surrounds them they fit into one message of
// the agent protocol.
inline constexpr size_t kMaxVolumesOfContainer = 12U << 20U;

struct TakenMount {
  interlink::v1::MountSource source;
  std::string snapshot;  // the bytes that source.snapshot() is the digest of
};

class KubeletVolumes {
 public:
  virtual ~KubeletVolumes() = default;
  // The path lies in the pod's own folder. Reads no file.
  virtual bool IsOfPod(const std::string& host_path, const std::string& pod_uid) const = 0;
  // Whether kubelet has a folder of that pod: it makes one before it asks for a sandbox, and takes
  // it away when the pod was deleted and is over. Nothing: that cannot be told. Reads no file.
  virtual std::optional<bool> HasPod(const std::string& pod_uid) const = 0;
  // What stands in its place elsewhere. Reads files: for step threads. kUnimplemented: its kind of
  // volume does not travel; kResourceExhausted: it is too large; kUnavailable: kubelet is writing
  // it.
  virtual Result<TakenMount> Take(const std::string& host_path,
                                  const std::string& pod_uid) const = 0;
  // The pod's service account, as the token says that kubelet mounts for it; empty: it mounts none.
  // Reads files: for step threads.
  virtual std::string ServiceAccountOf(const std::string& pod_uid,
                                       const std::string& pod_namespace) const = 0;
  // Another one whenever kubelet may have changed what Take would take as a snapshot. Nothing: it
  // never does (a subPath), there is nothing, or it is not the pod's. Reads no file.
  virtual std::optional<std::string> Mark(const std::string& host_path,
                                          const std::string& pod_uid) const = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_KUBELET_VOLUMES_H_
