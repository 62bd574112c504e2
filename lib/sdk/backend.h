// Backend: what a plugin gives to the site. One object per loaded plugin; it runs sandboxes and
// containers.
//
// Threads: every method may be called from many threads; the site serialises calls of one sandbox,
// nothing else. Short: a method hands its step over and returns, REQUIRES < 10 s, usually < 100 ms.
// Queue, grace and start-up go on
//   by themselves and end as an Observation. Only PrepareImage may block longer, until
//   call.deadline().
// Idempotent by id: repeating a step that was taken or is under way is OK and starts nothing. Every
// artefact is named
//   by lineage, node and id, so that stop and remove work from the id alone, also for an id the
//   backend never saw.
// Errors: kUnavailable = unknown whether it happened, the site repeats. kInvalidArgument,
// kUnimplemented,
//   kPermissionDenied = refused before anything started; the message names the field. kNotFound:
//   never for stop and remove. kFailedPrecondition: wrong state.
// call.cancelled() = nobody waits any more: it ends reads and waits, never a step that has begun.
// Life: create -> Recover once -> anything -> destructor after the last call returned. Destruction
// stops no work.
#ifndef INTERLINK_SDK_BACKEND_H_
#define INTERLINK_SDK_BACKEND_H_

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/id.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "sdk/description.h"
#include "sdk/observation.h"

namespace runtime::v1 {
class ContainerConfig;
class ContainerStats;
class LinuxContainerResources;
class PodSandboxConfig;
class PodSandboxMetrics;
class PodSandboxStats;
}  // namespace runtime::v1

namespace interlink::v1 {
class MountContent;
}

namespace interlink::sdk {

// By a mount's host_path: what stands in its place.
using MountContents = std::map<std::string, std::shared_ptr<const interlink::v1::MountContent>>;

struct SandboxSpec {
  SandboxId id;
  NodeId node;
  std::string handler;
  const runtime::v1::PodSandboxConfig& config;
  // The node's PluginConfig: only keys of Description::node_options.
  std::map<std::string, std::string> node_options = {};
  // Of the site's machines, as which the pod runs; empty: as the backend's own. Only with
  // Description::runs_as_users.
  std::string user = {};
};

struct ContainerSpec {
  ContainerId id;
  SandboxId sandbox;
  NodeId node;
  std::string image_id;  // of an image that PrepareImage has seen
  const runtime::v1::ContainerConfig& config;
  const runtime::v1::PodSandboxConfig& sandbox_config;
  // Of each image that a mount names (mounts.image.image): the id, which PrepareImage has seen.
  std::map<std::string, std::string> volume_images = {};
  // Of each mount whose host_path is kubelet's, on another machine: what stands in its place.
  MountContents contents = {};
};

struct SessionSpec {
  SessionId session;
  SandboxId sandbox;
  ContainerId container;
  bool attach = false;  // else exec of `argv`
  std::vector<std::string> argv;
  bool tty = false;
  bool in = false;
  bool out = true;
  bool err = true;
  bool kill_on_close = false;  // closing the descriptor kills the whole process tree (ExecSync)
};

struct LogChunk {
  std::string bytes;  // CRI log lines; may end inside a line
  uint64_t next = 0;  // offset after `bytes`: bytes since the container's start
  bool end = false;   // no byte will follow
};

// One answer for everything that runs. Attributes (id, metadata, labels) are filled by the site;
// the backend fills `attributes.id` and the numbers.
struct Usage {
  std::vector<runtime::v1::ContainerStats> containers;
  std::vector<runtime::v1::PodSandboxStats> sandboxes;
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Constant for the life of the object.
  virtual const Description& Describe() const = 0;

  // Finds or settles each of `last_known` and everything else that carries our lineage: returns all
  // there is, known or not. What is not in the answer is proven absent. An error means "cannot
  // tell" and is repeated.
  virtual Result<std::vector<Observation>> Recover(const Call& call,
                                                   const std::vector<Observation>& last_known) = 0;
  // All there is, one query; cannot tell = error, never an empty answer.
  virtual Result<std::vector<Observation>> Observe(const Call& call) = 0;

