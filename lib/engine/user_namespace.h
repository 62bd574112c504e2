// A pod's user namespace: ids from 0 on inside are ids from `host_id` on outside, users and groups
// alike. Pure, but for OwnIds.
#ifndef INTERLINK_ENGINE_USER_NAMESPACE_H_
#define INTERLINK_ENGINE_USER_NAMESPACE_H_

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace runtime::v1 {
class Mount;
class NamespaceOption;
}  // namespace runtime::v1

namespace interlink::engine {

struct IdRange {
  uint32_t host_id = 0;
  uint32_t length = 0;  // 0: no user namespace, the ids are the machine's

  bool empty() const { return length == 0; }
  bool Has(uint32_t id) const { return empty() || id < length; }
  // What `id` inside is outside. REQUIRES: Has(id).
  uint32_t Outside(uint32_t id) const { return host_id + id; }
  bool operator==(const IdRange&) const = default;
};

// How many ids from 0 on, without a gap, a namespace has that shows this /proc/PID/uid_map.
uint32_t CountIds(std::string_view map);
// The same of this process, users and groups alike; 0: not known.
uint32_t OwnIds();

// What namespace_options ask for: mode POD with one mapping of ids from 0 on, the same for users
// and groups; mode NODE, or nothing, is the machine's. kInvalidArgument names the field.
Result<IdRange> UserNamespaceOf(const runtime::v1::NamespaceOption& options);

// True when the mount shall show its files' owners as the namespace `pod` has them.
// kInvalidArgument: its mappings are not the pod's.
Result<bool> IsMapped(const runtime::v1::Mount& mount, const IdRange& pod);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_USER_NAMESPACE_H_
