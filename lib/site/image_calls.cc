// Images: pulls on threads of their own, ended by an event; all else is short.
#include <algorithm>

#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr auto kPullLimit =
    std::chrono::hours(24);  // a bound; progress and callers end a pull earlier
constexpr auto kForgetPull = std::chrono::minutes(10);

interlink::v1::ImageRecord RecordOf(const Image& image, uint64_t epoch) {
  interlink::v1::ImageRecord record;
  *record.mutable_image() = image.image;
  record.set_info(image.info);
  record.set_epoch(epoch);
  return record;
}

interlink::v1::ImageRecord GoneRecord(const std::string& id, uint64_t epoch) {
  interlink::v1::ImageRecord record;
  record.mutable_image()->set_id(id);
  record.set_gone(true);
  record.set_epoch(epoch);
  return record;
}

}  // namespace

std::string LiveSite::ImagesLane(const NodeId& node) { return "images/" + node.str(); }

void LiveSite::PullImage(const Call&, const Caller& caller,
                         const interlink::v1::PullImageRequest& request, Duration wait,
                         Reply<Answer<interlink::v1::PullRecord>> reply) {
  if (request.image().image().empty())
    return reply(InvalidArgument("\"image.image\" is empty: which image is to be pulled?"));
  if (!IsFullId(request.pull_id()))
    return reply(InvalidArgument("\"pull_id\" must be 64 hex digits"));
  const std::string key = caller.node.str() + "/" + request.pull_id();
  std::shared_ptr<Pull> pull;
  bool begin = false;
  Status why;
  {
    MutexLock lock(mutex_);
    why = CheckLink(caller);
    if (why.ok() && !pulls_.contains(key)) why = AdmitPullLocked(caller, request);
    if (why.ok()) {
      auto& slot = pulls_[key];
      begin = slot == nullptr;
      if (begin) {
        slot = std::make_shared<Pull>(Call::WithTimeout(kPullLimit), caller.node);
        slot->record.set_pull_id(request.pull_id());
      }
      pull = slot;
    }
  }
  if (!why.ok()) return reply(why);
  if (begin) {
    const Status posted = pull_pool_.Post(
        "pull/" + key, [this, pull, caller, request] { RunPull(pull, caller, request); });
    if (!posted.ok()) {
      MutexLock lock(mutex_);
      pulls_.erase(key);
      why = posted;
    }
  }
  if (!why.ok()) return reply(why);
  AnswerPull(pull, wait, reply);
}

Status LiveSite::AdmitPullLocked(const Caller& caller,
                                 const interlink::v1::PullImageRequest& request) const {
  if (ports_.admission == nullptr) return {};
  const Sandbox* sandbox = tables_.Find(SandboxKey{caller.node, SandboxId(request.sandbox_id())});
  return ports_.admission->MayPull(
      caller, sandbox == nullptr ? interlink::v1::RunSandboxRequest() : PodOf(*sandbox), request);
}

void LiveSite::AnswerPull(const std::shared_ptr<Pull>& pull, Duration wait,
                          const Reply<Answer<interlink::v1::PullRecord>>& reply) {
  const auto once =
      std::make_shared<std::atomic<bool>>(false);  // owners: the timer and the pull's end
  const auto answer = [this, pull, reply, once] {
    if (once->exchange(true)) return;
    interlink::v1::PullRecord record;
    {
      MutexLock lock(mutex_);
      record = pull->record;
    }
    reply(Answer<interlink::v1::PullRecord>{record, record.ended()});
  };
  {
    MutexLock lock(mutex_);
    if (!pull->record.ended() && !stopping_ && wait > Duration::zero()) {
      pull->waiters.push_back(answer);
      timer_.After(std::min<Duration>(wait, std::chrono::seconds(2)), answer);
      return;
    }
  }
  answer();
}

void LiveSite::RunPull(const std::shared_ptr<Pull>& pull, const Caller& caller,
                       const interlink::v1::PullImageRequest& request) {
  const auto progress = [this, pull](uint64_t done) {
    MutexLock lock(mutex_);
    pull->record.set_bytes_done(done);
  };
  const auto pulled =
      ports_.images.Pull(pull->call, caller.node, request.image(), request.auth(), progress);
  const auto end = [this, pull, pulled, node = caller.node] { EndPull(*pull, node, pulled); };
  if (!steps_.PostAlways(ImagesLane(caller.node), end).ok()) end();  // shutting down
  timer_.After(kForgetPull, [this, key = caller.node.str() + "/" + request.pull_id()] {
    MutexLock lock(mutex_);
    pulls_.erase(key);
  });
}

