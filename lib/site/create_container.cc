// PUT .../containers/{cid} and POST .../start.
#include <algorithm>
#include <set>

#include "site/field_walk.h"
#include "site/gpus.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

Status OtherLives(const Container& other) {
  return Unavailable("container \"" + other.key.id.str() +
                     "\" of the same name has not ended yet: its end must be proven first");
}

Status IsImageOf(const Images& images, const NodeId& node, const std::string& id) {
  ASSIGN_OR_RETURN(const auto found, images.Find(node, id));
  if (!found.empty() && found.front().image.id() == id) return {};
  return NotFound("no image \"" + id + "\" of this node: pull it first");
}

bool TakesContents(const std::vector<sdk::HandlerDescription>& handlers, const std::string& name) {
  return std::any_of(handlers.begin(), handlers.end(), [&name](const auto& handler) {
    return handler.name == name && handler.takes_contents;
  });
}

// References are per node: what another node pulled is not this one's to run or to read.
Status CheckImages(const Images& images, const NodeId& node,
                   const interlink::v1::CreateContainerRequest& request) {
  RETURN_IF_ERROR(IsImageOf(images, node, request.image_id()));
  std::set<std::string> named;
  for (const auto& mount : request.config().mounts()) {
    const std::string& name = mount.image().image();
    if (name.empty()) continue;
    named.insert(name);
    const auto id = request.volume_images().find(name);
    if (id == request.volume_images().end()) {
      return InvalidArgument("\"volume_images\" has no id for \"" + name + "\", which mount \"" +
                             mount.container_path() + "\" names");
    }
    if (const Status status = IsImageOf(images, node, id->second); !status.ok()) {
      // The word by which kubelet knows it.
      return {status.code(), "ImageVolumeMountFailed: mount \"" + mount.container_path() +
                                 "\": " + status.message()};
    }
  }
  for (const auto& [name, id] : request.volume_images()) {
    if (named.contains(name)) continue;
    return InvalidArgument("\"volume_images\" has \"" + name + "\", which no mount names");
  }
  return {};
}

// That of the container, then those of its mounts.
std::vector<runtime::v1::Image> ImagesOf(const Images& images, const NodeId& node,
                                         const interlink::v1::CreateContainerRequest& request) {
  std::vector<std::string> ids = {request.image_id()};
  for (const auto& [name, id] : request.volume_images()) ids.push_back(id);
  std::vector<runtime::v1::Image> found;
  for (const std::string& id : ids) {
    const auto one = images.Find(node, id);
    // One that went meanwhile has no name: no rule with Images lets it through.
    found.push_back(one.ok() && !one->empty() ? one->front().image : runtime::v1::Image());
  }
  return found;
}

}  // namespace

void LiveSite::CreateContainer(const Call& call, const Caller& caller, const SandboxId& sandbox,
                               const ContainerId& id, const std::string& body, Duration wait,
                               Reply<Answer<ContainerRecord>> reply) {
  interlink::v1::CreateContainerRequest request;
  if (!request.ParseFromString(body))
    return reply(InvalidArgument("the body is not a CreateContainerRequest"));
  if (request.config().metadata().name().empty())
    return reply(InvalidArgument("\"config.metadata.name\" is empty"));
  if (request.created_ns() <= 0) {
    return reply(
        InvalidArgument("\"created_ns\" must be the time at which the node minted the id"));
  }
  const ContainerKey key{caller.node, sandbox, id};
  Status sources = CheckImages(ports_.images, caller.node, request);
  if (sources.ok()) sources = CheckSources(caller.node, request);
  std::vector<runtime::v1::Image> images;
  if (ports_.admission != nullptr && sources.ok())
    images = ImagesOf(ports_.images, caller.node, request);
  Status why;
  {
    MutexLock lock(mutex_);
    why = call.Check("create a container");
    if (why.ok()) why = CheckLink(caller);
    if (why.ok() && tables_.FindContainer(key.node, key.id) == nullptr) why = sources;
    if (why.ok() && ports_.admission != nullptr)
      why = AdmitContainerLocked(caller, key, request, images);
    if (why.ok()) why = CreateContainerLocked(key, request, body, wait, reply);
  }
  if (!why.ok()) reply(why);
}

