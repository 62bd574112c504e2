// The relation with the site: link, list, events, and the judgement whether it can be reached.
#include <algorithm>
#include <future>
#include <random>

#include "base/metric_names.h"
#include "node/limits.h"
#include "node/live_node.h"

namespace interlink::node {
namespace {

constexpr auto kLinkTimeout = std::chrono::seconds(5);
constexpr auto kStreamLimit = std::chrono::hours(24 * 365);
constexpr auto kMinBackoff = std::chrono::milliseconds(200);
constexpr auto kMaxBackoff = std::chrono::seconds(5);

}  // namespace

Status LiveNode::ReachableLocked() const { return unreachable_; }

void LiveNode::SetReachable(const Status& why_not) {
  uint64_t loss = 0;
  {
    MutexLock lock(mutex_);
    if (unreachable_.ok() && !why_not.ok()) ++losses_;
    loss = losses_;
    unreachable_ = why_not;
    if (!why_not.ok()) link_ = 0;
  }
  ports_.site.SetReachable(why_not);
  // From then on calls that need the site fail within 5 s (DESIGN 5), those that wait already too.
  if (!why_not.ok()) timer_.After(kAwayLimit, [this, loss] { AnswerForUnreachable(loss); });
  ports_.metrics.Gauge(kMetricSiteReachable, {}, why_not.ok() ? 1 : 0);
}

void LiveNode::Relink(LinkNumber stale) {
  std::shared_ptr<const Call> stream;
  {
    MutexLock lock(mutex_);
    // Many steps may learn of one stale link: only the first ends it.
    if (stale != 0 && stale != link_) return;
    link_ = 0;
    stream = stream_call_;
  }
  if (stream != nullptr) stream->Cancel();
}

void LiveNode::DriveAll() {
  std::vector<SandboxId> ids;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, sandbox] : tables_.sandboxes) ids.push_back(id);
  }
  for (const SandboxId& id : ids) PostDrive(id);
}

Status LiveNode::LinkOnce(const Call& call) {
  interlink::v1::LinkRequest request;
  {
    MutexLock lock(mutex_);
    meta_.set_counter(meta_.counter() + 1);
    request.set_node_lineage(ports_.store.lineage().str());
    request.set_node_counter(meta_.counter());
    request.set_secret(meta_.secret());
    request.set_site_lineage(meta_.site_lineage());
    request.set_site_counter(meta_.site_counter());
    request.set_version(options_.version);
    // What the site has acknowledged before its list is asked for: only of that may absence mean
    // something.
    listed_at_ = {};
    acknowledged_.clear();
    for (const auto& [id, sandbox] : tables_.sandboxes) {
      if (sandbox.stored.fact().epoch() != 0) acknowledged_.insert(id.str());
    }
    for (const auto& [id, container] : tables_.containers) {
      if (container.stored.fact().epoch() != 0) acknowledged_.insert(id.str());
    }
  }
  Batch counter;
  {
    MutexLock lock(mutex_);
    counter = BatchOf({{}, {}, {}, true, {}});
  }
  RETURN_IF_ERROR(
      ports_.store.CommitAndWait(call, std::move(counter)).WithContext("store the link's counter"));
  ASSIGN_OR_RETURN(const interlink::v1::LinkResponse response, ports_.site.Link(call, request));
  RETURN_IF_ERROR(StoreLink(response));
  ASSIGN_OR_RETURN(const interlink::v1::InfoResponse info, ports_.site.Info(call));
  Batch batch;
  {
    MutexLock lock(mutex_);
    *meta_.mutable_info() = info;
    TellUntakenKeysLocked();
    batch = BatchOf({{}, {}, {}, true, {}});
  }
  return ports_.store.CommitAndWait(call, std::move(batch))
      .WithContext("store what the site says of itself");
}

Status LiveNode::StoreLink(const interlink::v1::LinkResponse& response) {
  if (response.node_lineage() != ports_.store.lineage().str()) {
    return InternalError(
        "site " + options_.site_name +
        " answers for another node's store: is there a proxy that mixes nodes up?");
  }
  if (response.link() == 0 || response.site_lineage().empty())
    return Unavailable("the site's link answer is incomplete");
  const auto stored = std::make_shared<std::promise<Status>>();  // owners: this and the commit
  std::string lineage_before;
  {
    MutexLock lock(mutex_);
    Change change;
    change.meta = true;
    lineage_before = meta_.site_lineage();
    ForgetAskedLocked();
    if (!lineage_before.empty() && lineage_before != response.site_lineage()) {
      ports_.log.Warning(
          "the site has another store than before: what it does not know is shown as it was", {});
      ForgetAcknowledgedLocked(change);
    }
    if (response.site_restored())
      ports_.log.Warning("the site's store is older than what it has told: it was restored", {});
    if (response.node_restored()) {
      ports_.log.Warning(
          "this store is older than what the site has seen: it was restored, lists wait for the "
          "site",
          {});
      lists_ready_ = false;
    }
    // Kept until the list is in this store: a crash in between must not make it one that knows.
    if (lineage_before.empty() || response.node_restored()) meta_.set_unlisted(true);
    meta_.set_secret(response.next_secret());
    meta_.set_site_lineage(response.site_lineage());
    meta_.set_site_counter(response.site_counter());
    meta_.set_link(response.link());
    meta_.clear_position();  // a new link begins with the list
    CommitLocked(change, false, [stored](const Status& status) { stored->set_value(status); });
  }
  auto answer = stored->get_future();
  Status status = answer.wait_for(kLinkTimeout) == std::future_status::ready
                      ? answer.get()
                      : Unavailable("the store has not answered in time");
  MutexLock lock(mutex_);
  if (!status.ok()) {
    // The next link finds the change of lineage again: it is not durable yet.
    meta_.set_site_lineage(lineage_before);
    return status.WithContext("store the link");
  }
  link_ = response.link();
  return {};
}

