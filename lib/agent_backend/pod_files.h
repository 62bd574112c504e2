// Internal: the records of pods in allocations, one file each: FOLDER/SANDBOX. Thread-safe for
// different pods; durable when a method returns.
#ifndef INTERLINK_AGENT_BACKEND_POD_FILES_H_
#define INTERLINK_AGENT_BACKEND_POD_FILES_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "interlink/v1/agent_pod.pb.h"

namespace interlink::agent_backend {

class PodFiles {
 public:
  explicit PodFiles(std::string folder) : folder_(std::move(folder)) {}

  // Makes the folder, and clears it of cut writes: nothing may be saved yet. kDataLoss names a
  // damaged file, kFailedPrecondition one of another version. Which containers are queued is said
  // of all, also of those that an older build has written.
  Result<std::vector<interlink::v1::StoredAgentPod>> Load() const;
  Status Save(const interlink::v1::StoredAgentPod& pod) const;
  Status Remove(const SandboxId& id) const;

  // Of a container that its agent does not have yet: FOLDER/contents/SANDBOX.CONTAINER.
  using Contents = std::map<std::string, std::shared_ptr<const interlink::v1::MountContent>>;
  // Writes nothing when there are none.
  Status SaveContents(const SandboxId& sandbox, const ContainerId& id,
                      const Contents& contents) const;
  // kDataLoss: damaged.
  Result<Contents> LoadContents(const SandboxId& sandbox, const ContainerId& id) const;
  // Idempotent.
  Status RemoveContents(const SandboxId& sandbox, const ContainerId& id) const;

 private:
  void SettleOld(interlink::v1::StoredAgentPod& pod) const;

  const std::string folder_;
};

}  // namespace interlink::agent_backend

#endif  // INTERLINK_AGENT_BACKEND_POD_FILES_H_
