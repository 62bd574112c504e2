// What kubelet changes in a pod's volumes after the container's creation goes to a site that has
// snapshots of them (docs/adr/0019).
//
// How it works. Once a second some containers' volumes are looked at (KubeletVolumes::Mark); of one
// that has changed, or of which this link has not heard yet, a step takes what is new and tells the
// site the digest of every volume. So it is always the whole that is told, the newest wins, and
// what was missed while either side was away comes by itself.
#include <algorithm>

#include "node/limits.h"
#include "node/live_node.h"

namespace interlink::node {
namespace {

constexpr auto kLookEvery = std::chrono::seconds(1);
constexpr size_t kLooks = 1000;    // containers that are looked at each time
constexpr size_t kRefreshers = 8;  // steps at once
constexpr int kTries = 3;          // kubelet may change it again before the site has the bytes
// A volume that changes without end is told that often.
constexpr auto kFirstPause = std::chrono::seconds(1);
constexpr auto kMaxPause = std::chrono::seconds(5);
constexpr auto kCalm = std::chrono::seconds(10);  // since the last change
constexpr auto kFirstVolumeRetry = std::chrono::milliseconds(250);
constexpr int kMaxVolumeShift = 6;  // 16 s

SteadyTime RealNow() { return std::chrono::steady_clock::now(); }

bool HasSnapshots(const interlink::v1::CreateContainerRequest& request) {
  return std::any_of(request.sources().begin(), request.sources().end(),
                     [](const auto& source) { return source.second.has_snapshot(); });
}

}  // namespace

bool LiveNode::HasVolumesToRefreshLocked(const Container& container) const {
  const auto seen = container.stored.fact().seen();
  if (container.stored.wanted() > interlink::v1::WANTED_START || container.stored.abandoned() ||
      (seen != interlink::v1::SEEN_CREATED && seen != interlink::v1::SEEN_UP) ||
      !HasSnapshots(*container.request)) {
    return false;
  }
  const Sandbox* sandbox = tables_.Find(container.sandbox());
  return sandbox != nullptr && TakesContentsLocked(sandbox->stored.handler());
}

// The creation was answered in that link: the site has what it was sent.
void LiveNode::NoteCreatedVolumesLocked(Container& container, LinkNumber link) {
  if (container.volumes.told_link != 0) return;
  for (const auto& [host_path, source] : container.request->sources()) {
    if (source.has_snapshot()) container.volumes.told[host_path] = source.snapshot();
  }
  container.volumes.digests = container.volumes.told;
  container.volumes.told_link = link;
}

// True: a look is to be posted.
bool LiveNode::IsLookDueLocked() {
  if (volumes_looking_ || link_ == 0 || RealNow() < volumes_look_at_) return false;
  volumes_looking_ = true;
  volumes_look_at_ = RealNow() + kLookEvery - std::chrono::milliseconds(100);
  return true;
}

// A step. Reads no file.
void LiveNode::LookAtVolumes() {
  struct Look {
    ContainerId id;
    std::string uid;
    std::map<std::string, std::string> marks;
    bool is_due = false;
  };
  std::vector<Look> looks;
  {
    MutexLock lock(mutex_);
    volumes_looking_ = false;
    if (stopping_ || link_ == 0 || !unreachable_.ok()) return;
    const SteadyTime now = RealNow();
    auto at = tables_.containers.upper_bound(volumes_looked_at_);
    for (size_t i = 0; i < tables_.containers.size() && looks.size() < kLooks; ++i, ++at) {
      if (at == tables_.containers.end()) at = tables_.containers.begin();
      const Container& container = at->second;
      volumes_looked_at_ = at->first;
      if (container.volumes.is_posted || container.volumes.not_before > now ||
          !HasVolumesToRefreshLocked(container)) {
        continue;
      }
      Look look{at->first,
                tables_.Find(container.sandbox())->request->config().metadata().uid(),
                {},
                container.volumes.told_link != link_};
      for (const auto& [host_path, source] : container.request->sources()) {
        if (!source.has_snapshot()) continue;
        const auto mark = container.volumes.marks.find(host_path);
        look.marks[host_path] = mark == container.volumes.marks.end() ? "" : mark->second;
      }
      looks.push_back(std::move(look));
    }
  }
  for (Look& look : looks) {
    for (const auto& [host_path, mark] : look.marks) {
      if (look.is_due) break;
      const auto now = ports_.volumes.Mark(host_path, look.uid);
      look.is_due = now.has_value() && *now != mark;
    }
  }
  MutexLock lock(mutex_);
  for (const Look& look : looks) {
    Container* container = look.is_due ? tables_.Find(look.id) : nullptr;
    if (container == nullptr || container->volumes.is_posted) continue;
    container->volumes.is_posted = true;
    volumes_due_.push_back(look.id);
  }
  while (refreshers_ < std::min(kRefreshers, volumes_due_.size()) && PostRefreshLocked()) {
  }
}

bool LiveNode::PostRefreshLocked() {
  const std::string lane = "volumes/" + std::to_string(refresh_lane_++ % kRefreshers);
  // A full queue: the next look posts it.
  if (!steps_.Post(lane, [this] { RefreshNext(); }).ok()) return false;
  ++refreshers_;
  return true;
}

void LiveNode::RefreshNext() {
  std::optional<ContainerId> id;
  {
    MutexLock lock(mutex_);
    if (!stopping_ && !volumes_due_.empty()) {
      id = volumes_due_.front();
      volumes_due_.pop_front();
    }
  }
  if (id) RefreshVolumes(*id);
  MutexLock lock(mutex_);
  --refreshers_;
  if (!stopping_ && !volumes_due_.empty()) PostRefreshLocked();
}

void LiveNode::RefreshVolumes(const ContainerId& id) {
  Refresh refresh;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(id);
    if (container == nullptr) return;
    container->volumes.is_posted = false;
    if (link_ == 0 || !HasVolumesToRefreshLocked(*container)) return;
    refresh.id = id;
    refresh.sandbox = container->sandbox();
    refresh.uid = tables_.Find(refresh.sandbox)->request->config().metadata().uid();
    refresh.link = link_;
    refresh.volumes = container->volumes;
    for (const auto& [host_path, source] : container->request->sources()) {
      if (source.has_snapshot()) refresh.host_paths.push_back(host_path);
    }
    container->volumes.is_posted = true;  // until this is over
  }
  Status status = TakeVolumes(refresh, false);
  const bool is_news =
      refresh.volumes.told_link != refresh.link || refresh.volumes.told != refresh.volumes.digests;
  if (status.ok() && is_news) status = TellVolumes(refresh);
  EndRefresh(refresh, status, is_news);
}

