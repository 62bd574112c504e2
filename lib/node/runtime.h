// Runtime: what the runtime says of itself, from memory. Thread-safe; nothing blocks.
#ifndef INTERLINK_NODE_RUNTIME_H_
#define INTERLINK_NODE_RUNTIME_H_

#include "base/status.h"
#include "runtime/v1/api.pb.h"

namespace interlink::node {

class Runtime {
 public:
  virtual ~Runtime() = default;
  virtual runtime::v1::VersionResponse GetVersion() const = 0;
  // Conditions RuntimeReady, NetworkReady, SiteReachable; the first two stay true once a site has
  // been seen.
  virtual runtime::v1::StatusResponse GetStatus(bool verbose) const = 0;
  // CGROUPFS.
  virtual runtime::v1::RuntimeConfigResponse GetConfig() const = 0;
  // Accepts a pod CIDR and records it for `status`; pod addresses are the site's.
  virtual Status UpdateConfig(const runtime::v1::RuntimeConfig& config) = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_RUNTIME_H_
