// Internal: the service account of a pod, as the token says that kubelet mounts for it.
#ifndef INTERLINK_KUBELET_VOLUMES_SERVICE_ACCOUNT_H_
#define INTERLINK_KUBELET_VOLUMES_SERVICE_ACCOUNT_H_

#include <string>
#include <string_view>

namespace interlink::kubelet_volumes {

// Whose pods are: a token of another pod or namespace says nothing of this one.
struct PodOfToken {
  std::string uid;
  std::string pod_namespace;
};

// The claim kubernetes.io.serviceaccount.name of a token (a JWT, RFC 7519) that Kubernetes has
// bound to that pod; empty: it is none. Its signature is not looked at: it is kubelet's file. Pure.
std::string ServiceAccountIn(std::string_view token, const PodOfToken& pod);

}  // namespace interlink::kubelet_volumes

#endif  // INTERLINK_KUBELET_VOLUMES_SERVICE_ACCOUNT_H_
