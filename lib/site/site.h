// Site: the domain of interlink-api. Records, dispatch to backends, the stream of changed records,
// links. It knows no gRPC, HTTP, SQLite or JSON.
//
// Call order: Create -> AddBackend... -> Start -> anything -> Stop. Thread-safe. The use cases that
// take a Reply return at once and complete it later from any thread; the others answer from memory.
#ifndef INTERLINK_SITE_SITE_H_
#define INTERLINK_SITE_SITE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "interlink/v1/link.pb.h"
#include "interlink/v1/record.pb.h"
#include "interlink/v1/session.pb.h"
#include "sdk/backend.h"
#include "sdk/host.h"
#include "site/admission.h"
#include "site/images.h"
#include "site/store.h"
#include "site/volumes.h"

namespace interlink::site {

// Completed exactly once, from any thread, also at shutdown. It must not block.
template <typename T>
using Reply = std::function<void(Result<T>)>;

// An answer to a changing request: the record as it is now. `settled`: what was asked for is
// reached (200), else it goes on by itself and ends as an event (202).
template <typename Record>
struct Answer {
  Record record;
  bool settled = false;
};

// What a verified token says besides the node.
struct TokenClaims {
  std::string issuer;
  std::string subject;
  std::string tenant;
  std::vector<std::string> groups;
};

// Who asks, verified by the edge, and the link that the request carries (0: none).
struct Caller {
  NodeId node;
  uint64_t link = 0;
  std::shared_ptr<const TokenClaims> token = nullptr;  // owners: all copies; null: it had none
  // Owners: all copies and the request. Null: nobody wants to know by which rule it is let through.
  std::shared_ptr<Ruling> ruling = nullptr;
};

// A tenant's, where the token names one.
Account AccountOf(const Caller& caller);

// An open session: the descriptor as lib/sdk/backend.h has it (OpenSession, Dial). It counts
// against its node's limit until this dies, which may be after the Site.
struct Session {
  UniqueFd fd;
  std::shared_ptr<void> counted;  // owner: this
};

struct Options {
  std::string name;  // shown to nodes
  std::string version;
  std::string default_handler;  // "": the first one
  std::string data_folder;
  // A part of every artefact's name (sdk::Host::lineage). It outlives the store: what runs is found
  // again after a loss of the store, which has a new lineage on the wire. Empty: the store's.
  Lineage artefact_lineage;
  bool images_on_this_host = true;
  Duration tombstone_retention = std::chrono::hours(1);
  Duration node_gone_after = Duration::zero();  // zero: never
  int step_threads = 32;
  int step_queue = 4096;
  int pull_threads = 4;
  size_t max_exec_sync_per_node = 256;
  // exec, attach and port-forward together; each has a connection of its own.
  size_t max_sessions_per_node = 256;
  Duration pod_metrics_poll = std::chrono::seconds(10);  // while somebody asks for them
};

struct Ports {
  Store& store;
  Images& images;
  Volumes& volumes;
  Log& log;
  Metrics& metrics;
  const Clock& clock;
  const Admission* admission = nullptr;  // null: whoever is known may have everything
};

// One reader of a node's changed records. Not thread-safe; ends its subscription when it dies.
class EventReader {
 public:
  virtual ~EventReader() = default;
  // What has changed since the last call, at most `max`; empty: nothing yet. kAborted: the link is
  // no longer the node's: the stream ends.
  virtual Result<std::vector<interlink::v1::Event>> Next(size_t max) = 0;
  // `wake` runs (from any thread, must not block) once when Next would have something.
  virtual void OnReady(std::function<void()> wake) = 0;
};

// Ends what it stands for when it dies.
class Watch {
 public:
  virtual ~Watch() = default;
};

class Site {
 public:
  // Loads the store. kDataLoss, kFailedPrecondition: it cannot be used; the message says what to
  // do.
  static Result<std::unique_ptr<Site>> Create(const Options& options, const Ports& ports);
  virtual ~Site() = default;

  // What a plugin is given at creation. Lives as long as the site.
  virtual sdk::Host& HostFor(const std::string& plugin) = 0;
  // `handlers`: the names that it serves here. kInvalidArgument: a handler has two backends. Before
  // Start.
  virtual Status AddBackend(const std::string& plugin, const std::vector<std::string>& handlers,
                            std::unique_ptr<sdk::Backend> backend) = 0;
  // A configured plugin that could not be loaded: its handlers answer kUnavailable with `why`,
  // never "unknown handler".
  virtual void AddMissing(const std::string& plugin, const std::vector<std::string>& handlers,
                          Status why) = 0;

