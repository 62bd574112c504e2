// Device nodes of the host for containers. Thread-safe.
#ifndef INTERLINK_ENGINE_DEVICES_H_
#define INTERLINK_ENGINE_DEVICES_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "engine/oci_spec.h"

namespace interlink::engine {

// The device at `host_path` (links resolved), or all devices below it when it is a folder.
// `permissions`: of "rwm". kInvalidArgument: not a device, or other permissions.
Result<std::vector<SpecDevice>> DevicesAt(const std::string& host_path,
                                          const std::string& container_path,
                                          const std::string& permissions);

// Everything in /dev that a privileged container sees.
std::vector<SpecDevice> AllDevices();

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_DEVICES_H_
