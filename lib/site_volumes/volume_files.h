// Snapshots of kubelet's volumes as files: FOLDER/NODE/DIGEST, 0600, where NODE is the node's name
// in hex and DIGEST the hex of its own. Thread-safe.
#ifndef INTERLINK_SITE_VOLUMES_VOLUME_FILES_H_
#define INTERLINK_SITE_VOLUMES_VOLUME_FILES_H_

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "site/volumes.h"

namespace interlink::site_volumes {

struct Options {
  std::string folder;
  uint64_t bytes_per_node = 256U << 20U;
};

// `log` and `clock` outlive it. Makes the folder (0700).
Result<std::unique_ptr<site::Volumes>> Open(Options options, Log& log, const Clock& clock);

}  // namespace interlink::site_volumes

#endif  // INTERLINK_SITE_VOLUMES_VOLUME_FILES_H_
