#include "loader/loader.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>

#include "base/unique_fd.h"

namespace interlink::loader {
namespace {

constexpr const char* kSymbol = "interlink_plugin_v1";
using DescriptorFunction = const sdk::PluginDescriptor* (*)();

// What dlopen would only tell in glibc's words, or not at all.
Status CheckFile(const std::string& path) {
  if (path.empty() || path.front() != '/') return InvalidArgument("use a full path");
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return ErrnoStatus(errno, "open");
  struct stat about {};
  if (::fstat(fd.get(), &about) != 0) return ErrnoStatus(errno, "stat");
  if (!S_ISREG(about.st_mode)) return InvalidArgument("it is not a file");
  if ((about.st_mode & S_IWOTH) != 0) {
    return PermissionDenied(
        "everybody may write it, and it would run as this daemon: chmod o-w the file");
  }
  std::array<char, 4> magic{};
  const ssize_t size = ::read(fd.get(), magic.data(), magic.size());
  if (size < 0) return ErrnoStatus(errno, "read");
  if (size != 4 || std::memcmp(magic.data(), "\177ELF", 4) != 0) {
    return InvalidArgument("it is not a shared object");
  }
  return {};
}

Status CheckDescriptor(const sdk::PluginDescriptor* descriptor) {
  if (descriptor == nullptr) return FailedPrecondition("it gives no descriptor");
  // The first field; nothing behind it may be read when it differs.
  if (descriptor->abi != sdk::kPluginAbi) {
    return FailedPrecondition("it is made for plugin ABI " + std::to_string(descriptor->abi) +
                              ", this daemon has " + std::to_string(sdk::kPluginAbi) +
                              ": install the plugin of this release");
  }
  if (descriptor->build_id == nullptr || descriptor->name == nullptr ||
      (descriptor->create == nullptr) == (descriptor->create_provisioner == nullptr)) {
    return FailedPrecondition("its descriptor is incomplete");
  }
  if (std::string_view(descriptor->build_id) != sdk::BuildId()) {
    return FailedPrecondition(std::string("it is of build \"") + descriptor->build_id +
                              "\", this daemon of \"" + sdk::BuildId() +
                              "\": install the plugin of this build");
  }
  return {};
}

// The reason of the last dl call on this thread.
std::string DlError() {
  const char* text = dlerror();  // NOLINT(concurrency-mt-unsafe): glibc keeps it per thread
  return text == nullptr ? "unknown reason" : text;
}

Result<const sdk::PluginDescriptor*> Open(const std::string& path) {
  RETURN_IF_ERROR(CheckFile(path));
  void* object = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) {
    // Damaged, of another machine, or with symbols that this build does not have.
    return FailedPrecondition("it cannot be loaded: " + DlError());
  }
  void* symbol = dlsym(object, kSymbol);
  if (symbol == nullptr) {
    return InvalidArgument(std::string("it is not an interlink plugin: no symbol ") + kSymbol);
  }
  const auto* descriptor = reinterpret_cast<DescriptorFunction>(symbol)();
  RETURN_IF_ERROR(CheckDescriptor(descriptor));
  return descriptor;
}

Result<Loaded> Create(const sdk::PluginDescriptor& descriptor, sdk::Host& host,
                      const DeskMaker& desk, const sdk::PluginOptions& options) {
  Loaded loaded;
  if (descriptor.create != nullptr) {
    ASSIGN_OR_RETURN(loaded.backend, descriptor.create(host, options));
  } else {
    ASSIGN_OR_RETURN(sdk::AgentDesk * agents, desk());
    ASSIGN_OR_RETURN(loaded.provisioner, descriptor.create_provisioner(host, *agents, options));
  }
  if (loaded.backend == nullptr && loaded.provisioner == nullptr) {
    return InternalError("it made nothing and no error");
  }
  return loaded;
}

Result<Loaded> Make(const sdk::PluginDescriptor& descriptor, sdk::Host& host, const DeskMaker& desk,
                    const sdk::PluginOptions& options) {
  try {
    return Create(descriptor, host, desk, options);
  } catch (const std::exception& error) {
    return InternalError(std::string("it threw: ") + error.what());
  } catch (...) {
    return InternalError("it threw something that is no std::exception");
  }
}

}  // namespace

Result<Kind> Check(const std::string& path) {
  const auto descriptor = Open(path);
  if (!descriptor.ok()) return descriptor.status().WithContext("plugin \"" + path + "\"");
  return (*descriptor)->create != nullptr ? Kind::kBackend : Kind::kProvisioner;
}

Result<Loaded> Load(const std::string& path, sdk::Host& host, const DeskMaker& desk,
                    const sdk::PluginOptions& options) {
  const auto descriptor = Open(path);
  if (!descriptor.ok()) return descriptor.status().WithContext("plugin \"" + path + "\"");
  auto made = Make(**descriptor, host, desk, options);
  if (made.ok()) return made;
  return made.status().WithContext(std::string("plugin \"") + (*descriptor)->name + "\"");
}

}  // namespace interlink::loader
