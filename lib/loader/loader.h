// Loads plugins (lib/sdk/descriptor.h): dlopen, handshake, create. Thread-safe.
#ifndef INTERLINK_LOADER_LOADER_H_
#define INTERLINK_LOADER_LOADER_H_

#include <memory>
#include <string>

#include "base/status.h"
#include "sdk/descriptor.h"

namespace interlink::loader {

// Opens `path` and makes its backend. The plugin is never unloaded. Errors say what differs:
//   kNotFound            no such file
//   kInvalidArgument     not a plugin (no symbol interlink_plugin_v1), or its options are refused
//   kFailedPrecondition  another abi or build: both are named
Result<std::unique_ptr<sdk::Backend>> Load(const std::string& path, sdk::Host& host,
                                           const sdk::PluginOptions& options);

}  // namespace interlink::loader

#endif  // INTERLINK_LOADER_LOADER_H_
