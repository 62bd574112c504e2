// Deliveries: brings the agent into each job that has none (delivery.h), a few at a time, again and
// later each time where that fails.
//
// A delivery that fails says nothing of its pod. One that is repeated, by the next start of the
// site too, is harmless: the step finds that everything is there. Thread-safe; a few threads of its
// own, each with one srun.
#ifndef INTERLINK_PLUGINS_SLURM_DELIVERIES_H_
#define INTERLINK_PLUGINS_SLURM_DELIVERIES_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "slurm/claim.h"
#include "slurm/commands.h"
#include "slurm/delivery.h"

namespace interlink::slurm {

struct DeliveryTarget {
  uint64_t job = 0;
  int64_t start_time = 0;  // a job that SLURM runs again has another one
  std::string host;
  std::optional<FileOwner> user = {};  // Step::user

  friend bool operator==(const DeliveryTarget&, const DeliveryTarget&) = default;
};

struct DeliveryView {
  std::string state;    // "waiting", "bringing", "brought"; empty: nothing is wanted
  std::string trouble;  // why several in a row were of no use
};

struct DeliveriesOptions {
  std::string state_folder;  // of compute nodes
  bool runtime_none = false;
  size_t at_once = 4;
  DeliveryLimits limits;
  Duration shortest_pause = std::chrono::milliseconds(250);
  Duration longest_pause = std::chrono::seconds(30);
};

class Deliveries {
 public:
  // `commands` and `log` outlive it, and so does what the functions need. They are called by any of
  // its threads, for one sandbox by one at a time.
  struct Parts {
    Commands& commands;
    Log& log;
    // DeliveryWay::take_claim.
    std::function<Status(const SandboxId&, const Claim&)> take_claim;
    std::function<Parcel(const SandboxId&)> parcel_of;
  };
  Deliveries(Parts parts, DeliveriesOptions options);
  // Ends all, within 3 * ends_within.
  ~Deliveries();

  // These and no others, of each sandbox one after the other. What runs goes on. `reached`: a
  // controller answers; without one no srun is started.
  void Set(std::map<SandboxId, std::vector<DeliveryTarget>> wanted, bool reached);
  DeliveryView View(const SandboxId& id) const;

 private:
  struct Entry {
    std::vector<DeliveryTarget> wanted;
    std::vector<DeliveryTarget> done;
    bool busy = false;
    SteadyTime due{};
    int failures = 0;
    std::string trouble;
  };

  void Run(const std::stop_token& stop);
  const DeliveryTarget* NextOfLocked(const Entry& entry) const REQUIRES_LOCK(mutex_);
  std::optional<std::pair<SandboxId, DeliveryTarget>> TakeLocked() REQUIRES_LOCK(mutex_);
  SteadyTime NextDueLocked() const REQUIRES_LOCK(mutex_);
  Result<bool> Bring(const SandboxId& id, const DeliveryTarget& target);
  void Settle(const SandboxId& id, const DeliveryTarget& target, const Result<bool>& brought);

  const Parts parts_;
  const DeliveriesOptions options_;
  const UniqueFd quit_;

  mutable Mutex mutex_;
  CondVar changed_;
  std::map<SandboxId, Entry> entries_ GUARDED_BY(mutex_);
  bool reached_ GUARDED_BY(mutex_) = false;

  std::vector<std::jthread> threads_;
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_DELIVERIES_H_
