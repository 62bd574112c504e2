#include "engine/devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>

#include "engine/list_folder.h"

namespace interlink::engine {
namespace {

namespace fs = std::filesystem;

// Made by the runtime for each container, or meaningless in another.
constexpr std::array kOwn = {"null", "zero",  "full",   "random", "urandom", "tty",
                             "ptmx", "pts",   "shm",    "mqueue", "console", "fd",
                             "core", "stdin", "stdout", "stderr", "log"};

std::optional<SpecDevice> DeviceAt(const std::string& host_path, const std::string& path) {
  struct stat about {};
  if (stat(host_path.c_str(), &about) != 0) return {};
  if (!S_ISCHR(about.st_mode) && !S_ISBLK(about.st_mode)) return {};
  SpecDevice device;
  device.path = path;
  device.type = S_ISCHR(about.st_mode) ? 'c' : 'b';
  device.major = major(about.st_rdev);
  device.minor = minor(about.st_rdev);
  device.mode = about.st_mode & 07777U;
  device.uid = about.st_uid;
  device.gid = about.st_gid;
  return device;
}

void AddBelow(const fs::path& folder, const fs::path& target, std::vector<SpecDevice>& devices) {
  std::error_code error;
  for (const std::string& name : ListFolder(folder.string()).value_or({})) {
    const fs::path source = folder / name;
    const fs::path path = target / name;
    if (fs::is_symlink(source, error)) continue;
    if (fs::is_directory(source, error)) {
      AddBelow(source, path, devices);
    } else if (auto device = DeviceAt(source.string(), path.string())) {
      devices.push_back(*std::move(device));
    }
  }
}

}  // namespace

Result<std::vector<SpecDevice>> DevicesAt(const std::string& host_path,
                                          const std::string& container_path,
                                          const std::string& permissions) {
  if (permissions.find_first_not_of("rwm") != std::string::npos) {
    return InvalidArgument("permissions \"" + permissions + "\" of device \"" + host_path +
                           "\" are not of \"rwm\"");
  }
  const std::string target = container_path.empty() ? host_path : container_path;
  std::vector<SpecDevice> devices;
  std::error_code error;
  if (fs::is_directory(host_path, error)) {
    AddBelow(host_path, target, devices);
  } else if (auto device = DeviceAt(host_path, target)) {
    devices.push_back(*std::move(device));
  }
  if (devices.empty()) return InvalidArgument("\"" + host_path + "\" is not a device");
  for (SpecDevice& device : devices) {
    if (!permissions.empty()) device.access = permissions;
  }
  return devices;
}

std::vector<SpecDevice> AllDevices() {
  std::vector<SpecDevice> devices;
  std::error_code error;
  for (const std::string& name : ListFolder("/dev").value_or({})) {
    const fs::path path = fs::path("/dev") / name;
    bool own = fs::is_symlink(path, error);
    for (const char* other : kOwn) own = own || name == other;
    if (own) continue;
    if (fs::is_directory(path, error)) {
      AddBelow(path, path, devices);
    } else if (auto device = DeviceAt(path.string(), path.string())) {
      devices.push_back(*std::move(device));
    }
  }
  return devices;
}

}  // namespace interlink::engine
