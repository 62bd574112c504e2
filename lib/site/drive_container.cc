// Drive, for one container.
#include <algorithm>
#include <utility>

#include "runtime/v1/api.pb.h"
#include "site/limits.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr auto kPrepare = std::chrono::minutes(30);

// After a stop with so many seconds.
Duration AskAgain(int64_t grace) { return kAskAgain + std::chrono::seconds(grace); }

}  // namespace

void LiveSite::DriveContainer(const ContainerKey& key) {
  Wanted wanted;
  Seen seen;
  sdk::Backend* backend = nullptr;
  bool held = false;
  bool prepared = false;
  bool sandbox_up = false;
  {
    MutexLock lock(mutex_);
    const Container* container = tables_.Find(key);
    Sandbox* sandbox = tables_.Find(key.Sandbox());
    if (container == nullptr || sandbox == nullptr || stopping_) return;
    if (DeferLocked(*container) || DeferLocked(*sandbox)) return;
    const Plugin* plugin = FindPlugin(container->record.handler());
    if (plugin == nullptr || plugin->backend == nullptr || !plugin->recovered) return;
    backend = plugin->backend.get();
    wanted = container->record.wanted();
    seen = container->record.seen();
    held = container->record.held();
    prepared = container->prepared;
    sandbox_up = sandbox->record.seen() == interlink::v1::SEEN_UP &&
                 sandbox->record.wanted() < interlink::v1::WANTED_STOP;
  }
  if (wanted >= interlink::v1::WANTED_STOP) return DriveContainerEnd(key, *backend, wanted);
  if (!sandbox_up || held) return;
  if (seen == interlink::v1::SEEN_NOTHING) {
    if (!prepared) return PostPrepare(key);
    return DriveCreate(key, *backend);
  }
  // Before the start: it is to begin with the newest.
  if (seen == interlink::v1::SEEN_CREATED || seen == interlink::v1::SEEN_UP)
    DriveVolumes(key, *backend);
  if (wanted == interlink::v1::WANTED_START && seen == interlink::v1::SEEN_CREATED)
    DriveStart(key, *backend);
}

// PrepareImage may block long: it runs on a thread for such, and drives the sandbox again when it
// is done.
void LiveSite::PostPrepare(const ContainerKey& key) {
  std::vector<std::string> images;  // its own first
  sdk::Backend* backend = nullptr;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(key);
    if (container == nullptr || container->preparing) return;
    interlink::v1::CreateContainerRequest request;
    const Plugin* plugin = FindPlugin(container->record.handler());
    if (plugin == nullptr || !request.ParseFromString(container->body)) return;
    backend = plugin->backend.get();
    images = {request.image_id()};
    for (const auto& [name, id] : request.volume_images()) {
      if (std::find(images.begin(), images.end(), id) == images.end()) images.push_back(id);
    }
    container->preparing = true;
  }
  const auto finish = [this, key](const Status& status) {
    {
      MutexLock lock(mutex_);
      if (Container* container = tables_.Find(key)) {
        container->preparing = false;
        container->prepared = status.ok();
        if (status.ok()) EndRetryLocked(*container);
      }
    }
    if (status.ok()) return PostDrive(key.Sandbox());
    if (!IsRefusal(status.code())) return Retry(key, "PrepareImage", status);
    FinishContainer(key, [&](ContainerRecord& record) { MarkFailed(status, Now(), record); });
  };
  const Status posted =
      prepare_pool_.PostAlways("prepare/" + images.front(), [backend, key, images, finish] {
        const Call call = Call::WithTimeout(kPrepare);
        Status status;
        for (const std::string& id : images) {
          if (status.ok()) status = backend->PrepareImage(call, key.sandbox, id);
        }
        finish(status);
      });
  if (!posted.ok()) finish(posted);
}

void LiveSite::DriveCreate(const ContainerKey& key, sdk::Backend& backend) {
  interlink::v1::CreateContainerRequest request;
  interlink::v1::RunSandboxRequest sandbox_request;
  {
    MutexLock lock(mutex_);
    Container* container = tables_.Find(key);
    const Sandbox* sandbox = tables_.Find(key.Sandbox());
    if (container == nullptr || sandbox == nullptr) return;
    if (!request.ParseFromString(container->body) ||
        !sandbox_request.ParseFromString(sandbox->body))
      return;
    container->created_unknown = true;
  }
  auto contents = ContentsOf(key.node, request);
  if (!contents.ok()) {
    if (!IsRefusal(contents.status().code())) {
      return Retry(key, "reading its volumes", contents.status());
    }
    return FinishContainer(
        key, [&](ContainerRecord& record) { MarkFailed(contents.status(), Now(), record); });
  }
  const sdk::ContainerSpec spec{key.id,
                                key.sandbox,
                                key.node,
                                request.image_id(),
                                request.config(),
                                sandbox_request.config(),
                                {request.volume_images().begin(), request.volume_images().end()},
                                *std::move(contents)};
  const Status status = backend.CreateContainer(Call::WithTimeout(kStep), spec);
  if (!status.ok()) {
    if (!IsRefusal(status.code())) return Retry(key, "CreateContainer", status);
    ports_.images.Release(key.id);
    return FinishContainer(key,
                           [&](ContainerRecord& record) { MarkFailed(status, Now(), record); });
  }
  FinishContainer(key, [](ContainerRecord& record) {
    if (record.seen() < interlink::v1::SEEN_CREATED) record.set_seen(interlink::v1::SEEN_CREATED);
  });
}

