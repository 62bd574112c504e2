// Kubelet's folder: FOLDER/pods/UID/... as kubelet lays it out. Thread-safe.
#ifndef INTERLINK_KUBELET_VOLUMES_KUBELET_VOLUMES_H_
#define INTERLINK_KUBELET_VOLUMES_KUBELET_VOLUMES_H_

#include <memory>
#include <string>

#include "node/kubelet_volumes.h"

namespace interlink::kubelet_volumes {

//   etc-hosts                                             snapshot
//   containers/CONTAINER/ANY                              termination log
//   volumes/kubernetes.io~configmap, ~secret,
//     ~projected, ~downward-api/NAME                      snapshot
//   volumes/kubernetes.io~empty-dir/NAME                  folder of the pod
//   volume-subpaths/NAME/CONTAINER/N                      snapshot, of those volumes of which there
//   are any
// Everything else is refused by its kind. A pod's service account is that of the file `token` of a
// projected volume (service_account.h), which kubelet mounts before it asks for a sandbox.
// `folder`: absolute.
std::unique_ptr<node::KubeletVolumes> Open(std::string folder);

}  // namespace interlink::kubelet_volumes

#endif  // INTERLINK_KUBELET_VOLUMES_KUBELET_VOLUMES_H_