// Only what is new, in a pod that is here: the rest has its own answers.
Status LiveSite::AdmitContainerLocked(const Caller& caller, const ContainerKey& key,
                                      const interlink::v1::CreateContainerRequest& request,
                                      const std::vector<runtime::v1::Image>& images) const {
  const Sandbox* sandbox = tables_.Find(key.Sandbox());
  if (sandbox == nullptr || tables_.FindContainer(key.node, key.id) != nullptr) return {};
  RETURN_IF_ERROR(ports_.admission->MayCreate(caller, PodOf(*sandbox), request, images));
  // GPUs of the pod's own request are there for its containers.
  const uint64_t gpus = tables_.GpusOf(*sandbox, GpusAskedBy(request)) - tables_.GpusOf(*sandbox);
  const Account account = Tables::AccountOf(*sandbox);
  return ports_.admission->MayHold(account, tables_.HoldingsOf(account),
                                   {.containers = 1, .gpus = gpus});
}

Status LiveSite::CreateContainerLocked(const ContainerKey& key,
                                       const interlink::v1::CreateContainerRequest& request,
                                       const std::string& body, Duration wait,
                                       const Reply<Answer<ContainerRecord>>& reply) {
  const Sandbox* sandbox = tables_.Find(key.Sandbox());
  if (sandbox == nullptr) return NotFound("no sandbox \"" + key.sandbox.str() + "\" of this node");
  const std::string& handler = sandbox->record.handler();
  if (!request.handler().empty() && request.handler() != handler) {
    return InvalidArgument("the sandbox runs under handler \"" + handler + "\", not \"" +
                           request.handler() + "\"");
  }
  ASSIGN_OR_RETURN(Plugin * plugin, PluginForChange(handler));
  if (Container* container = tables_.FindContainer(key.node, key.id)) {
    if (container->key.sandbox != key.sandbox)
      return AlreadyExists("container \"" + key.id.str() + "\" is of another sandbox");
    if (container->record.wanted() >= interlink::v1::WANTED_STOP) {
      return FailedPrecondition("container \"" + key.id.str() +
                                "\" was stopped or removed: an id runs at most once");
    }
    if (container->body != body && tables_.Adopt(request, body, *container)) {
      StampLocked(*container);
      CommitLocked({{StoreKey(key)}, {key.Sandbox()}}, false, {});
    }
    if (container->body != body) {
      return AlreadyExists("container \"" + key.id.str() +
                           "\" exists with another request: mint a new id");
    }
    if (container->record.held()) {
      // As with sandboxes: the next life may have been imported beside it.
      if (const Container* other = tables_.OtherLife(key, request)) return OtherLives(*other);
      container->record.set_held(false);
      StampLocked(*container);
      CommitLocked({{StoreKey(key)}, {key.Sandbox()}}, false, {});
    }
    AnswerContainerLocked(key, interlink::v1::WANTED_CREATE, wait, reply);
    return {};
  }
  if (tables_.IsOfAnotherNode(key))
    return NotFound("no container \"" + key.id.str() + "\" of this node");
  if (sandbox->record.seen() != interlink::v1::SEEN_UP ||
      sandbox->record.wanted() >= interlink::v1::WANTED_STOP) {
    return FailedPrecondition("sandbox \"" + key.sandbox.str() + "\" is not ready");
  }
  RETURN_IF_ERROR(
      RefuseUnsupported(request.config(), plugin->backend->Describe().container, handler)
          .WithContext("container config"));
  if (!request.sources().empty() && !TakesContents(plugin->backend->Describe().handlers, handler)) {
    return InvalidArgument("handler \"" + handler + "\" takes no contents of mounts (\"sources\")");
  }
  if (const Container* other = tables_.OtherLife(key, request)) return OtherLives(*other);
  Container container;
  container.key = key;
  container.body = body;
  container.record.set_id(key.id.str());
  container.record.set_sandbox_id(key.sandbox.str());
  container.record.set_handler(handler);
  container.record.set_wanted(interlink::v1::WANTED_CREATE);
  container.record.set_created_ns(request.created_ns());
  container.record.set_stop_signal(request.config().stop_signal());
  *container.record.mutable_resources() = request.config().linux().resources();
  StampLocked(tables_.Add(std::move(container)));
  CommitLocked({{StoreKey(key)}, {key.Sandbox()}}, true, [this, key](const Status& status) {
    // Not here: a store that refuses at once answers under the lock.
    if (!status.ok())
      timer_.After(Duration::zero(), [this, key, status] { ForgetUnstored(key, status); });
  });
  AnswerContainerLocked(key, interlink::v1::WANTED_CREATE, wait, reply);
  return {};
}

