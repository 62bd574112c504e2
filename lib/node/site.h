// Port: the site as the node's domain sees it. lib/site_client implements it over REST v1.
//
// Threads: all methods are thread-safe. The blocking ones are for step threads: they return by the
// call's deadline, at most 10 s. While the site is out of reach they fail at once with
// kUnavailable; the text names the site and the cause. Codes that the domain acts on:
//   kUnavailable         unknown whether it happened (or the site is down, or the handler is not
//   recovered): repeat kAborted             stale link: nothing happened; link again kAlreadyExists
//   from Link: copied node, a person must act. From Run/CreateContainer: same id, other bytes
//   kFailedPrecondition  wanted is already higher (removed, stopped), or wrong state: nothing
//   happened kInvalidArgument, kUnimplemented, kPermissionDenied, kNotFound: refused before
//   anything started
#ifndef INTERLINK_NODE_SITE_H_
#define INTERLINK_NODE_SITE_H_

#include <memory>
#include <string>

#include "base/call.h"
#include "base/id.h"
#include "base/status.h"
#include "interlink/v1/link.pb.h"
#include "interlink/v1/record.pb.h"
#include "node/reply.h"
#include "node/session.h"

namespace interlink::node {

using LinkNumber = uint64_t;

// Where events go. Methods are called in order from one thread at a time and may block on a store
// commit.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void OnEvent(const interlink::v1::Event& event) = 0;
};

// Where log bytes go. Called from the io threads: they only enqueue.
class LogSink {
 public:
  virtual ~LogSink() = default;
  // The log stream is open (again): every live subscription is to be made (again).
  virtual void OnLogStreamOpen() = 0;
  virtual void OnLogStreamLost(const Status& why) = 0;
  // `next` > offset + bytes.size(): the site has dropped what lies between.
  virtual void OnLogChunk(const ContainerId& id, uint64_t offset, std::string bytes,
                          uint64_t next) = 0;
  virtual void OnLogEnd(const ContainerId& id, uint64_t offset) = 0;
  virtual void OnLogFailed(const ContainerId& id, const Status& why) = 0;
};

class Site {
 public:
  virtual ~Site() = default;

  // --- blocking: one request each
  virtual Result<interlink::v1::LinkResponse> Link(const Call& call,
                                                   const interlink::v1::LinkRequest& request) = 0;
  virtual Result<interlink::v1::InfoResponse> Info(const Call& call) = 0;
  // `body`: the stored bytes of a RunSandboxRequest. Waits up to `wait` at the site for READY
  // (Prefer: wait).
  virtual Result<interlink::v1::SandboxRecord> RunSandbox(const Call& call, LinkNumber link,
                                                          const SandboxId& id,
                                                          const std::string& body,
                                                          Duration wait) = 0;
  virtual Result<interlink::v1::SandboxRecord> StopSandbox(const Call& call, LinkNumber link,
                                                           const SandboxId& id,
                                                           const std::string& handler,
                                                           Duration wait) = 0;
  // OK with seen GONE: proven. Else it goes on and ends as an event.
  virtual Result<interlink::v1::SandboxRecord> RemoveSandbox(const Call& call, LinkNumber link,
                                                             const SandboxId& id,
                                                             const std::string& handler) = 0;
  virtual Status UpdateSandbox(const Call& call, LinkNumber link, const SandboxId& id,
                               const interlink::v1::UpdateSandboxRequest& request) = 0;
  // Keeps the bytes of a VolumeSnapshot at the site, for an hour at least; as often as it is asked.
  virtual Status PutVolume(const Call& call, LinkNumber link, const std::string& digest,
                           const std::string& bytes) = 0;
  // `body`: the stored bytes of a CreateContainerRequest.
  virtual Result<interlink::v1::ContainerRecord> CreateContainer(const Call& call, LinkNumber link,
                                                                 const SandboxId& sandbox,
                                                                 const ContainerId& id,
                                                                 const std::string& body) = 0;
  virtual Result<interlink::v1::ContainerRecord> StartContainer(const Call& call, LinkNumber link,
                                                                const SandboxId& sandbox,
                                                                const ContainerId& id,
                                                                const std::string& handler,
                                                                Duration wait) = 0;
  // Ends wait up to `wait` at the site for their proof; what is not proven by then is an event.
  virtual Result<interlink::v1::ContainerRecord> StopContainer(
      const Call& call, LinkNumber link, const SandboxId& sandbox, const ContainerId& id,
      const interlink::v1::StopContainerRequest& request, Duration wait) = 0;
  virtual Result<interlink::v1::ContainerRecord> RemoveContainer(const Call& call, LinkNumber link,
                                                                 const SandboxId& sandbox,
                                                                 const ContainerId& id,
                                                                 const std::string& handler,
                                                                 Duration wait) = 0;
  virtual Result<interlink::v1::ContainerRecord> UpdateContainer(
      const Call& call, LinkNumber link, const SandboxId& sandbox, const ContainerId& id,
      const interlink::v1::UpdateContainerRequest& request) = 0;
  // What kubelet has by now in the place of the creation's snapshots. OK without `missing`: the
  // site has stored it. Else those are to be put first, and nothing has happened.
  // kFailedPrecondition: the container was stopped or has ended.
  virtual Result<interlink::v1::RefreshVolumesResponse> RefreshVolumes(
      const Call& call, LinkNumber link, const SandboxId& sandbox, const ContainerId& id,
      const interlink::v1::RefreshVolumesRequest& request) = 0;
  virtual Result<interlink::v1::InspectResponse> InspectSandbox(const Call& call,
                                                                const SandboxId& id) = 0;
  virtual Result<interlink::v1::InspectResponse> InspectContainer(const Call& call,
                                                                  const SandboxId& sandbox,
                                                                  const ContainerId& id) = 0;
  // Ends by a PullRecord event (the answer holds one too).
  virtual Result<interlink::v1::PullRecord> PullImage(
      const Call& call, LinkNumber link, const interlink::v1::PullImageRequest& request) = 0;
  virtual Status CancelPull(const Call& call, LinkNumber link, const std::string& pull_id) = 0;
  virtual Status RemoveImage(const Call& call, LinkNumber link, const std::string& image) = 0;
  virtual Result<interlink::v1::ImageFilesystemsResponse> ImageFilesystems(const Call& call) = 0;
  virtual Result<interlink::v1::StatsResponse> Stats(const Call& call) = 0;
  virtual Result<interlink::v1::PodMetricsResponse> PodMetrics(const Call& call) = 0;

