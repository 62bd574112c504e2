// Images: pulls are carried by the site and end as an event; the rest answers from memory.
#include <sys/statvfs.h>

#include <algorithm>

#include "node/calls.h"
#include "node/limits.h"
#include "node/state.h"
#include "node/views.h"

namespace interlink::node {
namespace {

constexpr auto kLook =
    std::chrono::seconds(15);  // how often the site is asked for a pull's progress
// Between two tries while it cannot be asked, doubled up to kLook.
constexpr auto kFirstPullRetry = std::chrono::milliseconds(250);
constexpr int kMostPullDoublings = 6;

// The living sandbox of the pod that a pull is for, so that the site's policy can tell. Empty:
// none.
std::string SandboxOf(const Tables& tables, const runtime::v1::PodSandboxMetadata& pod) {
  if (pod.uid().empty()) return "";
  for (const auto& [id, sandbox] : tables.sandboxes) {
    const auto& metadata = sandbox.request->config().metadata();
    if (metadata.uid() == pod.uid() && metadata.name() == pod.name() &&
        metadata.namespace_() == pod.namespace_() &&
        sandbox.stored.wanted() == interlink::v1::WANTED_CREATE)
      return id.str();
  }
  return "";
}

}  // namespace

void LiveNode::ImageCalls::Pull(const Call& call, const runtime::v1::PullImageRequest& request,
                                Reply<runtime::v1::PullImageResponse> reply) {
  if (request.image().image().empty())
    return reply(InvalidArgument("image.image is empty: which image is to be pulled?"));
  interlink::v1::PullImageRequest pull;
  pull.set_pull_id(MintSessionId().str());
  *pull.mutable_image() = request.image();
  *pull.mutable_auth() = request.auth();
  Status why;
  {
    MutexLock lock(node_.mutex_);
    why = node_.stopping_ ? ShuttingDown() : node_.ReachableLocked();
    if (why.ok()) {
      pull.set_sandbox_id(SandboxOf(node_.tables_, request.sandbox_config().metadata()));
      auto waiter =
          std::make_shared<PullWaiter>(PullWaiter{{}, 0, node_.Steady(), {}, call, {}, {}, 0});
      waiter->fire = [reply](Result<interlink::v1::PullRecord> record) {
        if (!record.ok()) return reply(record.status());
        if (record->has_failure()) return reply(FailureOf(record->failure()));
        runtime::v1::PullImageResponse response;
        response.set_image_ref(record->image_id());
        reply(std::move(response));
      };
      node_.pulls_[pull.pull_id()] = waiter;
      waiter->cancelled = call.OnCancel([this, id = pull.pull_id()] {
        node_.timer_.After(Duration::zero(),
                           [this, id] { EndPull(id, CancelledError("the caller has gone")); });
      });
      waiter->deadline = node_.timer_.At(call.deadline(), [this, id = pull.pull_id()] {
        EndPull(id, DeadlineExceeded("the pull took longer than the caller waits"));
      });
    }
  }
  if (!why.ok()) return reply(why);
  PullStep(call, pull);
}

// Asks, and asks again: the same pull id joins. The answer's record and the event's pass through
// the same place.
void LiveNode::ImageCalls::PullStep(const Call& call, const interlink::v1::PullImageRequest& pull) {
  const Status posted = node_.steps_.Post("pull/" + pull.pull_id(), [this, call, pull] {
    LinkNumber link = 0;
    {
      MutexLock lock(node_.mutex_);
      if (!node_.pulls_.contains(pull.pull_id())) return;
      link = node_.link_;
    }
    // A link that is renewed is a matter of moments: the pull waits for it, as other calls do.
    const Result<interlink::v1::PullRecord> record =
        link == 0
            ? Unavailable("site " + node_.options_.site_name + " is not linked yet")
            : node_.ports_.site.PullImage(node_.RequestOf(call.Capped(kStep)).call, link, pull);
    if (!record.ok() && record.status().code() != Code::kUnavailable &&
        record.status().code() != Code::kAborted) {
      return EndPull(pull.pull_id(), record.status());
    }
    Fires fires;
    bool stuck = false;
    {
      MutexLock lock(node_.mutex_);
      if (record.ok()) node_.ApplyPullLocked(*record, fires);
      const auto it = node_.pulls_.find(pull.pull_id());
      if (it == node_.pulls_.end()) {
        stuck = false;
      } else {
        stuck = node_.Steady() - it->second->progress_at >= node_.options_.request_timeout;
        int& failures = it->second->failures;
        failures = record.ok() ? 0 : std::min(failures + 1, kMostPullDoublings + 1);
        const Duration next =
            record.ok() ? Duration(kLook) : kFirstPullRetry * (1 << (failures - 1));
        node_.timer_.After(std::min(next, Duration(kLook)),
                           [this, call, pull] { PullStep(call, pull); });
      }
    }
    for (auto& fire : fires) fire();
    if (stuck)
      EndPull(pull.pull_id(), Unavailable("the pull makes no progress" +
                                          (record.ok() ? "" : ": " + record.status().message())));
    if (!record.ok()) {
      MutexLock lock(node_.mutex_);
      if (!node_.ReachableLocked().ok()) {
        const Status why = node_.ReachableLocked();
        node_.timer_.After(Duration::zero(),
                           [this, id = pull.pull_id(), why] { EndPull(id, why); });
      }
    }
  });
  if (!posted.ok()) EndPull(pull.pull_id(), posted);
}

void LiveNode::ImageCalls::EndPull(const std::string& pull_id, const Status& why) {
  std::shared_ptr<PullWaiter> waiter;
  LinkNumber link = 0;
  {
    MutexLock lock(node_.mutex_);
    const auto it = node_.pulls_.find(pull_id);
    if (it == node_.pulls_.end()) return;
    waiter = it->second;
    node_.timer_.Cancel(waiter->deadline);
    node_.pulls_.erase(it);
    link = node_.link_;
  }
  waiter->fire(why);
  // Another caller's pull of the same content goes on at the site.
  const Status posted = node_.steps_.Post("pull/" + pull_id, [this, pull_id, link] {
    const Status cancelled = node_.ports_.site.CancelPull(node_.NewRequest().call, link, pull_id);
    if (!cancelled.ok())
      node_.ports_.log.Info("a pull cannot be cancelled", {{"error", cancelled.message()}});
  });
  if (!posted.ok()) node_.ports_.log.Debug("a pull is not cancelled", {{"why", posted.message()}});
}

void LiveNode::ImageCalls::Remove(const Call& call, const runtime::v1::RemoveImageRequest& request,
                                  Reply<runtime::v1::RemoveImageResponse> reply) {
  std::string id;
  Status why;
  {
    MutexLock lock(node_.mutex_);
    why = node_.ListsReadyLocked();
    const auto image = node_.tables_.FindImage(request.image().image());
    if (image.ok()) id = (*image)->image().id();
    if (why.ok() && !image.ok() && image.status().code() != Code::kNotFound) why = image.status();
    if (why.ok() && !id.empty()) why = node_.ReachableLocked();
  }
  if (!why.ok()) return reply(why);
  if (id.empty()) return reply(runtime::v1::RemoveImageResponse());  // absent: idempotent
  node_.PostOrFail<runtime::v1::RemoveImageResponse>(
      "image/" + id, std::move(reply),
      [this, call, id](Reply<runtime::v1::RemoveImageResponse> answer) {
        const Status status = node_.RemoveImage(call, id);
        status.ok() ? answer(runtime::v1::RemoveImageResponse()) : answer(ForCaller(status));
      });
}

Status LiveNode::RemoveImage(const Call& call, const std::string& id) {
  LinkNumber link = 0;
  {
    MutexLock lock(mutex_);
    link = link_;
  }
  RETURN_IF_ERROR(ports_.site.RemoveImage(RequestOf(call).call, link, id));
  MutexLock lock(mutex_);
  interlink::v1::ImageRecord gone;
  gone.mutable_image()->set_id(id);
  gone.set_gone(true);
  tables_.PutImage(gone, false);
  CommitLocked({{}, {}, {id}, false, {}}, false, {});
  return {};
}

Result<runtime::v1::ImageStatusResponse> LiveNode::ImageCalls::GetStatus(
    const runtime::v1::ImageStatusRequest& request) const {
  runtime::v1::ImageStatusResponse response;
  MutexLock lock(node_.mutex_);
  RETURN_IF_ERROR(node_.ListsReadyLocked());
  const auto image = node_.tables_.FindImage(request.image().image());
  if (!image.ok())
    return image.status().code() == Code::kNotFound
               ? Result<runtime::v1::ImageStatusResponse>(response)
               : image.status();
  *response.mutable_image() = (*image)->image();
  if (request.verbose()) (*response.mutable_info())["info"] = (*image)->info();
  return response;
}

Result<Slices> LiveNode::ImageCalls::List(const runtime::v1::ImageFilter& filter) const {
  MutexLock lock(node_.mutex_);
  RETURN_IF_ERROR(node_.ListsReadyLocked());
  Slices slices;
  if (!filter.image().image().empty()) {
    const auto image = node_.tables_.FindImage(filter.image().image());
    if (image.ok()) slices.push_back(node_.tables_.image_slices.at((*image)->image().id()));
    return slices;
  }
  for (const auto& [id, slice] : node_.tables_.image_slices) slices.push_back(slice);
  return slices;
}

Result<runtime::v1::ImageFsInfoResponse> LiveNode::ImageCalls::FsInfo() const {
  runtime::v1::ImageFsInfoResponse response;
  std::string path = node_.options_.data_folder;
  std::string image_root;
  {
    MutexLock lock(node_.mutex_);
    const auto& info = node_.meta_.info();
    if (info.images_on_this_host()) image_root = info.image_root();
  }
  struct statvfs about {};
  // Where the store is on this host its own folder is named, if it is there.
  if (!image_root.empty() && statvfs(image_root.c_str(), &about) == 0) path = image_root;
  if (statvfs(path.c_str(), &about) != 0)
    return ErrnoStatus(errno, "file system of \"" + path + "\"");
  runtime::v1::FilesystemUsage usage;
  usage.set_timestamp(node_.Now());
  usage.mutable_fs_id()->set_mountpoint(path);
  usage.mutable_used_bytes()->set_value((about.f_blocks - about.f_bfree) * about.f_frsize);
  usage.mutable_inodes_used()->set_value(about.f_files - about.f_ffree);
  *response.add_image_filesystems() = usage;
  *response.add_container_filesystems() = usage;
  return response;
}

}  // namespace interlink::node
