// Loader: opens a plugin's shared object, checks its handshake (sdk/descriptor.h) and makes its
// backend or provisioner. Thread-safe.
#ifndef INTERLINK_LOADER_LOADER_H_
#define INTERLINK_LOADER_LOADER_H_

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "sdk/descriptor.h"

namespace interlink::loader {

// One of the two, as the plugin's descriptor says.
struct Loaded {
  std::unique_ptr<sdk::Backend> backend;
  std::unique_ptr<sdk::Provisioner> provisioner;
};

// Asked for a plugin that is a provisioner; its error is the answer of Load.
using DeskMaker = std::function<Result<sdk::AgentDesk*>()>;

// Opens `path` (RTLD_NOW | RTLD_LOCAL; never unloaded) and makes what it is. `host` and the desk
// outlive it.
// Every error names the plugin and what differs:
//   kNotFound            there is no such file
//   kPermissionDenied    it cannot be read, or everybody may write it: it would run as this daemon
//   kInvalidArgument     the path is not absolute, it is no shared object, or no interlink plugin
//   kFailedPrecondition  another ABI or build (both are named), or it cannot be linked
//   kInternal            it threw, or gave neither an object nor a reason
//   other                the plugin's own reason, e.g. kInvalidArgument for an unknown option
// The code of a refused plugin may have run its initialisers.
Result<Loaded> Load(const std::string& path, sdk::Host& host, const DeskMaker& desk,
                    const sdk::PluginOptions& options);

enum class Kind { kBackend, kProvisioner };

// The same without making anything: what would Load refuse, else what would it make? For commands
// beside a running daemon, whose work a second backend must not touch.
Result<Kind> Check(const std::string& path);

}  // namespace interlink::loader

#endif  // INTERLINK_LOADER_LOADER_H_
