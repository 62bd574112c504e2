// DeviceNames: what devices are called in metrics. Not thread-safe; for one measurement.
#ifndef INTERLINK_ENGINE_DEVICE_NAMES_H_
#define INTERLINK_ENGINE_DEVICE_NAMES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace interlink::engine {

class DeviceNames {
 public:
  // "/dev/sda" of a block device that the kernel knows; else the source of the file system with
  // that number ("tmpfs"); else "MAJOR:MINOR".
  std::string NameOf(uint32_t major, uint32_t minor);

 private:
  std::map<std::pair<uint32_t, uint32_t>, std::string> names_;
  std::optional<std::map<std::string, std::string>> sources_;  // by "MAJOR:MINOR"
};

// By "MAJOR:MINOR" the source of the first file system with that number in /proc/PID/mountinfo.
// Lines that are no mounts are skipped. Pure.
std::map<std::string, std::string> MountSources(const std::string& mountinfo);

// The value of DEVNAME= in a uevent file of sysfs; "" when there is none. Pure.
std::string DevNameIn(const std::string& uevent);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_DEVICE_NAMES_H_
