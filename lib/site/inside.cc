// Inside a container: ExecSync, logs and statistics.
#include <algorithm>

#include "runtime/v1/api.pb.h"
#include "site/limits.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr size_t kMaxExecIds = 100'000;
constexpr auto kStatsAge = std::chrono::milliseconds(400);

}  // namespace

void LiveSite::ExecSync(const Call& call, const Caller& caller, const SandboxId& sandbox,
                        const ContainerId& id, const interlink::v1::ExecSyncRequest& request,
                        Reply<interlink::v1::ExecSyncResponse> reply) {
  const ContainerKey key{caller.node, sandbox, id};
  sdk::Backend* backend = nullptr;
  Status why;
  {
    MutexLock lock(mutex_);
    why = AdmitExecLocked(caller, key, request, backend);
  }
  if (!why.ok()) return reply(why);
  Reply<interlink::v1::ExecSyncResponse> counted =
      [this, node = caller.node,
       reply = std::move(reply)](Result<interlink::v1::ExecSyncResponse> response) {
        {
          MutexLock lock(mutex_);
          if (--execs_[node] == 0) execs_.erase(node);
        }
        reply(std::move(response));
      };
  PostOrFail<interlink::v1::ExecSyncResponse>(
      "exec/" + request.exec_id(), std::move(counted),
      [this, call, key, request, backend](Reply<interlink::v1::ExecSyncResponse> answer) {
        sdk::SessionSpec spec;
        spec.session = SessionId(request.exec_id());
        spec.sandbox = key.sandbox;
        spec.container = key.id;
        spec.argv.assign(request.cmd().begin(), request.cmd().end());
        spec.kill_on_close = true;
        auto session = backend->OpenSession(call.Capped(kStep), spec);
        if (!session.ok()) return answer(session.status());
        exec_sync_.Collect(call, *std::move(session),
                           std::chrono::milliseconds(request.timeout_ms()), std::move(answer));
      });
}

Status LiveSite::AdmitExecLocked(const Caller& caller, const ContainerKey& key,
                                 const interlink::v1::ExecSyncRequest& request,
                                 sdk::Backend*& backend) {
  RETURN_IF_ERROR(CheckLink(caller));
  const Container* container = tables_.Find(key);
  if (container == nullptr)
    return NotFound("no container \"" + key.id.str() + "\" in this sandbox");
  if (container->record.seen() != interlink::v1::SEEN_UP) {
    return FailedPrecondition("container \"" + key.id.str() + "\" is not running");
  }
  if (request.cmd().empty())
    return InvalidArgument("\"cmd\" is empty: which command is to be run?");
  if (request.timeout_ms() < 0) return InvalidArgument("\"timeout_ms\" is negative");
  RETURN_IF_ERROR(MayUseLocked(caller, Admission::Use::kExecSync, key.Sandbox()));
  ASSIGN_OR_RETURN(Plugin * plugin, PluginForChange(container->record.handler()));
  const auto running = execs_.find(caller.node);
  if (running != execs_.end() && running->second >= options_.max_exec_sync_per_node) {
    return ResourceExhausted("too many commands of this node run at once, try again later");
  }
  RETURN_IF_ERROR(RunOnceLocked(request.exec_id()));
  ++execs_[caller.node];
  backend = plugin->backend.get();
  return {};
}

Status LiveSite::RunOnceLocked(const std::string& id) {
  if (!IsFullId(id)) return InvalidArgument("the id of an exec or session must be 64 hex digits");
  if (!exec_ids_.insert(id).second)
    return AlreadyExists("session \"" + id + "\" was run already: nothing is run twice");
  exec_order_.push_back(id);
  if (exec_order_.size() > kMaxExecIds) {
    exec_ids_.erase(exec_order_.front());
    exec_order_.pop_front();
  }
  return {};
}

Result<sdk::Backend*> LiveSite::LogSourceLocked(const ContainerKey& key) const {
  const Container* container = tables_.Find(key);
  if (container != nullptr && container->record.seen() == interlink::v1::SEEN_GONE)
    return NotFound("no log of container \"" + key.id.str() + "\"");
  if (container == nullptr) {
    // NotFound ends the reader's log for good: not before every inventory that could import it.
    const bool all = std::all_of(plugins_.begin(), plugins_.end(),
                                 [](const auto& item) { return item->recovered; });
    if (!all) return Unavailable("the site does not know all of its containers yet");
    return NotFound("no log of container \"" + key.id.str() + "\"");
  }
  const Plugin* plugin = FindPlugin(container->record.handler());
  if (plugin == nullptr || plugin->backend == nullptr)
    return Unavailable("the plugin of this container is not loaded");
  if (!plugin->recovered)
    return Unavailable("the containers of handler \"" + container->record.handler() +
                       "\" are being inventoried after the site's start");
  return plugin->backend.get();
}

