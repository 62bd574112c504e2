// Creation, start and stop of the site's domain.
#include <algorithm>

#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr uint32_t kVersion = 1;
constexpr auto kDrain = std::chrono::seconds(5);
constexpr auto kStoreLimit = std::chrono::seconds(30);
constexpr size_t kMaxPulls = 256;
constexpr int kPrepareThreads = 4;

template <typename Stored>
Status Parse(const StoredRecord& record, Stored& stored) {
  if (!stored.ParseFromString(record.bytes)) {
    return DataLoss("the record of \"" + record.key.key +
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

Result<std::unique_ptr<Site>> Site::Create(const Options& options, const Ports& ports) {
  auto site = std::make_unique<LiveSite>(options, ports);
  RETURN_IF_ERROR(site->Load());
  return std::unique_ptr<Site>(std::move(site));
}

LiveSite::LiveSite(const Options& options, const Ports& ports)
    : options_(options),
      ports_(ports),
      pull_pool_("pulls", options.pull_threads, kMaxPulls),
      prepare_pool_("prepares", kPrepareThreads, kMaxPulls),
      steps_("steps", options.step_threads, static_cast<size_t>(options.step_queue)) {}

LiveSite::~LiveSite() {
  Stop();
  // First of all members: a backend with living containers reports to its host until it is gone.
  std::vector<std::unique_ptr<Plugin>> plugins;
  {
    MutexLock lock(mutex_);
    plugins.swap(plugins_);
  }
  plugins.clear();
}

Status LiveSite::Load() {
  ASSIGN_OR_RETURN(const std::vector<StoredRecord> records, ports_.store.Load());
  interlink::v1::StoredSite site;
  site.set_version(kVersion);
  {
    MutexLock lock(mutex_);
    // Sandboxes first: containers are put into them.
    for (const RecordKind kind :
         {RecordKind::kMeta, RecordKind::kNode, RecordKind::kSandbox, RecordKind::kContainer}) {
      for (const StoredRecord& record : records) {
        if (record.key.kind == kind) RETURN_IF_ERROR(LoadRecordLocked(record, site));
      }
    }
    // Also above every epoch that a lost store, or a younger one than this backup, has given out.
    constexpr int64_t kMillisecond = 1'000'000;
    const auto by_time = static_cast<uint64_t>(std::max<int64_t>(0, Now() / kMillisecond));
    epoch_ = std::max(site.epoch(), by_time) + 1;
  }
  site.set_epoch(epoch_);
  Batch batch;
  batch.puts.push_back({{RecordKind::kMeta, NodeId(), "site"}, site.SerializeAsString()});
  return ports_.store.CommitAndWait(Call::WithTimeout(std::chrono::seconds(30)), std::move(batch))
      .WithContext("store the site's epoch");
}

Status LiveSite::LoadRecordLocked(const StoredRecord& record, interlink::v1::StoredSite& site) {
  switch (record.key.kind) {
    case RecordKind::kMeta:
      return record.key.key == "site" ? Parse(record, site) : Status::Ok();
    case RecordKind::kNode: {
      Node& node = NodeLocked(record.key.node);
      return Parse(record, node.stored);
    }
    case RecordKind::kSandbox: {
      interlink::v1::StoredSandbox stored;
      RETURN_IF_ERROR(Parse(record, stored));
      NodeLocked(record.key.node);
      Sandbox sandbox;
      sandbox.key = {record.key.node, SandboxId(record.key.key)};
      sandbox.record = stored.record();
      sandbox.body = stored.body();
      sandbox.tenant = stored.tenant();
      sandbox.user = stored.user();
      sandbox.gone_since = ports_.clock.Steady();
      tables_.Add(std::move(sandbox));
      return {};
    }
    case RecordKind::kContainer: {
      interlink::v1::StoredContainer stored;
      RETURN_IF_ERROR(Parse(record, stored));
      NodeLocked(record.key.node);
      Container container;
      container.key = {record.key.node, SandboxId(stored.record().sandbox_id()),
                       ContainerId(record.key.key)};
      container.record = stored.record();
      container.body = stored.body();
      container.grace_seconds = stored.grace_seconds();
      container.volumes = {stored.volumes().begin(), stored.volumes().end()};
      container.volumes_due = {stored.volumes_due().begin(), stored.volumes_due().end()};
      container.created_unknown = true;
      container.gone_since = ports_.clock.Steady();
      tables_.Add(std::move(container));
      return {};
    }
    case RecordKind::kImage:
      return {};
  }
  return {};
}

void LiveSite::Start() {
  std::vector<std::string> names;
  {
    MutexLock lock(mutex_);
    // Records of this process's start are new facts to every reader.
    for (auto& [key, sandbox] : tables_.sandboxes) {
      sandbox.number = NodeLocked(key.node).next_number++;
      NodeLocked(key.node).changed.emplace(sandbox.number, StoreKey(key));
    }
    for (auto& [key, container] : tables_.containers) {
      container.number = NodeLocked(key.node).next_number++;
      NodeLocked(key.node).changed.emplace(container.number, StoreKey(key));
    }
    for (const auto& plugin : plugins_) {
      if (plugin->backend != nullptr) names.push_back(plugin->name);
    }
  }
  for (const std::string& name : names) {
    if (!steps_.PostAlways("recover/" + name, [this, name] { Recover(name); }).ok())
      return;  // stopped already
  }
  ScheduleSweep();
}

void LiveSite::Stop() {
  std::vector<std::function<void()>> fires;
  std::vector<std::function<void()>> wakes;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    // Each waiter answers with the record as it is: not settled, the caller asks again later.
    for (auto& [key, waiter] : waiters_) fires.push_back(waiter.take());
    waiters_.clear();
    for (auto& [id, node] : tables_.nodes) WakeReaderLocked(id, wakes);
    for (auto& [id, pull] : pulls_) pull->call.Cancel();
  }
  for (auto& fire : fires) fire();
  for (auto& wake : wakes) wake();
  FailPodMetrics(Unavailable("interlink-api is shutting down"));
  timer_.Stop();
  steps_.Stop(kDrain);
  pull_pool_.Stop(kDrain);
  prepare_pool_.Stop(kDrain);
  // The store's answers still come here.
  MutexLock lock(commits_->mutex);
  const bool answered = commits_->none.WaitFor(
      commits_->mutex, kStoreLimit, [this]() NO_LOCK_ANALYSIS { return commits_->count == 0; });
  if (!answered) ports_.log.Error("the store does not answer any more", {});
}

}  // namespace interlink::site
