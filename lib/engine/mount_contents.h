// What stands in the place of mounts whose host path is kubelet's on another machine
// (sdk::ContainerSpec::contents, docs/adr/0013).
#ifndef INTERLINK_ENGINE_MOUNT_CONTENTS_H_
#define INTERLINK_ENGINE_MOUNT_CONTENTS_H_

#include <map>
#include <string>

#include "base/status.h"
#include "engine/pod_files.h"
#include "sdk/backend.h"

namespace interlink::engine {

using MountContents = sdk::MountContents;

// kInvalidArgument: a content that is none, or leads out of its place. Pure.
Status CheckContents(const MountContents& contents);

// Makes them and answers where each is, by host path: a pod's folder with the first container that
// has it, the rest in the container's own folder, which exists. `owned`: by whom they say; else by
// us.
Result<std::map<std::string, std::string>> MakeContents(const MountContents& contents,
                                                        const PodFolder& folder,
                                                        const ContainerId& container, bool owned);

// Of the snapshots among them, by host path: the name that MakeContents gave its place. Pure.
std::map<std::string, std::string> SnapshotNames(const MountContents& contents,
                                                 const std::map<std::string, std::string>& places);

// Exchanges snapshots for those of `contents`, at FOLDER/NAME, in mounts of a container. `names`:
// of SnapshotNames. kInvalidArgument: no snapshot, or of no name. REQUIRES: CheckContents.
Status ExchangeContents(const MountContents& contents,
                        const std::map<std::string, std::string>& names, const std::string& folder,
                        bool owned);

// The end of what the container wrote to its termination log, at most 4096 bytes; "" when it has
// none.
std::string TerminationMessage(const PodFolder& folder, const ContainerId& container);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_MOUNT_CONTENTS_H_
