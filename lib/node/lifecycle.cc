// Creation, start and stop of the node's domain.
#include "node/calls.h"
#include "node/limits.h"

namespace interlink::node {
namespace {

constexpr uint32_t kVersion = 1;
// Stop: steps have kDrain, then their requests are given up; all of it stays below 8 s.
constexpr auto kDrain = std::chrono::seconds(4);
constexpr auto kGivenUp = std::chrono::seconds(1);
constexpr auto kStoreLimit = std::chrono::seconds(2);

template <typename Stored>
Status Parse(const StoredRecord& record, Stored& stored) {
  if (!stored.ParseFromString(record.bytes)) {
    return DataLoss("the record of \"" + record.key +
                    "\" cannot be read: restore the store from a backup");
  }
  if (stored.version() != kVersion) {
    return FailedPrecondition("the store holds records of version " +
                              std::to_string(stored.version()) +
                              ", this build reads version 1: use the build that wrote it");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Node>> Node::Create(const Options& options, const Ports& ports) {
  auto node = std::make_unique<LiveNode>(options, ports);
  RETURN_IF_ERROR(node->Load());
  return std::unique_ptr<Node>(std::move(node));
}

LiveNode::LiveNode(const Options& options, const Ports& ports)
    : options_(options),
      ports_(ports),
      stopped_(Call::WithTimeout(kForEver)),
      drained_(Call::WithTimeout(kForEver)),
      site_away_(Call::WithTimeout(kForEver)),
      runtime_(std::make_unique<RuntimeCalls>(*this)),
      sandboxes_(std::make_unique<SandboxCalls>(*this)),
      containers_(std::make_unique<ContainerCalls>(*this)),
      images_(std::make_unique<ImageCalls>(*this)),
      stats_(std::make_unique<StatsCalls>(*this)),
      sessions_(std::make_unique<SessionCalls>(*this)),
      open_sessions_(std::make_shared<OpenSessions>(options.max_sessions)),
      events_(std::make_unique<EventCalls>(*this)),
      steps_("steps", options.step_threads, static_cast<size_t>(options.step_queue)) {}

LiveNode::~LiveNode() { Stop(); }

Status LiveNode::Load() {
  ASSIGN_OR_RETURN(const std::vector<StoredRecord> records, ports_.store.Load());
  MutexLock lock(mutex_);
  meta_.set_version(kVersion);
  // Sandboxes before containers, containers before their log positions.
  for (const RecordKind kind : {RecordKind::kMeta, RecordKind::kImage, RecordKind::kSandbox,
                                RecordKind::kContainer, RecordKind::kLogPosition}) {
    for (const StoredRecord& record : records) {
      if (record.kind != kind) continue;
      switch (kind) {
        case RecordKind::kMeta:
          if (record.key == "node") RETURN_IF_ERROR(Parse(record, meta_));
          break;
        case RecordKind::kImage: {
          interlink::v1::ImageRecord image;
          if (!image.ParseFromString(record.bytes))
            return DataLoss("the record of image \"" + record.key + "\" cannot be read");
          tables_.PutImage(image, image.image().pinned());
          break;
        }
        case RecordKind::kSandbox: {
          interlink::v1::StoredNodeSandbox stored;
          RETURN_IF_ERROR(Parse(record, stored));
          tables_.Add(std::move(stored));
          break;
        }
        case RecordKind::kContainer: {
          interlink::v1::StoredNodeContainer stored;
          RETURN_IF_ERROR(Parse(record, stored));
          tables_.Add(std::move(stored));
          break;
        }
        case RecordKind::kLogPosition: {
          interlink::v1::StoredNodeLog stored;
          RETURN_IF_ERROR(Parse(record, stored));
          if (Container* container = tables_.Find(ContainerId(record.key))) {
            container->log = {stored.site_offset(), stored.file_offset()};
          }
          break;
        }
      }
    }
  }
  // Nothing of this is news.
  for (auto& [id, sandbox] : tables_.sandboxes) {
    tables_.Refresh(sandbox);
    sandbox.told = sandbox.shown;
  }
  for (auto& [id, container] : tables_.containers) container.told = container.shown;
  // A store that was linked before knows what it has; a fresh one waits for the site's list.
  lists_ready_ = !meta_.site_lineage().empty() && !meta_.unlisted();
  unreachable_ = Unavailable("site " + options_.site_name + " has not been asked yet");
  return {};
}

void LiveNode::Start() {
  ports_.site.SetReachable(Unavailable("site " + options_.site_name + " has not been asked yet"));
  ports_.log_files.SetDurable(
      [this](const ContainerId& id, LogPosition position) { OnLogDurable(id, position); });
  std::vector<std::pair<ContainerId, bool>> with_logs;  // and whether its file was made
  {
    MutexLock lock(mutex_);
    for (auto& [id, container] : tables_.containers) {
      const auto seen = container.stored.fact().seen();
      const bool complete = seen == interlink::v1::SEEN_DOWN &&
                            container.log.site_offset >= container.stored.fact().log_end();
      if (container.stored.wanted() >= interlink::v1::WANTED_START &&
          !container.stored.abandoned() && !complete && seen >= interlink::v1::SEEN_CREATED &&
          seen != interlink::v1::SEEN_GONE) {
        with_logs.emplace_back(id, seen >= interlink::v1::SEEN_UP);
      }
    }
  }
  for (const auto& [id, resume] : with_logs) {
    if (const Status opened = OpenLog(id, resume); !opened.ok()) {
      ports_.log.Warning("cannot open a log file",
                         {{"container", id.str()}, {"error", opened.message()}});
    }
  }
  Resume();
  std::unique_ptr<Site::LogStream> logs = ports_.site.OpenLogs(*this);
  {
    MutexLock lock(mutex_);
    log_stream_ = std::move(logs);
  }
  OnLogStreamOpen();  // it may have opened before it was known here
  reconciler_ = std::jthread([this] { Reconcile(); });
  Tick();
}

// What a crash has cut between two commits goes on.
void LiveNode::Resume() {
  std::vector<SandboxId> ended;
  Change gone;
  {
    MutexLock lock(mutex_);
    for (auto& [id, sandbox] : tables_.sandboxes) {
      if (sandbox.stored.fact().seen() == interlink::v1::SEEN_DOWN) ended.push_back(id);
      if (sandbox.stored.fact().seen() == interlink::v1::SEEN_GONE) gone.sandboxes.push_back(id);
    }
    for (auto& [id, container] : tables_.containers) {
      if (container.stored.fact().seen() == interlink::v1::SEEN_GONE) gone.containers.push_back(id);
      if (container.stored.fact().seen() != interlink::v1::SEEN_DOWN ||
          container.stored.exit_shown() || container.stored.abandoned())
        continue;
      container.exit_seen_at = Steady();
      container.log_progress_at = container.exit_seen_at;
      ShowExitLocked(id);
    }
    // Proven gone, and not yet erased: publishing it once more erases it.
    if (!gone.sandboxes.empty() || !gone.containers.empty()) CommitLocked(gone, false, {});
  }
  for (const SandboxId& id : ended) EndContainersLater(id, kLastFacts);
}

void LiveNode::Stop() {
  std::list<Waiter> waiters;
  std::map<std::string, std::shared_ptr<PullWaiter>> pulls;
  std::vector<std::shared_ptr<EventFeed>> feeds;
  std::shared_ptr<const Call> stream;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    waiters.swap(waiters_);
    pulls.swap(pulls_);
    feeds.swap(feeds_);
    stream = stream_call_;
    wake_reconciler_.NotifyAll();
  }
  if (stream != nullptr) stream->Cancel();
  const Status why =
      Unavailable("interlink-cri is shutting down; what was asked for is kept and goes on");
  stopped_.Cancel();
  open_sessions_->Stop();
  for (Waiter& waiter : waiters) {
    timer_.Cancel(waiter.timer);
    waiter.fire(why);
  }
  for (auto& [id, pull] : pulls) pull->fire(why);
  for (const auto& feed : feeds) feed->End(ShuttingDown());
  AnswerMetrics(TakeMetricsWaiters(), ShuttingDown());
  timer_.After(kDrain, [this] { drained_.Cancel(); });
  if (reconciler_.joinable()) reconciler_.join();
  steps_.Stop(kDrain + kGivenUp);
  timer_.Stop();
  ports_.log_files.SetDurable({});
  {
    // The store's answers still come here.
    MutexLock lock(commits_->mutex);
    const bool answered = commits_->none.WaitFor(
        commits_->mutex, kStoreLimit, [this]() NO_LOCK_ANALYSIS { return commits_->count == 0; });
    if (!answered) {
      ports_.log.Error("the store does not answer any more", {});
      commits_->abandoned = true;
      commits_->none.WaitFor(commits_->mutex, kStoreLimit,
                             [this]() NO_LOCK_ANALYSIS { return commits_->running == 0; });
    }
  }
  std::unique_ptr<Site::LogStream> logs;
  {
    MutexLock lock(mutex_);
    logs.swap(log_stream_);
  }
}

LiveNode::Request LiveNode::NewRequest() const { return RequestOf(Call::WithTimeout(kStep)); }

NodeSummary LiveNode::Summary() const {
  NodeSummary summary;
  MutexLock lock(mutex_);
  summary.site_seen = meta_.info().handlers_size() > 0;
  summary.listed = ListsReadyLocked();
  summary.reachable = unreachable_;
  summary.site_name = options_.site_name;
  summary.site_lineage = meta_.site_lineage();
  summary.link = link_;
  summary.sandboxes = tables_.sandboxes.size();
  summary.containers = tables_.containers.size();
  summary.parked = waiters_.size();
  for (const auto& [id, sandbox] : tables_.sandboxes) {
    if (sandbox.stored.fact().seen() < interlink::v1::SEEN_DOWN) ++summary.live_sandboxes;
    std::string why = WaitTextLocked(sandbox);
    if (why.empty()) continue;
    if (++summary.waiting > kMostWaitingPods) continue;
    const auto& metadata = sandbox.request->config().metadata();
    summary.first_waiting.push_back(
        {metadata.namespace_() + "/" + metadata.name(), id.str(), std::move(why)});
  }
  return summary;
}

}  // namespace interlink::node
