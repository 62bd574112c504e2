// The one symbol that a plugin exports, and the handshake: both numbers must equal the host's.
// Plugins are trusted code of the same build; they are opened RTLD_NOW | RTLD_LOCAL and never
// unloaded.
#ifndef INTERLINK_SDK_DESCRIPTOR_H_
#define INTERLINK_SDK_DESCRIPTOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "sdk/backend.h"
#include "sdk/host.h"
#include "sdk/provisioner.h"

namespace interlink::sdk {

// Raised whenever a header of lib/sdk changes its meaning or layout.
inline constexpr uint32_t kPluginAbi = 5;

// Of libinterlink-sdk.so: version, compiler, build type, sanitizer and a hash of the sources of
// lib/base, lib/sdk and proto (cmake/InterlinkBuildId.cmake).
const char* BuildId();

// One option of the plugin's section of the configuration.
struct Option {
  std::string key;  // dotted below the section, e.g. "CNI.ConfDir"; list items as "Key[0]"
  std::string value;
  std::string where;  // "file:line"
};

struct PluginOptions {
  std::string name;                   // the section's name
  std::vector<std::string> handlers;  // the handlers that it shall serve
  std::vector<Option> options;
};

// One of the two functions is null. An unknown or malformed option is kInvalidArgument, with its
// `where`.
struct PluginDescriptor {
  uint32_t abi;
  const char* build_id;
  const char* name;
  Result<std::unique_ptr<Backend>> (*create)(Host& host, const PluginOptions& options);
  Result<std::unique_ptr<Provisioner>> (*create_provisioner)(Host& host, AgentDesk& desk,
                                                             const PluginOptions& options);
};

}  // namespace interlink::sdk

// Defines the exported symbol, once per plugin, in plugin.cc: INTERLINK_PLUGIN("local", Create),
// and INTERLINK_PROVISIONER("slurm", Create) for a scheduler's plugin.
#define INTERLINK_PLUGIN(plugin_name, create_function) \
  INTERLINK_PLUGIN_DESCRIPTOR(plugin_name, create_function, nullptr)
#define INTERLINK_PROVISIONER(plugin_name, create_function) \
  INTERLINK_PLUGIN_DESCRIPTOR(plugin_name, nullptr, create_function)

#define INTERLINK_PLUGIN_DESCRIPTOR(plugin_name, make_backend, make_provisioner)                \
  extern "C" __attribute__((visibility("default"))) const ::interlink::sdk::PluginDescriptor*   \
  interlink_plugin_v1() {                                                                       \
    static const ::interlink::sdk::PluginDescriptor descriptor{::interlink::sdk::kPluginAbi,    \
                                                               INTERLINK_BUILD_ID, plugin_name, \
                                                               make_backend, make_provisioner}; \
    return &descriptor;                                                                         \
  }

#endif  // INTERLINK_SDK_DESCRIPTOR_H_
