// CreateContainer and StartContainer.
#include "node/calls.h"
#include "node/state.h"

namespace interlink::node {
namespace {

using runtime::v1::CreateContainerRequest;
using runtime::v1::CreateContainerResponse;

Status Check(const CreateContainerRequest& request) {
  const auto& config = request.config();
  if (config.metadata().name().empty())
    return InvalidArgument("config.metadata.name is empty: it names the container");
  if (config.metadata().name().size() > 253)
    return InvalidArgument("config.metadata.name has more than 253 characters");
  if (config.image().image().empty())
    return InvalidArgument("config.image.image is empty: which image is to run?");
  const std::string& path = config.log_path();
  if (!path.empty() && (path[0] == '/' || path == ".." || path.starts_with("../") ||
                        path.find("/../") != std::string::npos || path.ends_with("/.."))) {
    return InvalidArgument("config.log_path \"" + path.substr(0, 200) +
                           "\" must stay inside the sandbox's log_directory");
  }
  for (const auto& mount : config.mounts()) {
    if (mount.container_path().empty())
      return InvalidArgument("config.mounts: container_path is empty");
  }
  return {};
}

// Names become ids here, once: a tag may mean another image by the time of a repeat.
Status ResolveVolumes(const Tables& tables, interlink::v1::CreateContainerRequest& body) {
  for (const auto& mount : body.config().mounts()) {
    const std::string& name = mount.image().image();
    if (name.empty()) continue;
    const auto found = tables.FindImage(name);
    if (!found.ok()) {
      // The word by which kubelet knows it.
      return {found.status().code(), "ImageVolumeMountFailed: mount \"" + mount.container_path() +
                                         "\": " + found.status().message()};
    }
    (*body.mutable_volume_images())[name] = (*found)->image().id();
  }
  return {};
}

}  // namespace

void LiveNode::ContainerCalls::Create(const Call& call, const CreateContainerRequest& request,
                                      Reply<CreateContainerResponse> reply) {
  Status why = Check(request);
  ToTake mounts;
  if (why.ok()) {
    MutexLock lock(node_.mutex_);
    mounts = MountsToTakeLocked(request);
    if (node_.stopping_) {
      why = ShuttingDown();
    } else if (mounts.host_paths.empty()) {
      why = CreateLocked(call, request, {}, reply);
    }
  }
  if (!why.ok()) return reply(why);
  if (mounts.host_paths.empty()) return;
  node_.PostOrFail<CreateContainerResponse>(
      request.pod_sandbox_id(), std::move(reply),
      [this, call, request, mounts](Reply<CreateContainerResponse> later) {
        TakeAndCreate(call, request, mounts, std::move(later));
      });
}

LiveNode::ContainerCalls::ToTake LiveNode::ContainerCalls::MountsToTakeLocked(
    const CreateContainerRequest& request) const {
  ToTake mounts;
  const auto sandbox_id = node_.tables_.ResolveSandbox(request.pod_sandbox_id());
  const Sandbox* sandbox = sandbox_id.ok() ? node_.tables_.Find(*sandbox_id) : nullptr;
  if (sandbox == nullptr || !node_.TakesContentsLocked(sandbox->stored.handler())) return mounts;
  const auto name = NameOf(*sandbox_id, request.config().metadata());
  if (node_.tables_.container_names.contains(name)) return mounts;
  mounts.pod_uid = sandbox->request->config().metadata().uid();
  for (const auto& mount : request.config().mounts()) {
    if (node_.ports_.volumes.IsOfPod(mount.host_path(), mounts.pod_uid)) {
      mounts.host_paths.push_back(mount.host_path());
    }
  }
  return mounts;
}

void LiveNode::ContainerCalls::TakeAndCreate(const Call& call,
                                             const CreateContainerRequest& request,
                                             const ToTake& mounts,
                                             Reply<CreateContainerResponse> reply) {
  Taken taken;
  size_t bytes = 0;
  for (const std::string& path : mounts.host_paths) {
    auto mount = node_.ports_.volumes.Take(path, mounts.pod_uid);
    if (!mount.ok()) return reply(mount.status().WithContext("mounts.host_path"));
    bytes += mount->snapshot.size();
    taken[path] = *std::move(mount);
  }
  if (bytes > kMaxVolumesOfContainer) {
    return reply(ResourceExhausted(
        "the volumes of this container have " + std::to_string(bytes) + " bytes, more than the " +
        std::to_string(kMaxVolumesOfContainer) + " that a site on another machine gets copies of"));
  }
  Status why;
  {
    MutexLock lock(node_.mutex_);
    why = node_.stopping_ ? ShuttingDown() : CreateLocked(call, request, taken, reply);
  }
  if (!why.ok()) reply(why);
}

// Kubelet never starts nor removes a container that it finds CREATED, it asks for the next attempt;
// the site lets one container of a name live at a time. Not listed from now on: EXITED would be the
// end of a pod that is not to be restarted. A commit of its own: it may use the reserve and is
// tried until it is durable, which a creation is not.
void LiveNode::ContainerCalls::EndEarlierAttemptsLocked(
    const SandboxId& sandbox, const runtime::v1::ContainerMetadata& metadata) {
  Change change{{}, {}, {}, false, {sandbox}};
  for (auto it = node_.tables_.container_names.lower_bound({sandbox, metadata.name(), 0});
       it != node_.tables_.container_names.end() && it->first < NameOf(sandbox, metadata); ++it) {
    Container* earlier = node_.tables_.Find(it->second);
    if (earlier == nullptr || earlier->stored.started() ||
        earlier->stored.wanted() != interlink::v1::WANTED_CREATE)
      continue;
    earlier->stored.set_abandoned(true);
    earlier->stored.set_wanted(interlink::v1::WANTED_REMOVE);
    change.containers.push_back(it->second);
  }
  if (!change.containers.empty()) node_.CommitLocked(change, false, {});
}

Status LiveNode::ContainerCalls::CreateLocked(const Call& call,
                                              const CreateContainerRequest& request,
                                              const Taken& taken,
                                              const Reply<CreateContainerResponse>& reply) {
  Tables& tables = node_.tables_;
  ASSIGN_OR_RETURN(const SandboxId sandbox_id, tables.ResolveSandbox(request.pod_sandbox_id()));
  const Sandbox& sandbox = *tables.Find(sandbox_id);
  if (sandbox.shown != runtime::v1::SANDBOX_READY ||
      sandbox.stored.wanted() >= interlink::v1::WANTED_STOP ||
      sandbox.stored.fact().seen() != interlink::v1::SEEN_UP) {
    return FailedPrecondition("sandbox \"" + sandbox_id.str() + "\" is not ready");
  }
  const auto answer_with = [reply](const ContainerId& id) {
    return [reply, id](const Status& outcome) {
      if (!outcome.ok()) return reply(outcome);
      CreateContainerResponse response;
      response.set_container_id(id.str());
      reply(std::move(response));
    };
  };
  const auto name = NameOf(sandbox_id, request.config().metadata());
  if (const auto known = tables.container_names.find(name); known != tables.container_names.end()) {
    Container& container = *tables.Find(known->second);
    if (container.stored.has_untold()) {
      const Status why =
          FailureOf(container.stored.untold()).WithContext("an earlier try of this container");
      container.stored.clear_untold();
      node_.CommitLocked({{}, {container.id()}, {}, false, {}}, false, {});
      return why;
    }
    if (container.stored.abandoned() || container.stored.wanted() == interlink::v1::WANTED_REMOVE) {
      return Unavailable("an earlier try of this container is still being removed, ask again");
    }
    if (container.stored.wanted() != interlink::v1::WANTED_CREATE) {
      return AlreadyExists("container \"" + container.stored.id() +
                           "\" has this name and attempt and was started: raise the attempt");
    }
    container.unasked_seconds = 0;
    container.cancelled = false;
    EndEarlierAttemptsLocked(sandbox_id, request.config().metadata());
    node_.WaitLocked(call, container.stored.id(), true, Until::kCreated,
                     answer_with(container.id()));
    node_.CommitLocked({{}, {container.id()}, {}, false, {sandbox_id}}, false, {});
    return {};
  }
  ASSIGN_OR_RETURN(const interlink::v1::ImageRecord* image,
                   tables.FindImage(request.config().image().image()));
  interlink::v1::CreateContainerRequest body;
  *body.mutable_config() = request.config();
  RETURN_IF_ERROR(ResolveVolumes(tables, body));
  RETURN_IF_ERROR(node_.ReachableLocked());
  EndEarlierAttemptsLocked(sandbox_id, request.config().metadata());
  const ContainerId id = MintContainerId();
  body.set_handler(sandbox.stored.handler());
  body.set_image_id(image->image().id());
  body.set_created_ns(node_.MintCreatedLocked());
  interlink::v1::StoredNodeContainer stored;
  for (const auto& [host_path, mount] : taken) {
    (*body.mutable_sources())[host_path] = mount.source;
    if (mount.source.has_snapshot()) {
      (*stored.mutable_snapshots())[mount.source.snapshot()] = mount.snapshot;
    }
  }
  stored.set_version(1);
  stored.set_id(id.str());
  stored.set_sandbox_id(sandbox_id.str());
  stored.set_body(body.SerializeAsString());
  stored.set_created_ns(body.created_ns());
  stored.set_wanted(interlink::v1::WANTED_CREATE);
  stored.set_image_ref(ImageRefFor(image->image(), request.config().image()));
  tables.Add(std::move(stored));
  node_.WaitLocked(call, id.str(), true, Until::kCreated, answer_with(id));
  LiveNode& node = node_;
  node_.CommitLocked({{}, {id}, {}, true, {sandbox_id}}, true, [&node, id](const Status& status) {
    if (status.ok()) return;
    // Nothing has left this process: as if the call had never come. Not here: the lock may be held.
    node.timer_.After(Duration::zero(), [&node, id, status] {
      Fires fires;
      {
        MutexLock lock(node.mutex_);
        node.FailWaitersLocked(id.str(), status, fires);
        node.tables_.Erase(id);
        // A repeat may have stored it meanwhile, from the reserve.
        node.CommitLocked({{}, {id}, {}, false, {}}, false, {});
      }
      for (auto& fire : fires) fire();
    });
  });
  return {};
}

void LiveNode::ContainerCalls::Start(const Call& call,
                                     const runtime::v1::StartContainerRequest& request,
                                     Reply<runtime::v1::StartContainerResponse> reply) {
  Status why;
  {
    MutexLock lock(node_.mutex_);
    const auto resolved = node_.tables_.ResolveContainer(request.container_id());
    why = resolved.status();
    Container* container = resolved.ok() ? node_.tables_.Find(*resolved) : nullptr;
    const bool starting = container != nullptr &&
                          container->stored.wanted() == interlink::v1::WANTED_START &&
                          container->stored.fact().seen() < interlink::v1::SEEN_UP;
    if (why.ok() && !starting && container->shown != runtime::v1::CONTAINER_CREATED) {
      why = FailedPrecondition("container \"" + container->stored.id() +
                               "\" is not in state created");
    }
    if (why.ok() && !starting && container->stored.wanted() > interlink::v1::WANTED_START) {
      why = FailedPrecondition("container \"" + container->stored.id() + "\" is being stopped");
    }
    if (why.ok() && !starting) why = node_.ReachableLocked();
    if (node_.stopping_) why = ShuttingDown();
    if (why.ok()) {
      container->stored.set_wanted(interlink::v1::WANTED_START);
      container->stored.set_started(true);
      node_.WaitLocked(
          call, container->stored.id(), true, Until::kStarted, [reply](const Status& outcome) {
            outcome.ok() ? reply(runtime::v1::StartContainerResponse()) : reply(outcome);
          });
      node_.CommitLocked({{}, {*resolved}, {}, false, {container->sandbox()}}, false, {});
    }
  }
  if (!why.ok()) reply(why);
}

}  // namespace interlink::node