// The store refused new work: as if it had never come.
void LiveSite::ForgetUnstored(const ContainerKey& key, const Status& why) {
  std::vector<std::function<void()>> fires;
  bool stopped = false;
  {
    MutexLock lock(mutex_);
    Container* unstored = tables_.Find(key);
    if (unstored == nullptr) return;
    stopped = unstored->record.wanted() > interlink::v1::WANTED_CREATE;
    if (!stopped) {
      unstored->uncommitted = 0;
      MarkFailed(why.WithContext("cannot store the request"), Now(), unstored->record);
      TakeSettledLocked(StoreKey(key), fires);
      tables_.Erase(key);
    }
  }
  // That commit may use the reserve, so it stores the record.
  if (stopped) return Published({{StoreKey(key)}, {key.Sandbox()}});
  for (auto& fire : fires) fire();
}

void LiveSite::StartContainer(const Call&, const Caller& caller, const SandboxId& sandbox,
                              const ContainerId& id, const std::string&, Duration wait,
                              Reply<Answer<ContainerRecord>> reply) {
  const ContainerKey key{caller.node, sandbox, id};
  Status why;
  {
    MutexLock lock(mutex_);
    why = StartContainerLocked(caller, key, wait, reply);
  }
  if (!why.ok()) reply(why);
}

Status LiveSite::StartContainerLocked(const Caller& caller, const ContainerKey& key, Duration wait,
                                      const Reply<Answer<ContainerRecord>>& reply) {
  RETURN_IF_ERROR(CheckLink(caller));
  Container* container = tables_.Find(key);
  if (container == nullptr)
    return NotFound("no container \"" + key.id.str() + "\" in this sandbox");
  RETURN_IF_ERROR(PluginForChange(container->record.handler()).status());
  if (container->record.wanted() >= interlink::v1::WANTED_STOP) {
    return FailedPrecondition("container \"" + key.id.str() + "\" was stopped or removed");
  }
  if (container->record.has_failure()) return FailureOf(container->record);
  const bool repeat = container->record.wanted() == interlink::v1::WANTED_START;
  // Above CREATED it was started by a request that this store has lost.
  if (container->record.seen() < interlink::v1::SEEN_CREATED) {
    return FailedPrecondition("container \"" + key.id.str() + "\" is not created yet");
  }
  if (!repeat) {
    container->record.set_wanted(interlink::v1::WANTED_START);
    StampLocked(*container);
    CommitLocked({{StoreKey(key)}, {key.Sandbox()}}, false, {});
  }
  AnswerContainerLocked(key, interlink::v1::WANTED_START, wait, reply);
  return {};
}

Result<ContainerRecord> LiveSite::GetContainer(const NodeId& node, const SandboxId& sandbox,
                                               const ContainerId& id) const {
  MutexLock lock(mutex_);
  const Container* container = tables_.Find(ContainerKey{node, sandbox, id});
  if (container == nullptr) return NotFound("no container \"" + id.str() + "\" in this sandbox");
  return container->record;
}

}  // namespace interlink::site