  // Inventories every backend in the background; its handlers refuse changes (kUnavailable) until
  // then.
  virtual void Start() = 0;
  // Completes every waiting reply with kUnavailable, ends steps (5 s) and threads. Touches no
  // container.
  virtual void Stop() = 0;

  // --- links and information
  virtual void Link(const Call& call, const NodeId& node, const interlink::v1::LinkRequest& request,
                    Reply<interlink::v1::LinkResponse> reply) = 0;
  virtual interlink::v1::InfoResponse Info() const = 0;
  virtual interlink::v1::SiteStatus StatusFor(const NodeId& node) const = 0;
  virtual bool Ready() const = 0;  // every backend is recovered or known to be missing

  // --- sandboxes. Every changing call: kAborted when caller.link is not the node's. `wait`: how
  // long the reply may wait for the record to settle (Prefer: wait=N), at most 2 s. `body`: the
  // request's bytes as they came (protobuf): same id with other bytes is kAlreadyExists.
  virtual void RunSandbox(const Call& call, const Caller& caller, const SandboxId& id,
                          const std::string& body, Duration wait,
                          Reply<Answer<interlink::v1::SandboxRecord>> reply) = 0;
  virtual void StopSandbox(const Call& call, const Caller& caller, const SandboxId& id,
                           const std::string& handler, Duration wait,
                           Reply<Answer<interlink::v1::SandboxRecord>> reply) = 0;
  virtual void RemoveSandbox(const Call& call, const Caller& caller, const SandboxId& id,
                             const std::string& handler, Duration wait,
                             Reply<Answer<interlink::v1::SandboxRecord>> reply) = 0;
  virtual void UpdateSandbox(const Call& call, const Caller& caller, const SandboxId& id,
                             const interlink::v1::UpdateSandboxRequest& request,
                             Reply<Answer<interlink::v1::SandboxRecord>> reply) = 0;
  virtual Result<interlink::v1::SandboxRecord> GetSandbox(const NodeId& node,
                                                          const SandboxId& id) const = 0;
  virtual std::vector<interlink::v1::SandboxRecord> ListSandboxes(const NodeId& node) const = 0;
  virtual void InspectSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                              Reply<interlink::v1::InspectResponse> reply) = 0;

