// What a provisioner has of a site: a host, and a desk that keeps what it is told. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_PROVISIONER_SITE_H_
#define INTERLINK_TEST_SUPPORT_PROVISIONER_SITE_H_

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "sdk/host.h"
#include "sdk/provisioner.h"

namespace interlink::test {

class ProvisionerSite final : public sdk::Host, public sdk::AgentDesk {
 public:
  // `clock` outlives it.
  ProvisionerSite(std::string data_folder, const Clock& clock)
      : data_folder_(std::move(data_folder)), clock_(clock) {}

  void Report(std::vector<sdk::Observation>) override {}
  void LogGrew(const ContainerId&) override {}
  Result<sdk::UnpackedImage> HoldImage(const ContainerId&, const std::string&) override {
    return NotFound("no image");
  }
  void ReleaseImages(const ContainerId&) override {}
  const Lineage& lineage() const override { return lineage_; }
  const std::string& data_folder() const override { return data_folder_; }
  Log& log() override { return log_; }
  Metrics& metrics() override { return metrics_; }
  const Clock& clock() override { return clock_; }

  sdk::AgentTicket TicketFor(const SandboxId& id) override {
    return {"site:7443", "site", ca_pem, token_prefix + id.str()};
  }
  void Report(std::vector<sdk::AllocationFact> facts) override {
    const MutexLock lock(mutex_);
    for (sdk::AllocationFact& fact : facts) told_[fact.sandbox].push_back(std::move(fact));
  }
  // The first of Bind and CloseTo counts.
  Result<sdk::AgentBinding> CloseTo(const SandboxId& id) override {
    const MutexLock lock(mutex_);
    return bindings_.try_emplace(id, sdk::AgentBinding{true, ""}).first->second;
  }
  Result<sdk::AgentBinding> BoundTo(const SandboxId& id) override {
    const MutexLock lock(mutex_);
    const auto found = bindings_.find(id);
    return found == bindings_.end() ? sdk::AgentBinding() : found->second;
  }
  Result<bool> HasLeft(const SandboxId& id) override {
    const MutexLock lock(mutex_);
    return left_.count(id) != 0;
  }
  void Bind(const SandboxId& id, const std::string& nonce) {
    const MutexLock lock(mutex_);
    bindings_.try_emplace(id, sdk::AgentBinding{false, nonce});
  }
  void Leave(const SandboxId& id) {
    const MutexLock lock(mutex_);
    left_.insert(id);
  }
  Duration Lease() const override { return lease; }
  Duration Heartbeat() const override { return heartbeat; }
  std::optional<Duration> Silence(const SandboxId&) override {
    const MutexLock lock(mutex_);
    return silence_;
  }

  Status Carry(UniqueFd relay, std::function<void()> over) override {
    const MutexLock lock(mutex_);
    if (!carry_) return Unavailable("no hub");
    return carry_(std::move(relay), std::move(over));
  }

  void SetCarry(std::function<Status(UniqueFd, std::function<void()>)> carry) {
    const MutexLock lock(mutex_);
    carry_ = std::move(carry);
  }
  void SetSilence(std::optional<Duration> silence) {
    const MutexLock lock(mutex_);
    silence_ = silence;
  }
  std::vector<sdk::AllocationFact> Told(const SandboxId& id) {
    const MutexLock lock(mutex_);
    return told_[id];
  }

  // Set while no provisioner lives.
  Duration lease = std::chrono::seconds(300);
  Duration heartbeat = std::chrono::seconds(10);
  // Of the tickets.
  std::string ca_pem = "-----CA-----\n";
  std::string token_prefix = "secret-";

 private:
  const std::string data_folder_;
  const Clock& clock_;
  const Lineage lineage_ = MintLineage();
  NullLog log_;
  NullMetrics metrics_;
  Mutex mutex_;
  std::map<SandboxId, std::vector<sdk::AllocationFact>> told_ GUARDED_BY(mutex_);
  std::map<SandboxId, sdk::AgentBinding> bindings_ GUARDED_BY(mutex_);
  std::set<SandboxId> left_ GUARDED_BY(mutex_);
  std::optional<Duration> silence_ GUARDED_BY(mutex_);
  std::function<Status(UniqueFd, std::function<void()>)> carry_ GUARDED_BY(mutex_);
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_PROVISIONER_SITE_H_
