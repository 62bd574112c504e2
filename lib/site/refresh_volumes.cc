// PUT .../containers/{cid}/volumes: what kubelet has changed in volumes since the container was
// created, and how it comes to the backend (docs/adr/0019).
#include <algorithm>

#include "interlink/v1/volume.pb.h"
#include "site/limits.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr auto kFirstPause = std::chrono::milliseconds(250);
constexpr int kMaxPauseShift = 4;  // 4 s

// It will fail again the same way. What is in a wrong state (its end is not told yet) may not.
bool IsRefusedForEver(Code code) {
  return code == Code::kInvalidArgument || code == Code::kUnimplemented ||
         code == Code::kPermissionDenied || code == Code::kOutOfRange;
}

}  // namespace

void LiveSite::RefreshVolumes(const Call& call, const Caller& caller, const SandboxId& sandbox,
                              const ContainerId& id,
                              const interlink::v1::RefreshVolumesRequest& request,
                              Reply<interlink::v1::RefreshVolumesResponse> reply) {
  const ContainerKey key{caller.node, sandbox, id};
  std::set<std::string> here;
  for (const auto& [host_path, digest] : request.snapshots()) {
    if (ports_.volumes.Has(caller.node, digest)) here.insert(digest);
  }
  interlink::v1::RefreshVolumesResponse response;
  Status why = call.Check("refresh volumes");
  bool is_news = false;
  if (why.ok()) {
    MutexLock lock(mutex_);
    why = TakeVolumesLocked(caller, key, request, here, response, is_news);
    if (is_news) {
      CommitLocked({{StoreKey(key)}, {key.Sandbox()}}, false, [reply](const Status& stored) {
        if (!stored.ok()) return reply(stored);
        reply(interlink::v1::RefreshVolumesResponse());
      });
    }
  }
  if (!why.ok()) return reply(why);
  if (!is_news) reply(std::move(response));
}

// OK and no news: nothing is to be done, or `response` says what is missing.
Status LiveSite::TakeVolumesLocked(const Caller& caller, const ContainerKey& key,
                                   const interlink::v1::RefreshVolumesRequest& request,
                                   const std::set<std::string>& here,
                                   interlink::v1::RefreshVolumesResponse& response, bool& is_news) {
  RETURN_IF_ERROR(CheckLink(caller));
  Container* container = tables_.Find(key);
  if (container == nullptr)
    return NotFound("no container \"" + key.id.str() + "\" in this sandbox");
  RETURN_IF_ERROR(PluginForChange(container->record.handler()).status());
  if (container->record.wanted() >= interlink::v1::WANTED_STOP ||
      container->record.seen() >= interlink::v1::SEEN_DOWN) {
    return FailedPrecondition("container \"" + key.id.str() + "\" was stopped or has ended");
  }
  if (request.sequence() == 0)
    return InvalidArgument("\"sequence\" is 0: the first request of a link has sequence 1");
  interlink::v1::CreateContainerRequest created;
  if (!created.ParseFromString(container->body))
    return DataLoss("the creation of container \"" + key.id.str() + "\" cannot be read");
  std::map<std::string, std::string> news;
  for (const auto& [host_path, digest] : request.snapshots()) {
    const auto source = created.sources().find(host_path);
    if (source == created.sources().end() || !source->second.has_snapshot()) {
      return InvalidArgument("\"snapshots\" has \"" + host_path +
                             "\", of which the container was created without a snapshot");
    }
    const auto told = container->volumes.find(host_path);
    const bool same =
        (told == container->volumes.end() ? source->second.snapshot() : told->second) == digest;
    if (same && !container->volumes_due.contains(host_path)) continue;
    if (!here.contains(digest)) response.add_missing(digest);
    if (!same) news[host_path] = digest;
  }
  // An older one that comes late. Links only rise, and only the newest may ask.
  if (container->volumes_link == caller.link && container->volumes_sequence >= request.sequence()) {
    response.Clear();
    return {};
  }
  if (!response.missing().empty()) return {};
  container->volumes_link = caller.link;
  container->volumes_sequence = request.sequence();
  container->volumes_attempts = 0;
  container->volumes_not_before = {};
  is_news = !news.empty();
  for (auto& [host_path, digest] : news) {
    container->volumes[host_path] = digest;
    container->volumes_due.insert(host_path);
  }
  return {};
}

// One volume after the other: each is exchanged at once, and no message is larger than a volume.
void LiveSite::DriveVolumes(const ContainerKey& key, sdk::Backend& backend) {
  std::map<std::string, std::string> due;
  Duration pause{};
  {
    MutexLock lock(mutex_);
    const Container* container = tables_.Find(key);
    if (container == nullptr || container->volumes_due.empty() || DeferLocked(*container)) return;
    pause = container->volumes_not_before - std::chrono::steady_clock::now();
    for (const std::string& host_path : container->volumes_due) {
      const auto told = container->volumes.find(host_path);
      if (told != container->volumes.end()) due.insert(*told);
    }
  }
  // The Drive that was arranged for its end may have been this one, which came earlier.
  if (pause > Duration::zero()) return DriveAfter(key.Sandbox(), pause);
  for (const auto& [host_path, digest] : due) {
    const Status status = UpdateVolume(key, backend, host_path, digest);
    if (!EndVolume(key, host_path, digest, status)) return;
  }
}

Status LiveSite::UpdateVolume(const ContainerKey& key, sdk::Backend& backend,
                              const std::string& host_path, const std::string& digest) {
  const auto bytes = ports_.volumes.Get(key.node, digest);
  if (!bytes.ok()) return Unavailable(bytes.status().message());
  const auto content = std::make_shared<interlink::v1::MountContent>();
  if (!content->mutable_snapshot()->ParseFromString(*bytes))
    return InvalidArgument("volume \"" + digest + "\" is no VolumeSnapshot");
  return backend.UpdateContents(Call::WithTimeout(kStep), key.sandbox, key.id,
                                {{host_path, content}});
}

// False: it is tried again later, and so is what comes after it.
bool LiveSite::EndVolume(const ContainerKey& key, const std::string& host_path,
                         const std::string& digest, const Status& status) {
  const bool is_refused = IsRefusedForEver(status.code());
  int attempts = 0;
  Duration pause{};
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(key);
    if (container == nullptr) return false;
    if (status.ok() || is_refused) {
      container->volumes_attempts = 0;
      // Another one may have come meanwhile.
      if (container->volumes[host_path] == digest) container->volumes_due.erase(host_path);
      CommitLocked({{StoreKey(key)}, {}}, false, {});
    } else {
      attempts = container->volumes_attempts++;
      pause = kFirstPause * (1 << std::min(attempts, kMaxPauseShift));
      container->volumes_not_before = std::chrono::steady_clock::now() + pause;
    }
  }
  const std::string where = "mounts.host_path \"" + host_path + "\"";
  if (status.ok()) return true;
  if (is_refused) {
    ports_.log.Warning("a changed volume is refused: the container keeps what it has",
                       {{"container", key.id.str()},
                        {"node", key.node.str()},
                        {"field", where},
                        {"error", status.ToString()}});
    return true;
  }
  if (attempts == 0) {
    ports_.log.Info("a changed volume will be brought later", {{"container", key.id.str()},
                                                               {"node", key.node.str()},
                                                               {"field", where},
                                                               {"error", status.ToString()}});
  }
  DriveAfter(key.Sandbox(), pause);
  return false;
}

}  // namespace interlink::site
