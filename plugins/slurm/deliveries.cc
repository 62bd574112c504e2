#include "slurm/deliveries.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace interlink::slurm {
namespace {

constexpr Duration kLongestRest = std::chrono::seconds(1);
constexpr int kMostDoublings = 10;
// A job that is ending takes no step: one or two that fail are nobody's trouble.
constexpr int kFailuresToSay = 4;

SteadyTime TimeNow() { return std::chrono::steady_clock::now(); }

}  // namespace

Deliveries::Deliveries(Parts parts, DeliveriesOptions options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      quit_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (size_t i = 0; i < options_.at_once; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { Run(stop); });
  }
}

Deliveries::~Deliveries() {
  for (std::jthread& thread : threads_) thread.request_stop();
  const uint64_t one = 1;
  const ssize_t written = write(quit_.get(), &one, sizeof(one));
  static_cast<void>(written);
  {
    const MutexLock lock(mutex_);
    changed_.NotifyAll();
  }
  threads_.clear();
}

void Deliveries::Set(std::map<SandboxId, std::vector<DeliveryTarget>> wanted, bool reached) {
  const MutexLock lock(mutex_);
  reached_ = reached;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto found = wanted.find(it->first);
    it->second.wanted.clear();
    // One that runs is settled by its thread.
    const bool gone = found == wanted.end() && !it->second.busy;
    it = gone ? entries_.erase(it) : std::next(it);
  }
  for (auto& [id, targets] : wanted) entries_[id].wanted = std::move(targets);
  changed_.NotifyAll();
}

DeliveryView Deliveries::View(const SandboxId& id) const {
  const MutexLock lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end() || found->second.wanted.empty()) return {};
  const Entry& entry = found->second;
  if (entry.busy) return {"bringing", entry.trouble};
  return {NextOfLocked(entry) == nullptr ? "brought" : "waiting", entry.trouble};
}

const DeliveryTarget* Deliveries::NextOfLocked(const Entry& entry) const {
  for (const DeliveryTarget& target : entry.wanted) {
    if (std::find(entry.done.begin(), entry.done.end(), target) == entry.done.end()) return &target;
  }
  return nullptr;
}

std::optional<std::pair<SandboxId, DeliveryTarget>> Deliveries::TakeLocked() {
  if (!reached_) return {};
  // The one that has waited longest.
  std::pair<const SandboxId, Entry>* best = nullptr;
  const SteadyTime now = TimeNow();
  for (auto& one : entries_) {
    const Entry& entry = one.second;
    if (entry.busy || entry.due > now || NextOfLocked(entry) == nullptr) continue;
    if (best == nullptr || entry.due < best->second.due) best = &one;
  }
  if (best == nullptr) return {};
  best->second.busy = true;
  return std::make_pair(best->first, *NextOfLocked(best->second));
}

SteadyTime Deliveries::NextDueLocked() const {
  const SteadyTime now = TimeNow();
  SteadyTime next = now + kLongestRest;
  for (const auto& [id, entry] : entries_) {
    if (!entry.busy && entry.due > now) next = std::min(next, entry.due);
  }
  return next;
}

void Deliveries::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::optional<std::pair<SandboxId, DeliveryTarget>> taken;
    {
      const MutexLock lock(mutex_);
      taken = TakeLocked();
      if (!taken) {
        const auto woken = [&]() NO_LOCK_ANALYSIS {
          if (stop.stop_requested()) return true;
          taken = TakeLocked();
          return taken.has_value();
        };
        changed_.WaitUntil(mutex_, NextDueLocked(), woken);
      }
    }
    if (!taken) continue;
    Settle(taken->first, taken->second, Bring(taken->first, taken->second));
  }
}

Result<bool> Deliveries::Bring(const SandboxId& id, const DeliveryTarget& target) {
  const DeliveryWay way{parts_.commands, quit_.get(),
                        [&](const Claim& claim) { return parts_.take_claim(id, claim); },
                        options_.limits};
  DeliveryCommand command;
  command.job = target.job;
  command.host = target.host;
  command.state_folder = options_.state_folder;
  command.runtime_none = options_.runtime_none;
  command.user = target.user;
  return Deliver(way, std::move(command), parts_.parcel_of(id));
}

void Deliveries::Settle(const SandboxId& id, const DeliveryTarget& target,
                        const Result<bool>& brought) {
  const std::string job = std::to_string(target.job);
  std::string said;
  {
    const MutexLock lock(mutex_);
    changed_.NotifyAll();
    const auto found = entries_.find(id);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    entry.busy = false;
    if (entry.wanted.empty()) {
      entries_.erase(found);
      return;
    }
    if (brought.ok() && *brought) {
      entry.done.push_back(target);
      entry.failures = 0;
      entry.due = {};
      entry.trouble.clear();
    } else {
      const int doublings = std::min(entry.failures++, kMostDoublings);
      entry.due =
          TimeNow() + std::min(options_.longest_pause, options_.shortest_pause * (1 << doublings));
      if (entry.failures >= kFailuresToSay) {
        const std::string why = brought.ok() ? "its job's script has made no folder in StateFolder"
                                             : brought.status().message();
        if (why != entry.trouble) said = why;
        entry.trouble = why;
      }
    }
  }
  if (brought.ok() && *brought) {
    parts_.log.Info("an agent was brought into its job", {{"sandbox", id.str()}, {"job", job}});
  } else if (!said.empty()) {
    parts_.log.Warning("an agent cannot be brought into its job",
                       {{"sandbox", id.str()}, {"job", job}, {"why", said}});
  }
}

}  // namespace interlink::slurm
