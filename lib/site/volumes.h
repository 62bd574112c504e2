// Port: the snapshots of kubelet's volumes that nodes have sent (docs/adr/0013). lib/site_volumes
// implements it. Thread-safe; reads and writes files, so it is for step threads and blocking
// routes.
#ifndef INTERLINK_SITE_VOLUMES_H_
#define INTERLINK_SITE_VOLUMES_H_

#include <map>
#include <set>
#include <string>

#include "base/id.h"
#include "base/status.h"

namespace interlink::site {

class Volumes {
 public:
  virtual ~Volumes() = default;
  // Keeps the bytes, whose digest the caller has checked. Durable; idempotent. kResourceExhausted:
  // the node has too much here already.
  virtual Status Put(const NodeId& node, const std::string& digest, const std::string& bytes) = 0;
  // kNotFound: not put, or let go of.
  virtual Result<std::string> Get(const NodeId& node, const std::string& digest) const = 0;
  virtual bool Has(const NodeId& node, const std::string& digest) const = 0;
  // What is not in use and was put more than an hour ago goes.
  virtual void KeepOnly(const std::map<NodeId, std::set<std::string>>& in_use) = 0;
};

}  // namespace interlink::site

#endif  // INTERLINK_SITE_VOLUMES_H_