  // --- carried by io
  // Answered by the call's deadline or soon after its end, with kUnavailable when the site has not.
  // Sent once: after a byte was written a broken connection is kUnavailable, never a repeat.
  // kDeadlineExceeded only when the site says that the command overran its own timeout and was
  // killed.
  virtual void ExecSync(const Call& call, LinkNumber link, const SandboxId& sandbox,
                        const ContainerId& id, const interlink::v1::ExecSyncRequest& request,
                        Reply<interlink::v1::ExecSyncResponse> reply) = 0;

  // Opens an exec or attach (never a port-forward) under `id`, which runs once. Sent once, as
  // ExecSync is: kUnavailable may mean that it runs. `call` bounds the opening only.
  virtual void OpenSession(const Call& call, LinkNumber link, const SessionId& id,
                           const StreamRequest& request, Reply<SessionPtr> reply) = 0;
  // Connects to a port inside the sandbox. kFailedPrecondition: nothing listens.
  virtual void Dial(const Call& call, LinkNumber link, const SessionId& id,
                    const SandboxId& sandbox, uint16_t port, Reply<SessionPtr> reply) = 0;

  // --- streams
  // Reads /v1/events after `after` into `sink` until the call is cancelled, the stream breaks or 15
  // s pass without a heartbeat; returns why. Blocks: the reconciler's own thread.
  virtual Status ReadEvents(const Call& call, LinkNumber link, const interlink::v1::Position& after,
                            EventSink& sink) = 0;
  // Opens the log stream and keeps it open (with back-off) until the returned object dies. `sink`
  // outlives it.
  class LogStream {
   public:
    virtual ~LogStream() = default;
    virtual void Subscribe(const SandboxId& sandbox, const ContainerId& id, uint64_t offset,
                           uint64_t credit) = 0;
    virtual void Credit(const ContainerId& id, uint64_t bytes) = 0;
    virtual void Acknowledge(const ContainerId& id, uint64_t offset) = 0;
    virtual void Unsubscribe(const ContainerId& id) = 0;
  };
  virtual std::unique_ptr<LogStream> OpenLogs(LogSink& sink) = 0;

  // The domain's judgement, from links and event streams: while not OK, the blocking calls except
  // Link, Info and ReadEvents fail at once with it.
  virtual void SetReachable(Status why_not) = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_SITE_H_
