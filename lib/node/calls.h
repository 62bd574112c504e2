// Internal: the use cases' classes. Each is a face of LiveNode and has a file (or a few) of its
// own.
#ifndef INTERLINK_NODE_CALLS_H_
#define INTERLINK_NODE_CALLS_H_

#include "node/live_node.h"

namespace interlink::node {

class LiveNode::RuntimeCalls final : public Runtime {
 public:
  explicit RuntimeCalls(LiveNode& node) : node_(node) {}
  runtime::v1::VersionResponse GetVersion() const override;
  runtime::v1::StatusResponse GetStatus(bool verbose) const override;
  runtime::v1::RuntimeConfigResponse GetConfig() const override;
  Status UpdateConfig(const runtime::v1::RuntimeConfig& config) override;

 private:
  LiveNode& node_;
};

class LiveNode::SandboxCalls final : public Sandboxes {
 public:
  explicit SandboxCalls(LiveNode& node) : node_(node) {}
  void Run(const Call& call, const runtime::v1::RunPodSandboxRequest& request,
           Reply<runtime::v1::RunPodSandboxResponse> reply) override;
  void Stop(const Call& call, const runtime::v1::StopPodSandboxRequest& request,
            Reply<runtime::v1::StopPodSandboxResponse> reply) override;
  void Remove(const Call& call, const runtime::v1::RemovePodSandboxRequest& request,
              Reply<runtime::v1::RemovePodSandboxResponse> reply) override;
  void UpdateResources(const Call& call,
                       const runtime::v1::UpdatePodSandboxResourcesRequest& request,
                       Reply<runtime::v1::UpdatePodSandboxResourcesResponse> reply) override;
  void GetStatus(const Call& call, const runtime::v1::PodSandboxStatusRequest& request,
                 Reply<runtime::v1::PodSandboxStatusResponse> reply) override;
  Result<Slices> List(const runtime::v1::PodSandboxFilter& filter) const override;

 private:
  using Accept = std::function<void(Status)>;
  // A new pod of a site on another machine: what kubelet keeps says whose it is.
  bool NeedsAccountLocked(const runtime::v1::RunPodSandboxRequest& request) const
      REQUIRES_LOCK(node_.mutex_);
  Status RunLocked(const Call& call, const runtime::v1::RunPodSandboxRequest& request,
                   const std::string& service_account,
                   const Reply<runtime::v1::RunPodSandboxResponse>& reply)
      REQUIRES_LOCK(node_.mutex_);
  Status JoinLocked(const Call& call, Sandbox& sandbox,
                    const runtime::v1::RunPodSandboxRequest& request,
                    const Reply<runtime::v1::RunPodSandboxResponse>& reply)
      REQUIRES_LOCK(node_.mutex_);
  // Raises wanted and waits; `done` gets OK at once for an unknown id.
  void End(const Call& call, const std::string& id, interlink::v1::Wanted wanted, Accept done);
  LiveNode& node_;
};

class LiveNode::ContainerCalls final : public Containers {
 public:
  explicit ContainerCalls(LiveNode& node) : node_(node) {}
  void Create(const Call& call, const runtime::v1::CreateContainerRequest& request,
              Reply<runtime::v1::CreateContainerResponse> reply) override;
  void Start(const Call& call, const runtime::v1::StartContainerRequest& request,
             Reply<runtime::v1::StartContainerResponse> reply) override;
  void Stop(const Call& call, const runtime::v1::StopContainerRequest& request,
            Reply<runtime::v1::StopContainerResponse> reply) override;
  void Remove(const Call& call, const runtime::v1::RemoveContainerRequest& request,
              Reply<runtime::v1::RemoveContainerResponse> reply) override;
  void UpdateResources(const Call& call,
                       const runtime::v1::UpdateContainerResourcesRequest& request,
                       Reply<runtime::v1::UpdateContainerResourcesResponse> reply) override;
  void GetStatus(const Call& call, const runtime::v1::ContainerStatusRequest& request,
                 Reply<runtime::v1::ContainerStatusResponse> reply) override;
  void ExecSync(const Call& call, const runtime::v1::ExecSyncRequest& request,
                Reply<runtime::v1::ExecSyncResponse> reply) override;
  void ReopenLog(const Call& call, const runtime::v1::ReopenContainerLogRequest& request,
                 Reply<runtime::v1::ReopenContainerLogResponse> reply) override;
  Result<Slices> List(const runtime::v1::ContainerFilter& filter) const override;

