// What time does on the node: undoes creations that nobody asks for any more, and keeps statistics
// fresh.
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "node/limits.h"
#include "node/live_node.h"

namespace interlink::node {
namespace {

constexpr auto kTick = std::chrono::milliseconds(500);
constexpr auto kListening =
    std::chrono::seconds(15);          // kubelet lists every second; crictl's lists count as well
constexpr double kUndoCancelled = 60;  // DESIGN 6.14
constexpr double kUndoOtherwise = 300;
constexpr double kUndoGone = 5;  // kubelet has no such pod any more
constexpr auto kStatsPeriod = std::chrono::seconds(10);

}  // namespace

void LiveNode::NoteListed() {
  MutexLock lock(mutex_);
  last_list_call_ = Steady();
}

void LiveNode::Tick() {
  bool poll = false;
  bool look = false;
  LookForGonePods();
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    const SteadyTime now = Steady();
    // Time counts only while somebody listens: a kubelet that is away must find its creations when
    // it is back.
    if (last_tick_ != SteadyTime{} && last_list_call_ != SteadyTime{} &&
        now - last_list_call_ < kListening) {
      Change change;
      const double seconds = std::chrono::duration<double>(now - last_tick_).count();
      UndoUnaskedLocked(seconds, change);
      ForgetUntoldLocked(seconds, change);
      if (!change.sandboxes.empty() || !change.containers.empty()) CommitLocked(change, false, {});
    }
    last_tick_ = now;
    look = IsLookDueLocked();
    const bool due = now < stats_wanted_until_ || now - stats_polled_at_ >= kStatsPeriod;
    poll = due && !stats_polling_ && link_ != 0 && unreachable_.ok() && !tables_.sandboxes.empty();
    if (poll) {
      stats_polling_ = true;
      stats_polled_at_ = now;
    }
  }
  if (poll && !steps_.Post("stats", [this] { PollStats(); }).ok()) {
    MutexLock lock(mutex_);
    stats_polling_ = false;
  }
  if (look && !steps_.Post("volumes", [this] { LookAtVolumes(); }).ok()) {
    MutexLock lock(mutex_);
    volumes_looking_ = false;
  }
  timer_.After(kTick, [this] { Tick(); });
}

std::set<std::string> LiveNode::WaitedLocked() const {
  std::set<std::string> waited;
  for (const Waiter& waiter : waiters_) waited.insert(waiter.key);
  return waited;
}

bool LiveNode::IsUnaskedLocked(const Sandbox& sandbox, const std::set<std::string>& waited) const {
  return sandbox.stored.wanted() == interlink::v1::WANTED_CREATE && !sandbox.shown &&
         !waited.contains(sandbox.stored.id());
}

// Kubelet does not cancel its call when the pod is deleted (docs/adr/0014): it waits for the
// answer, ends the pod, and takes its folder away.
void LiveNode::LookForGonePods() {
  std::map<SandboxId, std::string> uids;
  {
    MutexLock lock(mutex_);
    const std::set<std::string> waited = WaitedLocked();
    for (const auto& [id, sandbox] : tables_.sandboxes) {
      if (sandbox.of_kubelet && !sandbox.pod_gone && IsUnaskedLocked(sandbox, waited))
        uids[id] = sandbox.request->config().metadata().uid();
    }
  }
  for (const auto& [id, uid] : uids) {
    if (ports_.volumes.HasPod(uid).value_or(true)) continue;
    MutexLock lock(mutex_);
    if (Sandbox* sandbox = tables_.Find(id)) sandbox->pod_gone = true;
  }
}

// Why a creation failed is kept for whoever asks again, and no longer than a creation would be.
void LiveNode::ForgetUntoldLocked(double seconds, Change& change) {
  const auto is_over = [seconds](auto& record) {
    if (!record.stored.has_untold()) return false;
    record.unasked_seconds += seconds;
    if (record.unasked_seconds < kUndoOtherwise) return false;
    record.stored.clear_untold();
    return true;
  };
  for (auto& [id, sandbox] : tables_.sandboxes) {
    if (is_over(sandbox)) change.sandboxes.push_back(id);
  }
  for (auto& [id, container] : tables_.containers) {
    if (is_over(container)) change.containers.push_back(id);
  }
}