  // Asks for the pod's start. OK = durably asked for; it ends as an Observation kUp or kFailed.
  virtual Status RunSandbox(const Call& call, const SandboxSpec& spec) = 0;
  // Ends its containers first (grace 0), then the sandbox; also while kPending. OK = under way;
  // ends kDown.
  virtual Status StopSandbox(const Call& call, const NodeId& node, const SandboxId& id) = 0;
  // Stops, then removes it with its containers. OK = nothing of it is left.
  virtual Status RemoveSandbox(const Call& call, const NodeId& node, const SandboxId& id) = 0;
  virtual Status UpdateSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                               const runtime::v1::LinuxContainerResources& resources,
                               const runtime::v1::LinuxContainerResources& overhead) = 0;

  // Makes the form of the image that this backend needs for that sandbox; single-flight; called
  // before CreateContainer on a thread that may block.
  virtual Status PrepareImage(const Call& call, const SandboxId& sandbox,
                              const std::string& image_id) = 0;
  // REQUIRES: sandbox up, image prepared. OK = created: it is kCreated now.
  virtual Status CreateContainer(const Call& call, const ContainerSpec& spec) = 0;
  // OK = asked for; ends kUp, or kDown with reason StartError.
  virtual Status StartContainer(const Call& call, const SandboxId& sandbox,
                                const ContainerId& id) = 0;
  // Stop signal now, SIGKILL after `grace` (0: at once). OK = signalled; ends kDown. A shorter
  // grace wins.
  virtual Status StopContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                               std::chrono::seconds grace) = 0;
  // Kills first. OK = nothing of it is left, log and bundle included.
  virtual Status RemoveContainer(const Call& call, const SandboxId& sandbox,
                                 const ContainerId& id) = 0;
  // All or nothing. What `resources` does not say stays as it is (sdk/merged_resources.h).
  virtual Status UpdateContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                                 const runtime::v1::LinuxContainerResources& resources) = 0;
  // Exchanges snapshots of ContainerSpec::contents for those that are given, also in a container
  // that was not started yet. Each at once: a process sees the old one or the new one. Calls for
  // one container take effect in their order, also one that was answered kUnavailable.
  // kInvalidArgument: no snapshot, or of no mount that has one, or a file became a folder.
  // kFailedPrecondition: the container has ended. kUnimplemented: contents are not taken here.
  virtual Status UpdateContents(const Call&, const SandboxId&, const ContainerId&,
                                const MountContents&) {
    return Unimplemented("this backend has no copies of kubelet's volumes");
  }

  // Connected SOCK_STREAM socket with the frames of lib/shim/frames.h (stdin, stdout, stderr,
  // status, resize, close). Returns when the command runs; kInvalidArgument: it cannot be started
  // (no such program, user, working directory); kFailedPrecondition: the container does not run;
  // kResourceExhausted: it has too many sessions. The caller owns it. Back-pressure is its buffer;
  // closing it ends the session. Last frame = exit status.
  virtual Result<UniqueFd> OpenSession(const Call& call, const SessionSpec& spec) = 0;
  // Connected to 127.0.0.1:port (then [::1]) inside the sandbox; raw bytes, half-close by
  // shutdown(). kFailedPrecondition: nothing listens.
  virtual Result<UniqueFd> Dial(const Call& call, const SandboxId& sandbox, uint16_t port) = 0;
  // Never blocks for new bytes: after an answer of less than `max` bytes Host::LogGrew comes as
  // soon as the log is longer than `next`, whatever is acknowledged. Everything below `offset` is
  // acknowledged and may be deleted.
  virtual Result<LogChunk> ReadLog(const Call& call, const SandboxId& sandbox,
                                   const ContainerId& id, uint64_t offset, size_t max) = 0;
  virtual Result<Usage> Stats(const Call& call) = 0;
  // The metrics of base/pod_metrics.h of everything that runs, each with the time of its
  // measurement and the values of its own labels only (device, interface, ...). Each pod and
  // container has each metric and label values once. What cannot be measured is left out and holds
  // up nothing else. kUnimplemented: this backend has no such numbers, now and later.
  virtual Result<std::vector<runtime::v1::PodSandboxMetrics>> Metrics(const Call& call) = 0;
  // Facts for a person, shown by `crictl inspect` and `inspectp` as JSON: pid, OCI spec, CNI
  // result. A JSON object.
  virtual Result<std::string> Inspect(const Call& call, const SandboxId& sandbox,
                                      const ContainerId& container) = 0;
};

}  // namespace interlink::sdk

#endif  // INTERLINK_SDK_BACKEND_H_