 private:
  // By host path: of the mounts that a site on another machine gets something in the place of.
  using Taken = std::map<std::string, TakenMount>;
  struct ToTake {
    std::string pod_uid;
    std::vector<std::string> host_paths;
  };
  // Nothing is to be taken: by the handler, the mounts, or because the container is known already.
  ToTake MountsToTakeLocked(const runtime::v1::CreateContainerRequest& request) const
      REQUIRES_LOCK(node_.mutex_);
  // A step.
  void TakeAndCreate(const Call& call, const runtime::v1::CreateContainerRequest& request,
                     const ToTake& mounts, Reply<runtime::v1::CreateContainerResponse> reply);
  // Removes, unseen, what was created under this name for earlier attempts and is not to be
  // started.
  void EndEarlierAttemptsLocked(const SandboxId& sandbox,
                                const runtime::v1::ContainerMetadata& metadata)
      REQUIRES_LOCK(node_.mutex_);
  Status CreateLocked(const Call& call, const runtime::v1::CreateContainerRequest& request,
                      const Taken& taken, const Reply<runtime::v1::CreateContainerResponse>& reply)
      REQUIRES_LOCK(node_.mutex_);
  void End(const Call& call, const std::string& id, interlink::v1::Wanted wanted,
           int64_t grace_seconds, std::function<void(Status)> done);
  LiveNode& node_;
};

class LiveNode::ImageCalls final : public Images {
 public:
  explicit ImageCalls(LiveNode& node) : node_(node) {}
  void Pull(const Call& call, const runtime::v1::PullImageRequest& request,
            Reply<runtime::v1::PullImageResponse> reply) override;
  void Remove(const Call& call, const runtime::v1::RemoveImageRequest& request,
              Reply<runtime::v1::RemoveImageResponse> reply) override;
  Result<runtime::v1::ImageStatusResponse> GetStatus(
      const runtime::v1::ImageStatusRequest& request) const override;
  Result<Slices> List(const runtime::v1::ImageFilter& filter) const override;
  Result<runtime::v1::ImageFsInfoResponse> FsInfo() const override;

 private:
  void PullStep(const Call& call, const interlink::v1::PullImageRequest& request);
  void WatchPull(const std::string& pull_id);
  void EndPull(const std::string& pull_id, const Status& why);
  LiveNode& node_;
};

class LiveNode::StatsCalls final : public Stats {
 public:
  explicit StatsCalls(LiveNode& node) : node_(node) {}
  Result<runtime::v1::ContainerStatsResponse> GetContainer(
      const runtime::v1::ContainerStatsRequest& request) override;
  Result<Slices> ListContainers(const runtime::v1::ContainerStatsFilter& filter) override;
  Result<runtime::v1::PodSandboxStatsResponse> GetSandbox(
      const runtime::v1::PodSandboxStatsRequest& request) override;
  Result<Slices> ListSandboxes(const runtime::v1::PodSandboxStatsFilter& filter) override;
  runtime::v1::ListMetricDescriptorsResponse DescribeMetrics() const override;
  void ListMetrics(Reply<Slices> reply) override;

 private:
  void WantLocked() REQUIRES_LOCK(node_.mutex_);
  runtime::v1::ContainerStats StatsLocked(const Container& container) const
      REQUIRES_LOCK(node_.mutex_);
  runtime::v1::PodSandboxStats StatsLocked(const Sandbox& sandbox) const
      REQUIRES_LOCK(node_.mutex_);
  LiveNode& node_;
};

class LiveNode::SessionCalls final : public Sessions {
 public:
  explicit SessionCalls(LiveNode& node) : node_(node) {}
  Result<runtime::v1::ExecResponse> Exec(const runtime::v1::ExecRequest& request) override;
  Result<runtime::v1::AttachResponse> Attach(const runtime::v1::AttachRequest& request) override;
  Result<runtime::v1::PortForwardResponse> PortForward(
      const runtime::v1::PortForwardRequest& request) override;
  void Open(const Call& call, const StreamRequest& request, Reply<SessionPtr> reply) override;
  void Dial(const Call& call, const SandboxId& sandbox, uint16_t port,
            Reply<SessionPtr> reply) override;

 private:
  static Status CheckStreams(bool in, bool out, bool err, bool tty);
  // The container that `id` or a part of it means, if a session may be opened in it now.
  Result<const Container*> FindRunningLocked(const std::string& id) const
      REQUIRES_LOCK(node_.mutex_);
  Status CheckReadyLocked(const SandboxId& id) const REQUIRES_LOCK(node_.mutex_);
  // What the site is to tell: it ends in `reply`, in its place; Stop does not wait for it.
  Reply<SessionPtr> KeepOpened(const Call& call, std::shared_ptr<OpenSessions::Place> place,
                               Reply<SessionPtr> reply) const;
  LiveNode& node_;
};

class LiveNode::EventCalls final : public Events {
 public:
  explicit EventCalls(LiveNode& node) : node_(node) {}
  Result<FeedPtr> Subscribe() override;

 private:
  LiveNode& node_;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_CALLS_H_
