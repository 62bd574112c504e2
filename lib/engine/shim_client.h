// ShimClient: interlink-shim's commands and its control sockets (cmd/interlink-shim/README.md).
// Thread-safe.
#ifndef INTERLINK_ENGINE_SHIM_CLIENT_H_
#define INTERLINK_ENGINE_SHIM_CLIENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "engine/container_engines.h"
#include "engine/user_namespace.h"
#include "shim/exit_record.h"
#include "shim/messages.h"

namespace interlink::engine {

struct PinRequest {
  std::string folder;
  IdRange users;               // a new user namespace, which owns the others; empty: none
  std::string user_namespace;  // the file of one that exists, for the others; empty: ours
  bool net = false;
  bool ipc = false;
  bool uts = false;
  bool pid = false;
  bool proc = false;  // FOLDER/proc: what a container of a user namespace of its own may not mount
  std::string hostname;  // empty: the machine's
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::vector<std::string> cgroup_procs;
};

struct RunRequest {
  std::string folder;  // the shim's; made by the caller
  std::string id;
  std::string bundle;
  std::string runtime_root;
  bool in = false;
  bool in_once = false;
  bool tty = false;
  uint64_t log_limit = 0;
  int lease_seconds = 0;      // 0: none
  uint32_t stream_owner = 0;  // root of the container's user namespace, as we see it
};

// An exit record that owns its text.
struct ContainerExit {
  int code = 0;
  int64_t started_ns = 0;
  int64_t finished_ns = 0;
  uint64_t oom_kills = 0;
  uint64_t log_end = 0;
  std::string reason;
};

class ShimClient {
 public:
  // `cgroups`: the runtime makes and limits them; else it leaves them alone.
  ShimClient(std::string shim, const ContainerEngine& engine, std::string runtime,
             bool cgroups = true)
      : shim_(std::move(shim)), engine_(engine), runtime_(std::move(runtime)), cgroups_(cgroups) {}

  // kAlreadyExists: pinned already. kInvalidArgument: the shim's own words.
  Status Pin(const Call& call, const PinRequest& request) const;
  Status Unpin(const Call& call, const std::string& folder) const;
  // Creates the container. kAlreadyExists: this folder was used.
  Status Run(const Call& call, const RunRequest& request) const;
  // Deletes what the runtime knows of `id`, killing it; nothing known is OK.
  Status DeleteContainer(const Call& call, const std::string& runtime_root,
                         const std::string& id) const;
  // Ends what lives on of the container whose shim was in `folder`, where that has no cgroup.
  Status EndProcesses(const Call& call, const std::string& folder) const;
  // `resources`: JSON of an OCI config.
  Status UpdateContainer(const Call& call, const std::string& runtime_root, const std::string& id,
                         const std::string& resources) const;
  // A connection to 127.0.0.1:port, then [::1], in the network namespace `netns` (empty: ours).
  // kFailedPrecondition: nothing listens.
  Result<UniqueFd> Dial(const Call& call, const std::string& netns, uint16_t port) const;

  // Requests to the shim of `folder`. kNotFound: no shim lives there.
  Status Start(const Call& call, const std::string& folder) const;
  // kNotFound also when the container has ended.
  Status Signal(const Call& call, const std::string& folder, int signal, bool all) const;
  Result<shim::ContainerState> State(const Call& call, const std::string& folder) const;
  // A connection that was answered "ok" to a watch.
  Result<UniqueFd> Watch(const Call& call, const std::string& folder) const;
  // A session; the descriptor is blocking. kInvalidArgument: the runtime's words (no such program,
  // user, working directory). kNotFound: the container has ended. kResourceExhausted: too many.
  Result<UniqueFd> Exec(const Call& call, const std::string& folder,
                        const shim::SessionRequest& request) const;
  Result<UniqueFd> Attach(const Call& call, const std::string& folder,
                          const shim::SessionRequest& request) const;

 private:
  Status Command(const Call& call, std::vector<std::string> arguments,
                 std::string_view input = "") const;
  std::vector<std::string> RuntimeCommand(const std::string& root) const;

  const std::string shim_;
  const ContainerEngine& engine_;
  const std::string runtime_;
  const bool cgroups_;
};

// The exit record of a container's folder; nothing: it has not ended (or its shim was killed).
Result<std::optional<ContainerExit>> ReadExit(const std::string& folder);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_SHIM_CLIENT_H_