  // --- containers
  virtual void CreateContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                               const ContainerId& id, const std::string& body, Duration wait,
                               Reply<Answer<interlink::v1::ContainerRecord>> reply) = 0;
  virtual void StartContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                              const ContainerId& id, const std::string& handler, Duration wait,
                              Reply<Answer<interlink::v1::ContainerRecord>> reply) = 0;
  virtual void StopContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                             const ContainerId& id,
                             const interlink::v1::StopContainerRequest& request, Duration wait,
                             Reply<Answer<interlink::v1::ContainerRecord>> reply) = 0;
  virtual void RemoveContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                               const ContainerId& id, const std::string& handler, Duration wait,
                               Reply<Answer<interlink::v1::ContainerRecord>> reply) = 0;
  virtual void UpdateContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                               const ContainerId& id,
                               const interlink::v1::UpdateContainerRequest& request,
                               Reply<Answer<interlink::v1::ContainerRecord>> reply) = 0;
  virtual Result<interlink::v1::ContainerRecord> GetContainer(const NodeId& node,
                                                              const SandboxId& sandbox,
                                                              const ContainerId& id) const = 0;
  virtual void InspectContainer(const Call& call, const NodeId& node, const SandboxId& sandbox,
                                const ContainerId& id,
                                Reply<interlink::v1::InspectResponse> reply) = 0;
  // Runs once per exec_id (kAlreadyExists). The caller's end kills the command.
  virtual void ExecSync(const Call& call, const Caller& caller, const SandboxId& sandbox,
                        const ContainerId& id, const interlink::v1::ExecSyncRequest& request,
                        Reply<interlink::v1::ExecSyncResponse> reply) = 0;

  // --- sessions. Each runs once per session id, which exec ids share (kAlreadyExists). They reply
  // when the command runs, the container is attached to, the port is connected; the edge carries
  // the bytes. `call` bounds the opening only. kNotFound, kFailedPrecondition: not running, nothing
  // listens. kInvalidArgument: also what the backend cannot start (no such executable, user,
  // working directory). kResourceExhausted: the node's limit.
  virtual void OpenExec(const Call& call, const Caller& caller, const SandboxId& sandbox,
                        const ContainerId& id, const interlink::v1::OpenExec& request,
                        Reply<Session> reply) = 0;
  virtual void OpenAttach(const Call& call, const Caller& caller, const SandboxId& sandbox,
                          const ContainerId& id, const interlink::v1::OpenAttach& request,
                          Reply<Session> reply) = 0;
  virtual void OpenPort(const Call& call, const Caller& caller, const SandboxId& sandbox,
                        const interlink::v1::OpenPortForward& request, Reply<Session> reply) = 0;

  // --- images
  virtual void PullImage(const Call& call, const Caller& caller,
                         const interlink::v1::PullImageRequest& request, Duration wait,
                         Reply<Answer<interlink::v1::PullRecord>> reply) = 0;
  virtual Status CancelPull(const Caller& caller, const std::string& pull_id) = 0;
  virtual void RemoveImage(const Call& call, const Caller& caller, const std::string& image,
                           Reply<std::string> reply) = 0;
  // --- contents of mounts (CreateContainerRequest.sources). `digest`: of exactly these bytes,
  // which the caller has checked. Blocks on a disk.
  virtual Status PutVolume(const Call& call, const Caller& caller, const std::string& digest,
                           const std::string& bytes) = 0;
  // What a container's volumes have by now. OK without `missing`: durable, and it comes to the
  // container by itself; an older sequence of the link changes nothing. kInvalidArgument: a mount
  // that the container was not created with a snapshot for. kFailedPrecondition: it was stopped or
  // has ended.
  virtual void RefreshVolumes(const Call& call, const Caller& caller, const SandboxId& sandbox,
                              const ContainerId& id,
                              const interlink::v1::RefreshVolumesRequest& request,
                              Reply<interlink::v1::RefreshVolumesResponse> reply) = 0;
  virtual std::vector<interlink::v1::ImageRecord> ListImages(const NodeId& node) const = 0;
  virtual Result<std::vector<interlink::v1::ImageRecord>> FindImage(
      const NodeId& node, const std::string& name) const = 0;
  virtual Result<interlink::v1::ImageFilesystemsResponse> ImageFilesystems() const = 0;

  // --- streams and statistics
  // `after` of another epoch, or of another link of this node: a resync list comes first. One
  // reader per node: a new one ends the old (its Next answers kAborted).
  virtual Result<std::unique_ptr<EventReader>> ReadEvents(const Caller& caller,
                                                          const interlink::v1::Position& after) = 0;
  // Everything below `offset` is acknowledged. Never waits for new bytes; runs on a step thread.
  virtual void ReadLog(const Call& call, const NodeId& node, const SandboxId& sandbox,
                       const ContainerId& id, uint64_t offset, size_t max,
                       Reply<sdk::LogChunk> reply) = 0;
  // `wake` runs (any thread, must not block) when a log of this node grew or ended. One per node;
  // the returned object ends it.
  virtual std::unique_ptr<Watch> WatchLogs(const NodeId& node,
                                           std::function<void(const ContainerId&)> wake) = 0;
  virtual void Stats(const Call& call, const NodeId& node,
                     Reply<interlink::v1::StatsResponse> reply) = 0;
  // From memory while that is younger than 15 s and has all that ran meanwhile; else one
  // measurement for all who wait. kResourceExhausted: too many wait.
  virtual void PodMetrics(const NodeId& node, Reply<interlink::v1::PodMetricsResponse> reply) = 0;

  // --- administration (`interlink-api node ...`, `forget --dead`)
  virtual interlink::v1::NodeList ListNodes() const = 0;
  // The node's next link is accepted whatever its secret.
  virtual void Takeover(const Call& call, const NodeId& node, Reply<std::string> reply) = 0;
  // Stops and removes all that the node has, its images too, then forgets it. kFailedPrecondition
  // while it has a live event stream.
  virtual void DropNode(const Call& call, const NodeId& node, Reply<std::string> reply) = 0;
  // A person's word that `id` (sandbox or container) is dead: the end is proven by it.
  virtual void ForgetDead(const Call& call, const std::string& id, Reply<std::string> reply) = 0;
};

}  // namespace interlink::site

#endif  // INTERLINK_SITE_SITE_H_