void LiveSite::ReadLog(const Call& call, const NodeId& node, const SandboxId& sandbox,
                       const ContainerId& id, uint64_t offset, size_t max,
                       Reply<sdk::LogChunk> reply) {
  const ContainerKey key{node, sandbox, id};
  Result<sdk::Backend*> found = InternalError("not looked up");
  {
    MutexLock lock(mutex_);
    found = LogSourceLocked(key);
  }
  if (!found.ok()) return reply(found.status());
  sdk::Backend* const backend = *found;
  PostOrFail<sdk::LogChunk>("log/" + id.str(), std::move(reply),
                            [call, key, offset, max, backend](Reply<sdk::LogChunk> answer) {
                              answer(backend->ReadLog(call, key.sandbox, key.id, offset, max));
                            });
}

class LiveSite::LogWatch final : public Watch {
 public:
  using Wake = std::shared_ptr<std::function<void(const ContainerId&)>>;
  LogWatch(LiveSite& site, NodeId node, Wake wake)
      : site_(site), node_(std::move(node)), wake_(std::move(wake)) {}
  ~LogWatch() override {
    MutexLock lock(site_.mutex_);
    const auto it = site_.log_watches_.find(node_);
    if (it != site_.log_watches_.end() && it->second == wake_) site_.log_watches_.erase(it);
  }

 private:
  LiveSite& site_;
  const NodeId node_;
  const Wake wake_;
};

std::unique_ptr<Watch> LiveSite::WatchLogs(const NodeId& node,
                                           std::function<void(const ContainerId&)> wake) {
  // Owners: the table and every LogGrew that is under way.
  auto shared = std::make_shared<std::function<void(const ContainerId&)>>(std::move(wake));
  {
    MutexLock lock(mutex_);
    log_watches_[node] = shared;
  }
  return std::make_unique<LogWatch>(*this, node, shared);
}

void LiveSite::LogGrew(const ContainerId& id) {
  std::shared_ptr<std::function<void(const ContainerId&)>> wake;
  {
    MutexLock lock(mutex_);
    const auto node = tables_.node_of.find(id);
    if (node == tables_.node_of.end()) return;
    const auto watch = log_watches_.find(node->second);
    if (watch == log_watches_.end()) return;
    wake = watch->second;
  }
  (*wake)(id);
}

void LiveSite::Stats(const Call& call, const NodeId& node,
                     Reply<interlink::v1::StatsResponse> reply) {
  // One lane: callers that come together share one measurement.
  PostOrFail<interlink::v1::StatsResponse>(
      "stats", std::move(reply), [this, call, node](Reply<interlink::v1::StatsResponse> answer) {
        MeasureStats(call);
        answer(StatsOf(node));
      });
}

void LiveSite::MeasureStats(const Call& call) {
  std::map<std::string, sdk::Backend*> backends;
  {
    MutexLock lock(mutex_);
    if (ports_.clock.Steady() - measured_at_ < kStatsAge && measured_at_ != SteadyTime{}) return;
    for (const auto& plugin : plugins_) {
      if (plugin->backend != nullptr && plugin->recovered)
        backends[plugin->name] = plugin->backend.get();
    }
  }
  std::map<std::string, Numbers> measured;
  for (const auto& [name, backend] : backends) {
    Result<sdk::Usage> usage = backend->Stats(call);
    if (!usage.ok()) {
      // Its last numbers stay; the others' are not withheld.
      ports_.log.Warning("a plugin cannot measure what runs",
                         {{"plugin", name}, {"error", usage.status().ToString()}});
      continue;
    }
    Numbers& numbers = measured[name];
    for (auto& stats : usage->containers)
      numbers.containers[stats.attributes().id()] = std::move(stats);
    for (auto& stats : usage->sandboxes)
      numbers.sandboxes[stats.attributes().id()] = std::move(stats);
  }
  MutexLock lock(mutex_);
  for (auto& [name, numbers] : measured) numbers_[name] = std::move(numbers);
  measured_at_ = ports_.clock.Steady();
}

interlink::v1::StatsResponse LiveSite::StatsOf(const NodeId& node) const {
  interlink::v1::StatsResponse response;
  MutexLock lock(mutex_);
  const auto numbers_of = [this](const std::string& handler) NO_LOCK_ANALYSIS -> const Numbers* {
    const Plugin* plugin = FindPlugin(handler);
    const auto it = plugin == nullptr ? numbers_.end() : numbers_.find(plugin->name);
    return it == numbers_.end() ? nullptr : &it->second;
  };
  for (const auto& [key, container] : tables_.containers) {
    if (key.node != node || container.record.seen() != interlink::v1::SEEN_UP) continue;
    const Numbers* numbers = numbers_of(container.record.handler());
    if (numbers == nullptr) continue;
    const auto stats = numbers->containers.find(key.id.str());
    if (stats != numbers->containers.end()) *response.add_containers() = stats->second;
  }
  for (const auto& [key, sandbox] : tables_.sandboxes) {
    if (key.node != node || sandbox.record.seen() != interlink::v1::SEEN_UP) continue;
    const Numbers* numbers = numbers_of(sandbox.record.handler());
    if (numbers == nullptr) continue;
    const auto stats = numbers->sandboxes.find(key.id.str());
    if (stats != numbers->sandboxes.end()) *response.add_sandboxes() = stats->second;
  }
  return response;
}

}  // namespace interlink::site