// What has changed since it was taken last, or everything. What cannot be taken is not told, or as
// it was: the container keeps it.
Status LiveNode::TakeVolumes(Refresh& refresh, bool all) {
  VolumeRefresh& volumes = refresh.volumes;
  for (const std::string& host_path : refresh.host_paths) {
    const auto mark = ports_.volumes.Mark(host_path, refresh.uid);
    if (!mark || (!all && volumes.marks[host_path] == *mark)) continue;
    auto taken = ports_.volumes.Take(host_path, refresh.uid);
    // Kubelet is writing it, or takes the pod away: the next look finds the mark changed again.
    const Code code = taken.status().code();
    if (code == Code::kUnavailable || code == Code::kNotFound) continue;
    volumes.marks[host_path] = *mark;
    if (!taken.ok()) {
      WarnOfVolume(refresh, host_path, taken.status());
      continue;
    }
    const std::string& digest = taken->source.snapshot();
    volumes.digests[host_path] = digest;
    volumes.sizes[host_path] = taken->snapshot.size();
    refresh.bytes[digest] = std::move(taken->snapshot);
  }
  size_t size = 0;
  for (const auto& [host_path, bytes] : volumes.sizes) size += bytes;
  if (size <= kMaxVolumesOfContainer) return {};
  return OutOfRange("the volumes of this container have " + std::to_string(size) +
                    " bytes by now, more than the " + std::to_string(kMaxVolumesOfContainer) +
                    " that a site on another machine gets copies of");
}