void LiveSite::DriveStart(const ContainerKey& key, sdk::Backend& backend) {
  {
    MutexLock lock(mutex_);
    const Container* container = tables_.Find(key);
    if (container == nullptr || container->start_asked) return;
  }
  const Status status = backend.StartContainer(Call::WithTimeout(kStep), key.sandbox, key.id);
  if (status.ok()) {
    MutexLock lock(mutex_);
    if (Container* container = tables_.Find(key)) {
      container->start_asked = true;
      EndRetryLocked(*container);
    }
    return;
  }
  if (!IsRefusal(status.code())) return Retry(key, "StartContainer", status);
  if (status.code() == Code::kFailedPrecondition) {
    // It has ended, or its sandbox has: the stop reports that end, which says how.
    const Status stopped = backend.StopContainer(Call::WithTimeout(kStep), key.sandbox, key.id,
                                                 std::chrono::seconds(0));
    if (!stopped.ok()) return Retry(key, "StopContainer", stopped);
    return DriveAfter(key.Sandbox(), kAskAgain);
  }
  FinishContainer(key, [&](ContainerRecord& record) {
    if (record.seen() != interlink::v1::SEEN_CREATED) return;  // it ran: its exit is a fact
    MarkFailed(status, Now(), record);
    record.clear_failure();  // it was created: this is a start error, told as an exit
  });
}

void LiveSite::DriveContainerEnd(const ContainerKey& key, sdk::Backend& backend, Wanted wanted) {
  Seen seen;
  bool may_exist = true;
  int64_t grace = 0;
  Duration early = Duration::zero();
  {
    MutexLock lock(mutex_);
    const Container* container = tables_.Find(key);
    if (container == nullptr) return;
    seen = container->record.seen();
    grace = std::max<int64_t>(0, container->grace_seconds);
    if (container->stop_asked_grace >= 0 && container->stop_asked_grace <= grace)
      early = container->stop_asked_at + AskAgain(grace) - ports_.clock.Steady();
    may_exist = seen != interlink::v1::SEEN_NOTHING || container->created_unknown ||
                container->record.imported();
  }
  const Call call = Call::WithTimeout(kStep);
  if (wanted == interlink::v1::WANTED_REMOVE) {
    if (seen == interlink::v1::SEEN_GONE) return;
    if (const Status status = backend.RemoveContainer(call, key.sandbox, key.id); !status.ok()) {
      return Retry(key, "RemoveContainer", status);
    }
    ports_.images.Release(key.id);
    return FinishContainer(
        key, [](ContainerRecord& record) { record.set_seen(interlink::v1::SEEN_GONE); });
  }
  if (seen >= interlink::v1::SEEN_DOWN) return;
  // Asked for: the Drive that is to ask again may have been left out for this earlier one.
  if (early > Duration::zero()) return DriveAfter(key.Sandbox(), early);
  if (seen == interlink::v1::SEEN_NOTHING) {
    if (may_exist) {
      // A creation whose answer was lost: what it may have left goes, and nothing can start any
      // more.
      if (const Status status = backend.RemoveContainer(call, key.sandbox, key.id); !status.ok()) {
        return Retry(key, "RemoveContainer", status);
      }
    }
    return FinishContainer(key, [this](ContainerRecord& record) {
      MarkFailed(FailedPrecondition("stopped before it was created"), Now(), record);
    });
  }
  if (const Status status =
          backend.StopContainer(call, key.sandbox, key.id, std::chrono::seconds(grace));
      !status.ok()) {
    return Retry(key, "StopContainer", status);
  }
  {
    MutexLock lock(mutex_);
    if (Container* container = tables_.Find(key)) {
      container->stop_asked_grace = grace;
      container->stop_asked_at = ports_.clock.Steady();
      EndRetryLocked(*container);
    }
  }
  DriveAfter(key.Sandbox(), AskAgain(grace));
}

void LiveSite::FinishContainer(const ContainerKey& key,
                               const std::function<void(ContainerRecord&)>& change_record) {
  MutexLock lock(mutex_);
  Container* container = tables_.Find(key);
  if (container == nullptr) return;
  ContainerRecord changed = container->record;
  change_record(changed);
  if (changed.seen() <= container->record.seen()) return;  // an observation was faster
  container->record = std::move(changed);
  container->record.set_held(false);
  container->record.clear_retrying();
  container->attempts = 0;
  StampLocked(*container);
  CommitLocked({{StoreKey(key)}, {key.Sandbox()}}, false, {});
}

}  // namespace interlink::site
