// What a provisioner has of a site: a host, and a desk that keeps what it is told. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_PROVISIONER_SITE_H_
#define INTERLINK_TEST_SUPPORT_PROVISIONER_SITE_H_

#include <map>
#include <optional>
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
  Result<std::optional<std::string>> CloseTo(const SandboxId&) override {
    return std::optional<std::string>();
  }
  Duration Lease() const override { return lease; }
  std::optional<Duration> Silence(const SandboxId&) override {
    const MutexLock lock(mutex_);
    return silence_;
  }

  void SetSilence(std::optional<Duration> silence) {
    const MutexLock lock(mutex_);
    silence_ = silence;
  }
  std::vector<sdk::AllocationFact> Told(const SandboxId& id) {
    const MutexLock lock(mutex_);
    return told_[id];
  }

  Duration lease = std::chrono::seconds(300);  // set while no provisioner lives
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
  std::optional<Duration> silence_ GUARDED_BY(mutex_);
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_PROVISIONER_SITE_H_
