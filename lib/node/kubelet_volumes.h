// Port: kubelet's folder on the node, of whose volumes a site on another machine gets snapshots
// (docs/adr/0013). lib/kubelet_volumes implements it. Thread-safe.
#ifndef INTERLINK_NODE_KUBELET_VOLUMES_H_
#define INTERLINK_NODE_KUBELET_VOLUMES_H_

#include <string>

#include "base/status.h"
#include "interlink/v1/volume.pb.h"

namespace interlink::node {

struct TakenMount {
  interlink::v1::MountSource source;
  std::string snapshot;  // the bytes that source.snapshot() is the digest of
};

class KubeletVolumes {
 public:
  virtual ~KubeletVolumes() = default;
  // The path lies in the pod's own folder. Reads no file.
  virtual bool IsOfPod(const std::string& host_path, const std::string& pod_uid) const = 0;
  // What stands in its place elsewhere. Reads files: for step threads. kUnimplemented: its kind of
  // volume does not travel; kResourceExhausted: it is too large; kUnavailable: kubelet is writing
  // it.
  virtual Result<TakenMount> Take(const std::string& host_path,
                                  const std::string& pod_uid) const = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_KUBELET_VOLUMES_H_
