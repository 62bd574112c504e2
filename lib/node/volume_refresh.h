// Internal: what is known of those volumes of a container of which a site on another machine has
// snapshots (docs/adr/0019). Not persisted: each link begins by telling the site all of it.
#ifndef INTERLINK_NODE_VOLUME_REFRESH_H_
#define INTERLINK_NODE_VOLUME_REFRESH_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/clock.h"

namespace interlink::node {

struct VolumeRefresh {
  // All by host path.
  std::map<std::string, std::string> marks;    // KubeletVolumes::Mark when it was taken
  std::map<std::string, std::string> digests;  // of what was taken last
  std::map<std::string, size_t> sizes;
  std::map<std::string, std::string> told;  // what the site has accepted, in told_link
  uint64_t told_link = 0;
  uint64_t sequence = 0;  // of the last request
  bool is_posted = false;
  int attempts = 0;
  Duration pause{};  // after a change that was told: it grows while changes come fast
  SteadyTime told_at;
  SteadyTime not_before;
  std::set<std::string> warned;  // what the log has heard already
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_VOLUME_REFRESH_H_