void LiveSite::EndPull(Pull& pull, const NodeId& node, const Result<Pulled>& pulled) {
  std::vector<std::string> renamed;
  // First who has lost the tag: no two images ever have it.
  if (pulled.ok()) {
    renamed = pulled->losers;
    renamed.push_back(pulled->image.image.id());
  }
  // As they are now: another pull, or a remove, may have come since.
  const auto images = ReadImages(node, renamed);
  Status why = pulled.status();
  if (pulled.ok() && std::any_of(images.begin(), images.end(), [&pulled](const auto& image) {
        return image.gone() && image.image().id() == pulled->image.image.id();
      })) {
    why = Unavailable("the image was removed while it was pulled: pull it again");
  }
  std::vector<std::function<void()>> fires;
  std::vector<std::function<void()>> wakes;
  {
    MutexLock lock(mutex_);
    // The images are told before the end of the pull: whoever hears of the end finds them in the
    // list.
    for (const auto& image : images) {
      AddEventLocked(node, [&](interlink::v1::Event& event) {
        *event.mutable_record()->mutable_image() = image;
      });
    }
    if (why.ok()) {
      pull.record.set_image_id(pulled->image.image.id());
    } else {
      pull.record.mutable_failure()->set_code(static_cast<int>(why.code()));
      pull.record.mutable_failure()->set_message(Text(why.message()));
    }
    pull.record.set_ended(true);
    AddEventLocked(node, [&](interlink::v1::Event& event) {
      *event.mutable_record()->mutable_pull() = pull.record;
    });
    fires.swap(pull.waiters);
    WakeReaderLocked(node, wakes);
  }
  for (auto& fire : fires) fire();
  for (auto& wake : wakes) wake();
}

std::vector<interlink::v1::ImageRecord> LiveSite::ReadImages(
    const NodeId& node, const std::vector<std::string>& ids) const {
  std::vector<interlink::v1::ImageRecord> records;
  for (const std::string& id : ids) {
    const auto found = ports_.images.Find(node, id);
    if (!found.ok()) continue;  // only of a name
    records.push_back(found->empty() ? GoneRecord(id, epoch_) : RecordOf(found->front(), epoch_));
  }
  return records;
}

void LiveSite::AddEventLocked(const NodeId& id,
                              const std::function<void(interlink::v1::Event&)>& fill) {
  constexpr size_t kMaxOthers = 10'000;
  Node& node = NodeLocked(id);
  interlink::v1::Event event;
  fill(event);
  if (event.has_record() && event.record().has_image()) {
    event.mutable_record()->mutable_image()->set_revision(node.next_number);
    // Only the last word about an image counts.
    auto [it, made] =
        node.images.try_emplace(event.record().image().image().id(), node.next_number);
    if (!made) node.others.erase(std::exchange(it->second, node.next_number));
  }
  node.others.emplace(node.next_number++, std::move(event));
  if (node.others.size() > kMaxOthers) node.others.erase(node.others.begin());
}

Status LiveSite::CancelPull(const Caller& caller, const std::string& pull_id) {
  std::shared_ptr<Pull> pull;
  {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(CheckLink(caller));
    const auto it = pulls_.find(caller.node.str() + "/" + pull_id);
    if (it == pulls_.end()) return {};
    pull = it->second;
  }
  pull->call.Cancel();
  return {};
}

void LiveSite::RemoveImage(const Call& call, const Caller& caller, const std::string& image,
                           Reply<std::string> reply) {
  Status why;
  {
    MutexLock lock(mutex_);
    why = CheckLink(caller);
  }
  if (why.ok() && image.empty()) why = InvalidArgument("which image is to be removed?");
  if (!why.ok()) return reply(why);
  PostOrFail<std::string>(ImagesLane(caller.node), std::move(reply),
                          [this, call, caller, image](Reply<std::string> answer) {
                            auto removed = ports_.images.Remove(caller.node, image);
                            if (!removed.ok() || removed->empty())
                              return answer(std::move(removed));
                            std::vector<std::function<void()>> wakes;
                            {
                              MutexLock lock(mutex_);
                              AddEventLocked(caller.node, [&](interlink::v1::Event& event) {
                                *event.mutable_record()->mutable_image() =
                                    GoneRecord(*removed, epoch_);
                              });
                              WakeReaderLocked(caller.node, wakes);
                            }
                            for (auto& wake : wakes) wake();
                            answer(std::move(removed));
                          });
}

bool LiveSite::PullsLocked(const NodeId& node) const {
  return std::any_of(pulls_.begin(), pulls_.end(), [&node](const auto& item) {
    return item.second->node == node && !item.second->record.ended();
  });
}

Status LiveSite::RemoveImagesOf(const NodeId& node) {
  Status why;
  for (const Image& image : ports_.images.List(node)) {
    const Status removed = ports_.images.Remove(node, image.image.id()).status();
    if (removed.ok()) continue;
    ports_.log.Warning("an image of a dropped node cannot be removed",
                       {{"node", node.str()}, {"error", removed.ToString()}});
    why = removed;
  }
  return why;
}

std::vector<interlink::v1::ImageRecord> LiveSite::ListImages(const NodeId& node) const {
  std::vector<interlink::v1::ImageRecord> records;
  for (const Image& image : ports_.images.List(node)) records.push_back(RecordOf(image, epoch_));
  return records;
}

Result<std::vector<interlink::v1::ImageRecord>> LiveSite::FindImage(const NodeId& node,
                                                                    const std::string& name) const {
  ASSIGN_OR_RETURN(const std::vector<Image> images, ports_.images.Find(node, name));
  std::vector<interlink::v1::ImageRecord> records;
  for (const Image& image : images) records.push_back(RecordOf(image, epoch_));
  return records;
}

Result<interlink::v1::ImageFilesystemsResponse> LiveSite::ImageFilesystems() const {
  ASSIGN_OR_RETURN(const runtime::v1::FilesystemUsage usage, ports_.images.Usage());
  interlink::v1::ImageFilesystemsResponse response;
  *response.add_filesystems() = usage;
  return response;
}

}  // namespace interlink::site