void LiveNode::UndoUnaskedLocked(double seconds, Change& change) {
  const std::set<std::string> waited = WaitedLocked();
  for (auto& [id, sandbox] : tables_.sandboxes) {
    if (!IsUnaskedLocked(sandbox, waited)) continue;
    sandbox.unasked_seconds += seconds;
    const double limit = sandbox.pod_gone    ? kUndoGone
                         : sandbox.cancelled ? kUndoCancelled
                                             : kUndoOtherwise;
    if (sandbox.unasked_seconds < limit) continue;
    ports_.log.Info("an unfinished sandbox is undone: nobody asks for it any more",
                    {{"sandbox", id.str()}});
    sandbox.stored.set_abandoned(true);
    sandbox.stored.set_wanted(interlink::v1::WANTED_REMOVE);
    change.sandboxes.push_back(id);
    change.drive.push_back(id);
  }
  for (auto& [id, container] : tables_.containers) {
    if (container.stored.wanted() != interlink::v1::WANTED_CREATE || container.shown ||
        waited.contains(id.str()))
      continue;
    container.unasked_seconds += seconds;
    if (container.unasked_seconds < (container.cancelled ? kUndoCancelled : kUndoOtherwise))
      continue;
    container.stored.set_abandoned(true);
    container.stored.set_wanted(interlink::v1::WANTED_REMOVE);
    change.containers.push_back(id);
    change.drive.push_back(container.sandbox());
  }
}

void LiveNode::PollStats() {
  auto answer = ports_.site.Stats(NewRequest().call);
  if (answer.ok()) {
    for (auto& stats : *answer->mutable_containers()) {
      // Kubelet looks the file system up on this node: only a path that is here is named.
      if (stats.has_writable_layer() &&
          access(stats.writable_layer().fs_id().mountpoint().c_str(), F_OK) != 0)
        stats.mutable_writable_layer()->clear_fs_id();
    }
  }
  MutexLock lock(mutex_);
  stats_polling_ = false;
  if (!answer.ok()) return;  // the last known numbers stay
  const auto containers = std::exchange(container_stats_, {});
  const auto sandboxes = std::exchange(sandbox_stats_, {});
  for (const auto& stats : answer->containers()) container_stats_[stats.attributes().id()] = stats;
  for (const auto& stats : answer->sandboxes()) sandbox_stats_[stats.attributes().id()] = stats;
  // What runs and could not be measured this time keeps its last numbers: counters never fall.
  for (const auto& [id, stats] : containers) {
    const Container* container = tables_.Find(ContainerId(id));
    if (container != nullptr && container->shown == runtime::v1::CONTAINER_RUNNING)
      container_stats_.try_emplace(id, stats);
  }
  for (const auto& [id, stats] : sandboxes) {
    const Sandbox* sandbox = tables_.Find(SandboxId(id));
    if (sandbox != nullptr && sandbox->shown == runtime::v1::SANDBOX_READY)
      sandbox_stats_.try_emplace(id, stats);
  }
}

int64_t LiveNode::MintCreatedLocked() {
  const int64_t created = std::max(Now(), meta_.last_created_ns() + 1);
  meta_.set_last_created_ns(created);
  return created;
}

Result<std::string> LiveNode::HandlerLocked(const std::string& asked) const {
  std::string wanted = asked;
  if (asked.empty() || asked == options_.runtime_handler) {
    wanted = options_.default_handler.empty() ? meta_.info().default_handler()
                                              : options_.default_handler;
    if (wanted == "none")
      return InvalidArgument(
          "pods without a RuntimeClass are not taken here (CRI.DefaultHandler: none)");
  }
  std::string known;
  for (const auto& handler : meta_.info().handlers()) {
    if (handler.name() == wanted) return wanted;
    known += (known.empty() ? "\"" : ", \"") + handler.name() + "\"";
  }
  if (meta_.info().handlers().empty()) {
    return Unavailable("site " + options_.site_name +
                       " has never been seen, so its handlers are not known" +
                       (unreachable_.ok() ? "" : ": " + unreachable_.message()));
  }
  return InvalidArgument("unknown runtime handler \"" + asked.substr(0, 100) +
                         "\": this node has " + known);
}

bool LiveNode::KubeletHostLocked(const std::string& name) const {
  for (const auto& handler : meta_.info().handlers()) {
    if (handler.name() == name) return handler.kubelet_host();
  }
  return false;
}

bool LiveNode::TakesContentsLocked(const std::string& name) const {
  for (const auto& handler : meta_.info().handlers()) {
    if (handler.name() == name) return handler.takes_contents();
  }
  return false;
}

Status LiveNode::ListsReadyLocked() const {
  if (lists_ready_) return {};
  if (!link_refused_.ok())
    return Unavailable("not linked with site " + options_.site_name + ": " +
                       link_refused_.message());
  return Unavailable("site " + options_.site_name + " has not told yet what it has" +
                     (unreachable_.ok() ? "" : ": " + unreachable_.message()));
}

}  // namespace interlink::node