Status LiveNode::TellVolumes(Refresh& refresh) {
  const Request request = NewRequest();
  for (int i = 0; i < kTries; ++i) {
    interlink::v1::RefreshVolumesRequest body;
    {
      MutexLock lock(mutex_);
      Container* container = tables_.Find(refresh.id);
      if (container == nullptr) return {};
      body.set_sequence(++container->volumes.sequence);
    }
    for (const auto& [host_path, digest] : refresh.volumes.digests) {
      (*body.mutable_snapshots())[host_path] = digest;
    }
    ASSIGN_OR_RETURN(
        const auto answer,
        ports_.site.RefreshVolumes(request.call, refresh.link, refresh.sandbox, refresh.id, body));
    if (answer.missing().empty()) return {};
    bool has_all = true;
    for (const std::string& digest : answer.missing()) {
      const auto bytes = refresh.bytes.find(digest);
      has_all = has_all && bytes != refresh.bytes.end();
      if (bytes == refresh.bytes.end()) continue;
      RETURN_IF_ERROR(ports_.site.PutVolume(request.call, refresh.link, digest, bytes->second)
                          .WithContext("send a volume"));
    }
    if (has_all) continue;
    // Taken long ago and let go of there: taken again, whatever it is by now. What cannot be is not
    // told, for it would keep the others back.
    RETURN_IF_ERROR(TakeVolumes(refresh, true));
    std::erase_if(refresh.volumes.digests, [&](const auto& item) {
      return !refresh.bytes.contains(item.second) &&
             std::find(answer.missing().begin(), answer.missing().end(), item.second) !=
                 answer.missing().end();
    });
  }
  return Unavailable("the site lacks what it was sent");
}

void LiveNode::EndRefresh(const Refresh& refresh, const Status& status, bool is_news) {
  const Code code = status.code();
  // The container has ended there; or the site lacks it, or this route.
  const bool is_over = code == Code::kFailedPrecondition || code == Code::kNotFound;
  // It will fail again the same way until something changes.
  const bool is_refused = code == Code::kInvalidArgument || code == Code::kOutOfRange ||
                          code == Code::kUnimplemented || code == Code::kPermissionDenied;
  if (is_refused || code == Code::kResourceExhausted || code == Code::kNotFound)
    WarnOfVolume(refresh, "", status);
  if (code == Code::kAborted) Relink(refresh.link);
  const SteadyTime now = RealNow();
  MutexLock lock(mutex_);
  Container* container = tables_.Find(refresh.id);
  if (container == nullptr) return;
  VolumeRefresh& volumes = container->volumes;
  volumes.is_posted = false;
  if (!status.ok() && !is_over && !is_refused) {
    volumes.not_before =
        now + kFirstVolumeRetry * (1 << std::min(volumes.attempts++, kMaxVolumeShift));
    return;
  }
  volumes.marks = refresh.volumes.marks;
  volumes.sizes = refresh.volumes.sizes;
  volumes.digests = refresh.volumes.digests;
  volumes.told_link = refresh.link;
  volumes.attempts = 0;
  if (is_refused) return;
  volumes.told = refresh.volumes.digests;
  if (!is_news) return;
  const bool is_calm = now - volumes.told_at > kCalm;
  volumes.pause =
      is_calm ? Duration(kFirstPause) : std::min<Duration>(2 * volumes.pause, kMaxPause);
  volumes.told_at = now;
  volumes.not_before = now + volumes.pause;
}

// Once for each reason: the container goes on with what it has.
void LiveNode::WarnOfVolume(const Refresh& refresh, const std::string& host_path,
                            const Status& why) {
  constexpr size_t kMaxWarned = 32;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(refresh.id);
    if (container == nullptr || container->volumes.warned.size() >= kMaxWarned ||
        !container->volumes.warned.insert(host_path + ": " + why.message()).second) {
      return;
    }
  }
  ports_.log.Warning(
      "a changed volume does not reach its container, which keeps what it has",
      {{"container", refresh.id.str()},
       {"field", host_path.empty() ? "mounts.host_path" : "mounts.host_path \"" + host_path + "\""},
       {"error", why.ToString()}});
}

}  // namespace interlink::node
