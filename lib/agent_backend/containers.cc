// Containers of a pod in an allocation, and what is inside: asked of its agent.
#include <algorithm>

#include "agent_backend/agent_backend.h"
#include "agent_backend/refusal.h"
#include "agent_hub/left_log.h"
#include "runtime/v1/api.pb.h"
#include "sdk/merged_resources.h"

namespace interlink::agent_backend {
namespace {

using agent::v1::Fact;

constexpr auto kStatsLimit = std::chrono::seconds(5);

}  // namespace

std::string AgentBackend::UserOf(const SandboxId& sandbox) const {
  const EntryPtr entry = Find(sandbox);
  if (entry == nullptr) return "";
  MutexLock lock(entry->mutex);
  return entry->pod.stored().user();
}

Status AgentBackend::PrepareImage(const Call& call, const SandboxId& sandbox,
                                  const std::string& image_id) {
  // Held under a name that no container has, for as long as it is copied.
  const ContainerId holder = MintContainerId();
  ASSIGN_OR_RETURN(const sdk::UnpackedImage image, host_.HoldImage(holder, image_id));
  const Status prepared = provisioner_->PrepareImage(call, UserOf(sandbox), image);
  host_.ReleaseImages(holder);
  return prepared;
}

Result<sdk::UnpackedImage> AgentBackend::HoldForAgent(const Call& call, const std::string& user,
                                                      const ContainerId& holder,
                                                      const std::string& image_id) {
  ASSIGN_OR_RETURN(const sdk::UnpackedImage image, host_.HoldImage(holder, image_id));
  auto held = provisioner_->HoldImage(user, holder, image);
  if (held.status().code() != Code::kFailedPrecondition) return held;
  // Prepared long ago, and let go of since.
  RETURN_IF_ERROR(provisioner_->PrepareImage(call, user, image));
  return provisioner_->HoldImage(user, holder, image);
}

Result<agent_hub::AgentImages> AgentBackend::HoldImages(const Call& call,
                                                        const sdk::ContainerSpec& spec) {
  agent_hub::AgentImages images;
  const std::string user = UserOf(spec.sandbox);
  ASSIGN_OR_RETURN(images.own, HoldForAgent(call, user, spec.id, spec.image_id));
  for (const auto& [name, id] : spec.volume_images) {
    if (images.volumes.count(id) != 0) continue;
    auto image = HoldForAgent(call, user, spec.id, id);
    if (!image.ok()) return image.status().WithContext("image volume \"" + name + "\"");
    images.volumes[id] = *std::move(image);
  }
  return images;
}

Result<agent_hub::AgentImages> AgentBackend::BringImages(const Call& call, const EntryPtr& entry,
                                                         const sdk::ContainerSpec& spec) {
  ASSIGN_OR_RETURN(agent_hub::AgentImages images, HoldImages(call, spec));
  if (provisioner_->SharesLayers()) return images;
  std::string host;
  {
    MutexLock lock(entry->mutex);
    if (!entry->pod.wants_run()) return FailedPrecondition("the sandbox was stopped");
    host = entry->host;
  }
  ASSIGN_OR_RETURN(images.own, layers_.Bring(call, spec.sandbox, images.own, host));
  for (auto& [id, image] : images.volumes) {
    ASSIGN_OR_RETURN(image, layers_.Bring(call, spec.sandbox, image, host));
  }
  return images;
}

void AgentBackend::LayersSettled(const SandboxId& id) {
  const EntryPtr entry = Find(id);
  if (entry == nullptr) return;
  Observations waiting;
  bool queued = false;
  {
    MutexLock lock(entry->mutex);
    for (const auto& container : entry->pod.stored().containers()) {
      if (entry->pod.IsQueued(ContainerId(container.id()))) {
        queued = true;
      } else if (container.fact().state() == Fact::PENDING) {
        waiting.push_back(entry->pod.FactOf(container));
      }
    }
  }
  if (queued) Post(id, [this, id] { Drive(id); });
  host_.Report(std::move(waiting));
}

Status AgentBackend::CreateAtAgent(const Call& call, const EntryPtr& entry,
                                   const sdk::ContainerSpec& spec) {
  ASSIGN_OR_RETURN(const agent_hub::AgentImages images, BringImages(call, entry, spec));
  Status created = agents_->CreateContainer(call, spec, images);
  // It may not have a layer that it had.
  if (created.code() == Code::kUnavailable) layers_.Doubt(spec.sandbox);
  return created;
}

Status AgentBackend::CreateContainer(const Call& call, const sdk::ContainerSpec& spec) {
  const EntryPtr entry = Find(spec.sandbox);
  bool waits = false;
  if (entry != nullptr) {
    MutexLock lock(entry->mutex);
    waits = entry->pod.WaitsAtStart();
  }
  if (!waits) RETURN_IF_ERROR(CheckAgent(spec.sandbox, entry));
  {
    MutexLock lock(entry->mutex);
    const auto* known = entry->pod.Find(spec.id);
    if (known != nullptr && known->fact().state() >= Fact::CREATED) return {};
    if (known == nullptr) {
      entry->pod.Add(spec);
      if (const Status saved = SaveLocked(*entry); !saved.ok()) {
        entry->pod.Remove(spec.id);
        return saved;
      }
    }
  }
  Status created = waits ? HoldImages(call, spec).status() : CreateAtAgent(call, entry, spec);
  if (waits && created.ok()) created = KeepForAgent(entry, spec);
  if (RefusalOf(created.code()) == Refusal::kNone) return created;
  provisioner_->ReleaseImages(spec.id);
  host_.ReleaseImages(spec.id);
  MutexLock lock(entry->mutex);
  entry->pod.Remove(spec.id);
  RETURN_IF_ERROR(SaveLocked(*entry));
  return created;
}

Status AgentBackend::CheckContainer(const SandboxId& sandbox, const ContainerId& id) const {
  const EntryPtr entry = Find(sandbox);
  if (entry != nullptr) {
    MutexLock lock(entry->mutex);
    if (entry->pod.Find(id) != nullptr) return {};
  }
  return NotFound("no container \"" + id.str() + "\" in this sandbox");
}

Status AgentBackend::StartContainer(const Call& call, const SandboxId& sandbox,
                                    const ContainerId& id) {
  const EntryPtr entry = Find(sandbox);
  RETURN_IF_ERROR(CheckContainer(sandbox, id));
  bool queued = false;
  {
    MutexLock lock(entry->mutex);
    queued = entry->pod.IsQueued(id);
  }
  if (!queued) RETURN_IF_ERROR(CheckAgent(sandbox, entry));
  Observations news;
  {
    MutexLock lock(entry->mutex);
    auto* container = entry->pod.Find(id);
    if (container == nullptr) return NotFound("the container was removed");
    if (container->fact().state() >= Fact::DOWN) {
      return FailedPrecondition("the container has ended: an id runs at most once");
    }
    container->set_started(true);
    entry->idle_since.reset();
    RETURN_IF_ERROR(SaveLocked(*entry));
    if (queued) news.push_back(entry->pod.FactOf(*container));
  }
  if (!queued) return agents_->StartContainer(call, sandbox, id);
  host_.Report(std::move(news));
  Post(sandbox, [this, sandbox] { Drive(sandbox); });
  return {};
}

Status AgentBackend::StopContainer(const Call& call, const SandboxId& sandbox,
                                   const ContainerId& id, std::chrono::seconds grace) {
  const EntryPtr entry = Find(sandbox);
  if (entry == nullptr) return {};
  {
    MutexLock lock(entry->mutex);
    const auto* container = entry->pod.Find(id);
    if (container == nullptr) return {};
    if (container->fact().state() >= Fact::DOWN) {
      host_.Report({entry->pod.FactOf(*container)});
      return {};
    }
  }
  if (Status answer; StopQueued(entry, id, answer)) return answer;
  RETURN_IF_ERROR(CheckAgent(sandbox, entry));
  return agents_->StopContainer(call, sandbox, id, grace);
}

Status AgentBackend::RemoveContainer(const Call& call, const SandboxId& sandbox,
                                     const ContainerId& id) {
  const EntryPtr entry = Find(sandbox);
  if (entry != nullptr) {
    bool ended = false;
    {
      MutexLock lock(entry->mutex);
      ended = entry->pod.ended();
    }
    Status answer;
    if (!ended && RemoveQueued(entry, id, answer)) {
      RETURN_IF_ERROR(answer);
    } else if (!ended) {
      RETURN_IF_ERROR(CheckAgent(sandbox, entry));
      RETURN_IF_ERROR(agents_->RemoveContainer(call, sandbox, id));
    }
    MutexLock lock(entry->mutex);
    if (entry->pod.Find(id) != nullptr) {
      entry->pod.Remove(id);
      RETURN_IF_ERROR(SaveLocked(*entry));
    }
  }
  if (provisioner_ != nullptr) provisioner_->ReleaseImages(id);
  host_.ReleaseImages(id);
  return {};
}

Status AgentBackend::UpdateContainer(const Call& call, const SandboxId& sandbox,
                                     const ContainerId& id,
                                     const runtime::v1::LinuxContainerResources& resources) {
  RETURN_IF_ERROR(CheckContainer(sandbox, id));
  const auto entry = Find(sandbox);
  RETURN_IF_ERROR(CheckAgent(sandbox, entry));
  RETURN_IF_ERROR(agents_->UpdateContainer(call, sandbox, id, resources));
  MutexLock lock(entry->mutex);
  auto* container = entry->pod.Find(id);
  if (container == nullptr) return {};
  container->set_config(sdk::ConfigWithResources(container->config(), resources));
  return SaveLocked(*entry);
}

Result<UniqueFd> AgentBackend::OpenSession(const Call& call, const sdk::SessionSpec& spec) {
  RETURN_IF_ERROR(CheckContainer(spec.sandbox, spec.container));
  RETURN_IF_ERROR(CheckAgent(spec.sandbox, Find(spec.sandbox)));
  return agents_->OpenSession(call, spec);
}

Result<UniqueFd> AgentBackend::Dial(const Call& call, const SandboxId& sandbox, uint16_t port) {
  RETURN_IF_ERROR(CheckAgent(sandbox, Find(sandbox)));
  return agents_->Dial(call, sandbox, port);
}

Result<sdk::LogChunk> AgentBackend::ReadLog(const Call& call, const SandboxId& sandbox,
                                            const ContainerId& id, uint64_t offset, size_t max) {
  RETURN_IF_ERROR(CheckContainer(sandbox, id));
  const EntryPtr entry = Find(sandbox);
  if (entry == nullptr) return NotFound("the sandbox was removed");
  std::string folder;
  uint64_t end = 0;
  {
    MutexLock lock(entry->mutex);
    const auto* container = entry->pod.Find(id);
    if (container == nullptr) return NotFound("the container was removed");
    folder = entry->pod.stored().pod_folder();
    end = container->fact().log_end();
    if (entry->pod.ended() && folder.empty()) {
      sdk::LogChunk nothing;
      nothing.next = std::max(offset, end);
      nothing.end = true;
      return nothing;
    }
  }
  if (!folder.empty()) return agent_hub::ReadLeftLog(folder, id, end, offset, max);
  RETURN_IF_ERROR(CheckAgent(sandbox, entry));
  constexpr size_t kMost = 1U << 20U;
  return agents_->ReadLog(call, sandbox, id, offset, std::min(max, kMost));
}

// Every agent that is here is asked at once; one that does not answer in time has no numbers.
Result<sdk::Usage> AgentBackend::Stats(const Call&) {
  std::map<SandboxId, EntryPtr> pods;
  {
    MutexLock lock(mutex_);
    pods = pods_;
  }
  struct Answers {
    Mutex mutex;
    CondVar changed;
    size_t open GUARDED_BY(mutex) = 0;
    sdk::Usage usage GUARDED_BY(mutex);
  };
  const auto answers = std::make_shared<Answers>();  // owners: this call and its questions
  const Call call = Call::WithTimeout(kStatsLimit);
  for (const auto& [id, entry] : pods) {
    {
      MutexLock lock(entry->mutex);
      if (!entry->connected || !entry->told || entry->pod.is_pending()) continue;
    }
    {
      MutexLock lock(answers->mutex);
      ++answers->open;
    }
    const Status posted = questions_.Post(id.str(), [agents = agents_, id = id, answers, call] {
      auto usage = call.Check("ask for stats").ok() ? agents->Stats(call, id)
                                                    : Result<sdk::Usage>(Unavailable("too late"));
      MutexLock lock(answers->mutex);
      --answers->open;
      if (usage.ok()) {
        auto& all = answers->usage;
        all.containers.insert(all.containers.end(), usage->containers.begin(),
                              usage->containers.end());
        all.sandboxes.insert(all.sandboxes.end(), usage->sandboxes.begin(), usage->sandboxes.end());
      }
      answers->changed.NotifyAll();
    });
    if (posted.ok()) continue;
    MutexLock lock(answers->mutex);
    --answers->open;
  }
  MutexLock lock(answers->mutex);
  answers->changed.WaitFor(answers->mutex, kStatsLimit,
                           [&]() NO_LOCK_ANALYSIS { return answers->open == 0; });
  return answers->usage;
}

Result<std::vector<runtime::v1::PodSandboxMetrics>> AgentBackend::Metrics(const Call&) {
  return Unimplemented("pods in allocations have no such metrics");
}

Result<std::string> AgentBackend::Inspect(const Call& call, const SandboxId& sandbox,
                                          const ContainerId& container) {
  const EntryPtr entry = Find(sandbox);
  if (!container.str().empty()) {
    RETURN_IF_ERROR(CheckContainer(sandbox, container));
    RETURN_IF_ERROR(CheckAgent(sandbox, entry));
    return agents_->Inspect(call, sandbox, container);
  }
  ASSIGN_OR_RETURN(const std::string allocation, provisioner_->Inspect(call, sandbox));
  if (!CheckAgent(sandbox, entry).ok()) return "{\"allocation\":" + allocation + "}";
  const auto agent = agents_->Inspect(call, sandbox, container);
  // Both are JSON objects.
  return "{\"allocation\":" + allocation + (agent.ok() ? ",\"agent\":" + *agent : "") + "}";
}

}  // namespace interlink::agent_backend
