#include "loader/loader.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>

namespace interlink::loader {
namespace {

std::string DlError() {
  const char* text = dlerror();  // NOLINT(concurrency-mt-unsafe): glibc keeps it per thread
  return text != nullptr ? text : "unknown reason";
}

Status CheckDescriptor(const std::string& path, const sdk::PluginDescriptor* descriptor) {
  if (descriptor == nullptr || descriptor->create == nullptr || descriptor->name == nullptr ||
      descriptor->build_id == nullptr) {
    return InvalidArgument("plugin \"" + path + "\" has an incomplete descriptor");
  }
  if (descriptor->abi != sdk::kPluginAbi) {
    return FailedPrecondition("plugin \"" + path + "\" has interface " +
                              std::to_string(descriptor->abi) + ", this build has " +
                              std::to_string(sdk::kPluginAbi) +
                              ": use the plugin that was built with this interlink-api");
  }
  if (std::string_view(descriptor->build_id) != sdk::BuildId()) {
    return FailedPrecondition("plugin \"" + path + "\" is of build \"" + descriptor->build_id +
                              "\", this is \"" + sdk::BuildId() +
                              "\": use the plugin that was built with this interlink-api");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<sdk::Backend>> Load(const std::string& path, sdk::Host& host,
                                           const sdk::PluginOptions& options) {
  if (access(path.c_str(), R_OK) != 0) return ErrnoStatus(errno, "plugin \"" + path + "\"");
  dlerror();  // NOLINT(concurrency-mt-unsafe): forgets an older error
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr)
    return InvalidArgument("\"" + path + "\" is not a plugin that can be loaded: " + DlError());
  using Symbol = const sdk::PluginDescriptor* (*)();
  const auto symbol = reinterpret_cast<Symbol>(dlsym(library, "interlink_plugin_v1"));
  if (symbol == nullptr)
    return InvalidArgument("\"" + path +
                           "\" is not an interlink plugin: it has no symbol interlink_plugin_v1");
  const sdk::PluginDescriptor* descriptor = symbol();
  RETURN_IF_ERROR(CheckDescriptor(path, descriptor));
  try {
    auto backend = descriptor->create(host, options);
    if (!backend.ok())
      return backend.status().WithContext("plugin \"" + std::string(descriptor->name) + "\"");
    if (*backend == nullptr)
      return InternalError("plugin \"" + std::string(descriptor->name) + "\" made no backend");
    return backend;
  } catch (const std::exception& error) {
    return InternalError("plugin \"" + std::string(descriptor->name) +
                         "\" has thrown: " + error.what());
  }
}

}  // namespace interlink::loader