// A store that was lost or restored may give a link number once more.
void LiveNode::ForgetAskedLocked() {
  for (auto& [id, sandbox] : tables_.sandboxes) {
    sandbox.asked_link = 0;
    sandbox.end_asked_link = 0;
  }
  for (auto& [id, container] : tables_.containers) {
    container.asked_link = 0;
    container.started_link = 0;
    container.volumes.told_link = 0;
    container.end_asked_link = 0;
  }
}

// The site's store is another one: it has acknowledged nothing, so its list's silence means
// nothing, and its numbering begins anew. Known work stays as it was seen last until the site
// imports it or somebody ends it (DESIGN 6.6, 6.8).
void LiveNode::ForgetAcknowledgedLocked(Change& change) {
  acknowledged_.clear();
  const auto forget = [](auto& record) {
    record.missing = false;
    record.stored.mutable_fact()->clear_epoch();
    record.stored.mutable_fact()->clear_revision();
  };
  for (auto& [id, sandbox] : tables_.sandboxes) {
    // Never told by a site: there is nothing to forget, and its first commit may still fail.
    if (sandbox.stored.fact().seen() == interlink::v1::SEEN_NOTHING) continue;
    forget(sandbox);
    change.sandboxes.push_back(id);
  }
  for (auto& [id, container] : tables_.containers) {
    forget(container);
    if (container.stored.fact().seen() == interlink::v1::SEEN_NOTHING) continue;
    change.containers.push_back(id);
  }
}

void LiveNode::Reconcile() {
  std::mt19937 random(std::random_device{}());
  Duration backoff = kMinBackoff;
  bool need_link = true;
  while (true) {
    {
      MutexLock lock(mutex_);
      if (stopping_) return;
      if (link_ == 0) need_link = true;
    }
    Status status;
    if (need_link) {
      const Call call = Call::WithTimeout(kLinkTimeout);
      const auto stopped = stopped_.OnCancel([call] { call.Cancel(); });
      status = LinkOnce(call);
      if (status.ok()) {
        need_link = false;
        ports_.log.Info("linked with the site", {{"site", options_.site_name}});
        {
          MutexLock lock(mutex_);
          link_refused_ = {};
        }
        SetReachable({});
        {
          // SetReachable of an earlier failure may have cleared it.
          MutexLock lock(mutex_);
          link_ = meta_.link();
        }
        DriveAll();
        backoff = kMinBackoff;
      } else {
        MutexLock lock(mutex_);
        link_refused_ = status.code() == Code::kUnavailable ? Status::Ok() : status;
      }
    }
    if (status.ok()) {
      interlink::v1::Position position;
      LinkNumber link = 0;
      auto call = std::make_shared<const Call>(Call::WithTimeout(kStreamLimit));
      {
        MutexLock lock(mutex_);
        if (stopping_) return;
        stream_call_ = call;
        position = meta_.position();
        link = link_;
        listing_ = false;
      }
      const SteadyTime begun = std::chrono::steady_clock::now();
      status = ports_.site.ReadEvents(*call, link, position, *this);
      if (std::chrono::steady_clock::now() - begun > kMaxBackoff) backoff = kMinBackoff;
      {
        MutexLock lock(mutex_);
        stream_call_ = nullptr;
        if (stopping_) return;
      }
      // Cancelled by ourselves: a stale link, or a list that is wanted anew. Both begin with a
      // link.
      need_link = true;
      const bool ours = status.code() == Code::kCancelled || status.code() == Code::kAborted;
      if (ours && std::chrono::steady_clock::now() - begun > kMinBackoff) continue;
      if (ours) {
        // Again and again: something else uses this identity, or the site ends what it has begun.
        MutexLock lock(mutex_);
        wake_reconciler_.WaitFor(mutex_, kMinBackoff,
                                 [this]() NO_LOCK_ANALYSIS { return stopping_; });
        continue;
      }
    }
    const bool same = [&] {
      MutexLock lock(mutex_);
      return unreachable_.message() == status.message();
    }();
    if (!same)
      ports_.log.Warning("the site is out of reach",
                         {{"site", options_.site_name}, {"why", status.ToString()}});
    SetReachable(
        Unavailable("site " + options_.site_name + " is out of reach: " + status.message()));
    const auto jitter =
        std::chrono::milliseconds(std::uniform_int_distribution<int>(0, 100)(random));
    {
      MutexLock lock(mutex_);
      wake_reconciler_.WaitFor(mutex_, backoff + jitter,
                               [this]() NO_LOCK_ANALYSIS { return stopping_; });
    }
    backoff = std::min<Duration>(2 * backoff, kMaxBackoff);
  }
}

}  // namespace interlink::node
