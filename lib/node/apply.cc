// Facts: answers and events carry the same records and pass through here, in whatever order and
// however often.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/unique_fd.h"
#include "node/limits.h"
#include "node/live_node.h"
#include "node/state.h"
#include "node/views.h"

namespace interlink::node {
namespace {

using interlink::v1::ContainerRecord;
using interlink::v1::SandboxRecord;

// Of work that this store does not know. What has ended counts where the site has just found it: of
// the rest an end may be told late, of what was removed long since.
bool CameToBe(const SandboxRecord& record) {
  if (record.held()) return false;
  return record.seen() == interlink::v1::SEEN_UP ||
         (record.imported() && record.seen() == interlink::v1::SEEN_DOWN);
}
bool CameToBe(const ContainerRecord& record) {
  if (record.held() || record.has_failure()) return false;
  return record.seen() == interlink::v1::SEEN_UP ||
         (record.imported() && (record.seen() == interlink::v1::SEEN_CREATED ||
                                record.seen() == interlink::v1::SEEN_DOWN));
}

}  // namespace

void LiveNode::Apply(const SandboxRecord& record) {
  MutexLock lock(mutex_);
  Change change;
  if (ApplyLocked(record, change)) CommitLocked(change, false, {});
}

void LiveNode::Apply(const ContainerRecord& record) {
  MutexLock lock(mutex_);
  Change change;
  if (ApplyLocked(record, change)) CommitLocked(change, false, {});
}

bool LiveNode::ApplyLocked(const SandboxRecord& record, Change& change) {
  const SandboxId id(record.id());
  Sandbox* sandbox = tables_.Find(id);
  if (sandbox == nullptr) {
    ImportLocked(record, change);
    return !change.sandboxes.empty();
  }
  sandbox->missing = false;
  if (record.held() && sandbox->stored.wanted() == interlink::v1::WANTED_CREATE) {
    // The site has lost the trace of an unfinished creation: it is still wanted, so it is repeated
    // in this link.
    sandbox->asked_link = 0;
    change.drive.push_back(id);
  }
  if (!IsNewer(record, sandbox->stored.fact())) return false;
  auto* fact = sandbox->stored.mutable_fact();
  const SandboxRecord before = std::exchange(*fact, record);
  fact->clear_request();
  if (fact->up_ns() == 0) fact->set_up_ns(before.up_ns());
  const auto wanted_before = sandbox->stored.wanted();
  // A restored store may have forgotten what it asked for.
  sandbox->stored.set_wanted(std::max(wanted_before, record.wanted()));
  change.sandboxes.push_back(id);
  change.drive.push_back(id);
  if (record.seen() >= interlink::v1::SEEN_DOWN) DriveOtherTriesLocked(*sandbox, change);
  if (record.seen() != interlink::v1::SEEN_DOWN) return true;
  if (before.seen() == interlink::v1::SEEN_UP && record.up_ns() == 0) {
    // The site ended an id that it did not know: what was up is lost.
    fact->clear_failure();
    fact->set_message("lost: the site has nothing of it");
  } else if (record.has_failure() && before.seen() < interlink::v1::SEEN_UP &&
             !sandbox->stored.abandoned() && wanted_before <= interlink::v1::WANTED_STOP) {
    // It never was: no list will show it, and nobody but us can remove it.
    sandbox->stored.set_abandoned(true);
    sandbox->stored.set_wanted(interlink::v1::WANTED_REMOVE);
    if (wanted_before < interlink::v1::WANTED_STOP)
      *sandbox->stored.mutable_untold() = record.failure();
    const Status why = FailureOf(record.failure());
    timer_.After(Duration::zero(), [this, id, why] { GiveUpSandbox(id, why); });
  }
  EndContainersLater(id, kLastFacts);
  return true;
}

// The site lets one sandbox of a pod live at a time: another try that was put off need not wait for
// its back-off.
void LiveNode::DriveOtherTriesLocked(const Sandbox& ended, Change& change) {
  const auto& metadata = ended.request->config().metadata();
  const PodName first{metadata.namespace_(), metadata.name(), metadata.uid(), 0};
  for (auto it = tables_.pod_names.lower_bound(first);
       it != tables_.pod_names.end() && std::get<0>(it->first) == std::get<0>(first) &&
       std::get<1>(it->first) == std::get<1>(first) && std::get<2>(it->first) == std::get<2>(first);
       ++it) {
    Sandbox* other = tables_.Find(it->second);
    if (other == nullptr || other->stored.fact().seen() >= interlink::v1::SEEN_UP) continue;
    other->attempts = 0;
    change.drive.push_back(it->second);
  }
}

void LiveNode::EndContainersLater(const SandboxId& id, Duration delay) {
  timer_.After(delay, [this, id] {
    MutexLock lock(mutex_);
    const Sandbox* ended = tables_.Find(id);
    if (ended == nullptr || stopping_) return;
    // While the site is away, or has not found its work again, it cannot tell how they ended.
    const bool told = link_ != 0 && unreachable_.ok() && !listing_ && listed_at_ != SteadyTime{} &&
                      recovered_.contains(ended->stored.handler());
    const Duration since = std::chrono::steady_clock::now() - listed_at_;
    if (!told) return EndContainersLater(id, kLastFacts);
    if (since < kLastFacts) return EndContainersLater(id, kLastFacts - since);
    EndContainersLocked(id);
  });
}

// An ended allocation ends its containers; the site tells each of them. What is not told in time is
// lost.
void LiveNode::EndContainersLocked(const SandboxId& id) {
  const Sandbox* ended = tables_.Find(id);
  if (ended == nullptr || ended->stored.fact().seen() != interlink::v1::SEEN_DOWN) return;
  Change late;
  for (const ContainerId& part : ended->containers) {
    Container* container = tables_.Find(part);
    if (container == nullptr || container->stored.fact().seen() >= interlink::v1::SEEN_DOWN)
      continue;
    if (container->stored.fact().seen() < interlink::v1::SEEN_CREATED) {
      timer_.After(Duration::zero(), [this, part] {
        GiveUpContainer(part, FailedPrecondition("the sandbox has ended"));
      });
      continue;
    }
    MarkLost("its sandbox has ended", Now(), *container->stored.mutable_fact());
    container->stored.set_exit_shown(true);
    late.containers.push_back(part);
  }
  if (!late.containers.empty()) CommitLocked(late, false, {});
}

bool LiveNode::ApplyLocked(const ContainerRecord& record, Change& change) {
  const ContainerId id(record.id());
  Container* container = tables_.Find(id);
  if (container == nullptr) {
    ImportLocked(record, change);
    return !change.containers.empty();
  }
  container->missing = false;
  if (record.held() && container->stored.wanted() <= interlink::v1::WANTED_START) {
    container->asked_link = 0;
    change.drive.push_back(container->sandbox());
  }
  auto* fact = container->stored.mutable_fact();
  if (!IsNewer(record, *fact)) return false;
  // What was told of an end stays: EXITED never changes.
  if (container->stored.exit_shown() && record.seen() == interlink::v1::SEEN_DOWN) {
    fact->set_epoch(record.epoch());
    fact->set_revision(record.revision());
    fact->set_retrying(record.retrying());
    return false;
  }
  const ContainerRecord before = std::exchange(*fact, record);
  fact->clear_request();
  if (record.seen() >= interlink::v1::SEEN_CREATED) container->stored.clear_snapshots();
  if (fact->started_ns() == 0) fact->set_started_ns(before.started_ns());
  TakeTimes(Now(), *fact);
  if (WasStarted(record)) container->stored.set_started(true);
  const auto wanted_before = container->stored.wanted();
  // A restored store may have forgotten what it asked for. Only the site knows the grace then.
  container->stored.set_wanted(std::max(wanted_before, record.wanted()));
  if (wanted_before < interlink::v1::WANTED_STOP && record.wanted() >= interlink::v1::WANTED_STOP)
    container->stored.set_grace_seconds(-1);
  change.containers.push_back(id);
  change.drive.push_back(container->sandbox());
  const bool was_created = before.seen() >= interlink::v1::SEEN_CREATED;
  // The site ended an id that it did not know: what we saw is lost.
  if (record.has_failure() && was_created && record.seen() == interlink::v1::SEEN_DOWN)
    MarkLost("the site has nothing of it", Now(), *fact);
  if (record.seen() == interlink::v1::SEEN_GONE) return true;
  // It never was: no list will show it, and nobody but us can remove it.
  if (fact->has_failure() && wanted_before <= interlink::v1::WANTED_STOP) {
    container->stored.set_abandoned(true);
    container->stored.set_wanted(interlink::v1::WANTED_REMOVE);
    if (wanted_before < interlink::v1::WANTED_STOP)
      *container->stored.mutable_untold() = record.failure();
    const Status why = FailureOf(record.failure());
    timer_.After(Duration::zero(), [this, id, why] { GiveUpContainer(id, why); });
    return true;
  }
  if (before.seen() < interlink::v1::SEEN_UP && record.seen() >= interlink::v1::SEEN_UP)
    timer_.After(Duration::zero(), [this, id] { ReadLog(id); });
  if (record.seen() == interlink::v1::SEEN_DOWN && before.seen() < interlink::v1::SEEN_DOWN) {
    container->exit_seen_at = Steady();
    container->log_progress_at = container->exit_seen_at;
    ShowExitLocked(id);
  }
  return true;
}

// Work that is ours and that this store does not know: the store is older than the work, or was
// lost. It is shown, and kubelet or a person removes what is not wanted. Only a creation that never
// came to be is denied.
void LiveNode::ImportLocked(const SandboxRecord& record, Change& change) {
  if (record.seen() == interlink::v1::SEEN_GONE || !IsFullId(record.id())) return;
  const SandboxId id(record.id());
  interlink::v1::StoredNodeSandbox stored;
  stored.set_version(1);
  stored.set_id(record.id());
  stored.set_handler(record.handler());
  *stored.mutable_fact() = record;
  stored.mutable_fact()->clear_request();
  stored.set_created_ns(record.created_ns() != 0 ? record.created_ns() : MintCreatedLocked());
  if (!record.has_request() && !listing_ && CameToBe(record)) {
    // Only a list carries the config.
    timer_.After(Duration::zero(), [this] { Relink(0); });
    return;
  }
  if (!record.has_request() && record.seen() == interlink::v1::SEEN_UP && !record.held()) {
    interlink::v1::RunSandboxRequest unknown;
    unknown.set_handler(record.handler());
    unknown.set_created_ns(stored.created_ns());
    auto* metadata = unknown.mutable_config()->mutable_metadata();
    metadata->set_name(record.id());
    metadata->set_uid(record.id());
    metadata->set_namespace_("unknown");
    stored.set_body(unknown.SerializeAsString());
  }
  if (record.has_request()) {
    stored.set_body(record.request().SerializeAsString());
    stored.set_runtime_handler(record.request().runtime_handler());
    *stored.mutable_labels() = record.request().config().labels();
    *stored.mutable_annotations() = record.request().config().annotations();
  }
  // What lives is never denied, even without a config that would name it.
  const bool deny =
      record.held() || record.seen() < interlink::v1::SEEN_UP || stored.body().empty();
  stored.set_abandoned(deny);
  stored.set_wanted(deny ? interlink::v1::WANTED_REMOVE : record.wanted());
  ports_.log.Warning(deny ? "an unknown sandbox is denied" : "an unknown sandbox is imported",
                     {{"sandbox", record.id()}});
  tables_.Add(std::move(stored));
  change.sandboxes.push_back(id);
  change.drive.push_back(id);
}

void LiveNode::ImportLocked(const ContainerRecord& record, Change& change) {
  if (record.seen() == interlink::v1::SEEN_GONE || !IsFullId(record.id())) return;
  const SandboxId sandbox(record.sandbox_id());
  if (tables_.Find(sandbox) == nullptr) return;  // it goes with its sandbox, which is gone
  interlink::v1::StoredNodeContainer stored;
  stored.set_version(1);
  stored.set_id(record.id());
  stored.set_sandbox_id(record.sandbox_id());
  *stored.mutable_fact() = record;
  stored.mutable_fact()->clear_request();
  TakeTimes(Now(), *stored.mutable_fact());
  stored.set_created_ns(record.created_ns() != 0 ? record.created_ns() : MintCreatedLocked());
  if (!record.has_request() && !listing_ && CameToBe(record)) {
    timer_.After(Duration::zero(), [this] { Relink(0); });
    return;
  }
  if (!record.has_request() && record.seen() == interlink::v1::SEEN_UP && !record.held()) {
    interlink::v1::CreateContainerRequest unknown;
    unknown.set_handler(record.handler());
    unknown.set_created_ns(stored.created_ns());
    unknown.mutable_config()->mutable_metadata()->set_name(record.id());
    stored.set_body(unknown.SerializeAsString());
  }
  if (record.has_request()) {
    stored.set_body(record.request().SerializeAsString());
    stored.set_image_ref(record.request().image_id());
  }
  const bool deny = record.held() || record.seen() == interlink::v1::SEEN_NOTHING ||
                    stored.body().empty() || record.has_failure();
  stored.set_abandoned(deny);
  stored.set_wanted(deny ? interlink::v1::WANTED_REMOVE : record.wanted());
  stored.set_exit_shown(!deny && record.seen() == interlink::v1::SEEN_DOWN);
  stored.set_started(WasStarted(record));
  ports_.log.Warning(deny ? "an unknown container is denied" : "an unknown container is imported",
                     {{"container", record.id()}});
  tables_.Add(std::move(stored));
  const ContainerId id(record.id());
  change.containers.push_back(id);
  change.drive.push_back(sandbox);
  if (!deny && record.seen() == interlink::v1::SEEN_UP)
    timer_.After(Duration::zero(), [this, id] { ReadLog(id); });
}

void LiveNode::ApplyImageLocked(const interlink::v1::ImageRecord& record, Change& change,
                                Fires& fires) {
  const std::string& id = record.image().id();
  if (id.empty()) return;
  const auto known = tables_.images.find(id);
  if (known != tables_.images.end() && known->second.epoch() == record.epoch() &&
      known->second.revision() > record.revision())
    return;
  // Images that are not on this host must not be collected by this host's disk pressure.
  tables_.PutImage(record, !meta_.info().images_on_this_host());
  change.images.push_back(id);
  for (auto it = pulls_.begin(); it != pulls_.end();) {
    const auto pull = it->second;
    if (!pull->ended || pull->ended->image_id() != id || record.gone()) {
      ++it;
      continue;
    }
    timer_.Cancel(pull->deadline);
    fires.emplace_back([pull] { pull->fire(*pull->ended); });
    it = pulls_.erase(it);
  }
}

void LiveNode::ApplyPullLocked(const interlink::v1::PullRecord& record, Fires& fires) {
  const auto it = pulls_.find(record.pull_id());
  if (it == pulls_.end()) return;
  if (record.bytes_done() != it->second->bytes_done) {
    it->second->bytes_done = record.bytes_done();
    it->second->progress_at = Steady();
  }
  if (!record.ended()) return;
  // Whoever hears of the end finds the image in the list, by the name that was pulled: an answer
  // may overtake the event with that name. The next event about it, or a later look, is behind it.
  if (!record.has_failure() && !(it->second->ended && tables_.images.contains(record.image_id()))) {
    it->second->ended = record;
    return;
  }
  timer_.Cancel(it->second->deadline);
  fires.emplace_back([pull = it->second, record] { pull->fire(record); });
  pulls_.erase(it);
}

void LiveNode::OnEvent(const interlink::v1::Event& event) {
  Fires fires;
  if (event.has_handler_recovered()) {
    // Its records are settled now: the list is asked for anew, so that what is missing shows.
    return Relink(0);
  }
  {
    MutexLock lock(mutex_);
    Change change;
    if (event.has_resync()) {
      listing_ = true;
      listed_.clear();
    } else if (event.has_end()) {
      EndOfListLocked(event.end(), change);
    } else if (event.has_record()) {
      const auto& record = event.record();
      if (record.has_sandbox()) {
        if (listing_) listed_.insert(record.sandbox().id());
        ApplyLocked(record.sandbox(), change);
      } else if (record.has_container()) {
        if (listing_) listed_.insert(record.container().id());
        ApplyLocked(record.container(), change);
      } else if (record.has_image()) {
        if (listing_) listed_.insert(record.image().image().id());
        ApplyImageLocked(record.image(), change, fires);
      } else if (record.has_pull()) {
        const auto pull = pulls_.find(record.pull().pull_id());
        // The event of its end comes behind the image's.
        if (pull != pulls_.end() && record.pull().ended()) pull->second->ended = record.pull();
        ApplyPullLocked(record.pull(), fires);
      }
    }
    // The position is stored with what it brought, in one transaction. Inside a list there is none.
    if (!listing_ && event.position().number() != 0) {
      *meta_.mutable_position() = event.position();
      change.meta = change.meta || !change.sandboxes.empty() || !change.containers.empty() ||
                    !change.images.empty() || event.has_end();
    }
    if (change.meta || !change.sandboxes.empty() || !change.containers.empty() ||
        !change.images.empty()) {
      CommitLocked(change, false, {});
    } else {
      for (const SandboxId& id : change.drive)
        timer_.After(Duration::zero(), [this, id] { PostDrive(id); });
    }
  }
  for (auto& fire : fires) fire();
}

// The list is complete. Absence deletes nothing and ends nothing: what is missing is settled by
// asking.
void LiveNode::EndOfListLocked(const interlink::v1::EndOfList& end, Change& change) {
  listing_ = false;
  const std::set<std::string> recovered(end.handlers_recovered().begin(),
                                        end.handlers_recovered().end());
  for (auto& [id, sandbox] : tables_.sandboxes) {
    if (!recovered.contains(sandbox.stored.handler())) continue;
    if (acknowledged_.contains(id.str()) && !listed_.contains(id.str()) &&
        sandbox.stored.fact().seen() < interlink::v1::SEEN_DOWN) {
      sandbox.missing = true;
    }
    change.drive.push_back(id);
  }
  for (auto& [id, container] : tables_.containers) {
    const Sandbox* owner = tables_.Find(container.sandbox());
    if (owner == nullptr || !recovered.contains(owner->stored.handler())) continue;
    if (acknowledged_.contains(id.str()) && !listed_.contains(id.str()) &&
        container.stored.fact().seen() < interlink::v1::SEEN_DOWN) {
      container.missing = true;
    }
  }
  for (auto it = tables_.images.begin(); it != tables_.images.end();) {
    const std::string id = it->first;
    ++it;
    if (listed_.contains(id)) continue;
    interlink::v1::ImageRecord gone;
    gone.mutable_image()->set_id(id);
    gone.set_gone(true);
    tables_.PutImage(gone, false);
    change.images.push_back(id);
  }
  listed_.clear();
  listed_at_ = std::chrono::steady_clock::now();
  recovered_ = recovered;
  lists_ready_ = true;
  if (meta_.unlisted()) change.meta = true;
  meta_.clear_unlisted();
  ports_.log.Info("the site's list is merged", {{"records", std::to_string(end.count())}});
}

// Kubelet reads the termination message from the host path of its mount. Where the container ran
// elsewhere, the message came inside the exit record.
void LiveNode::WriteTerminationMessage(const ContainerId& id) {
  std::string host_path;
  std::string message;
  {
    MutexLock lock(mutex_);
    const Container* container = tables_.Find(id);
    if (container == nullptr || container->stored.fact().termination_message().empty()) return;
    if (KubeletHostLocked(container->request->handler())) return;
    host_path = TerminationFile(container->request->config());
    message = container->stored.fact().termination_message();
  }
  if (host_path.empty()) return;
  // Kubelet made the file; a link or anything else there is not ours to write to.
  const UniqueFd file(
      open(host_path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file ||
      write(file.get(), message.data(), message.size()) != static_cast<ssize_t>(message.size())) {
    ports_.log.Warning("cannot write a termination message",
                       {{"container", id.str()}, {"path", host_path}});
  }
}

}  // namespace interlink::node
