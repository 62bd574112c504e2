// PUT /v1/volumes/{digest}, and what becomes of the contents of a container's mounts.
#include "interlink/v1/volume.pb.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr auto kVolumeSweep = std::chrono::hours(1);

}  // namespace

Status LiveSite::PutVolume(const Call& call, const Caller& caller, const std::string& digest,
                           const std::string& bytes) {
  RETURN_IF_ERROR(call.Check("keep a volume"));
  {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(CheckLink(caller));
  }
  return ports_.volumes.Put(caller.node, digest, bytes);
}

Status LiveSite::CheckSources(const NodeId& node,
                              const interlink::v1::CreateContainerRequest& request) const {
  std::set<std::string> named;
  for (const auto& mount : request.config().mounts()) named.insert(mount.host_path());
  for (const auto& [host_path, source] : request.sources()) {
    if (host_path.empty() || !named.contains(host_path)) {
      return InvalidArgument("\"sources\" has \"" + host_path +
                             "\", which is no mount's host_path");
    }
    if (source.kind_case() == interlink::v1::MountSource::KIND_NOT_SET) {
      return InvalidArgument("\"sources\" does not say what \"" + host_path + "\" is");
    }
    if (source.has_snapshot() && !ports_.volumes.Has(node, source.snapshot())) {
      return FailedPrecondition("volume \"" + source.snapshot() + "\" of \"" + host_path +
                                "\" is not here: send it first (PUT /v1/volumes/{digest})");
    }
  }
  return {};
}

Result<LiveSite::MountContents> LiveSite::ContentsOf(
    const NodeId& node, const interlink::v1::CreateContainerRequest& request) const {
  MountContents contents;
  for (const auto& [host_path, source] : request.sources()) {
    const auto content = std::make_shared<interlink::v1::MountContent>();
    if (source.has_pod_folder()) *content->mutable_pod_folder() = source.pod_folder();
    if (source.has_termination_log()) {
      *content->mutable_termination_log() = source.termination_log();
    }
    if (source.has_snapshot()) {
      const auto bytes = ports_.volumes.Get(node, source.snapshot());
      if (bytes.status().code() == Code::kNotFound) {
        return FailedPrecondition(bytes.status().message());
      }
      if (!bytes.ok()) return Unavailable(bytes.status().message());
      if (!content->mutable_snapshot()->ParseFromString(*bytes)) {
        return InvalidArgument("volume \"" + source.snapshot() + "\" is no VolumeSnapshot");
      }
    }
    contents[host_path] = content;
  }
  return contents;
}

void LiveSite::SweepVolumes() {
  std::map<NodeId, std::set<std::string>> in_use;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    for (const auto& [key, container] : tables_.containers) {
      for (const std::string& host_path : container.volumes_due) {
        const auto told = container.volumes.find(host_path);
        if (told != container.volumes.end()) in_use[key.node].insert(told->second);
      }
      interlink::v1::CreateContainerRequest request;
      if (container.record.seen() >= interlink::v1::SEEN_CREATED ||
          !request.ParseFromString(container.body)) {
        continue;
      }
      for (const auto& [host_path, source] : request.sources()) {
        if (source.has_snapshot()) in_use[key.node].insert(source.snapshot());
      }
    }
  }
  ports_.volumes.KeepOnly(in_use);
  timer_.After(kVolumeSweep, [this] {
    // No more when it shuts down.
    static_cast<void>(steps_.PostAlways("volumes", [this] { SweepVolumes(); }).ok());
  });
}

}  // namespace interlink::site
