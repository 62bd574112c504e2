#include "engine/device_names.h"

#include <sstream>
#include <string_view>

#include "base/file.h"
#include "base/utf8.h"

namespace interlink::engine {
namespace {

constexpr size_t kMaxDeviceName = 256;

}  // namespace

std::map<std::string, std::string> MountSources(const std::string& mountinfo) {
  std::map<std::string, std::string> sources;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    // "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG]... - TYPE SOURCE SUPEROPTIONS"
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream left(line.substr(0, dash));
    std::istringstream right(line.substr(dash + 3));
    std::string id;
    std::string parent;
    std::string device;
    std::string type;
    std::string source;
    if ((left >> id >> parent >> device) && (right >> type >> source))
      sources.emplace(device, source);
  }
  return sources;
}

std::string DevNameIn(const std::string& uevent) {
  static constexpr std::string_view kKey = "DEVNAME=";
  std::istringstream lines(uevent);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(kKey)) return line.substr(kKey.size());
  }
  return "";
}

std::string DeviceNames::NameOf(uint32_t major, uint32_t minor) {
  const auto known = names_.find({major, minor});
  if (known != names_.end()) return known->second;
  const std::string number = std::to_string(major) + ":" + std::to_string(minor);
  std::string name = DevNameIn(ReadFile("/sys/dev/block/" + number + "/uevent", 4096).value_or(""));
  if (!name.empty()) name = "/dev/" + name;
  if (name.empty()) {
    if (!sources_) sources_ = MountSources(ReadFile("/proc/self/mountinfo").value_or(""));
    const auto source = sources_->find(number);
    name = source == sources_->end() ? number : source->second;
  }
  // A label of a metric is UTF-8; a file system's source is whatever was mounted.
  name = Utf8Prefix(name, kMaxDeviceName);
  return names_.emplace(std::pair(major, minor), std::move(name)).first->second;
}

}  // namespace interlink::engine
