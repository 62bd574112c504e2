// Relays: keeps one step with a relay (relay_command.h) in each job whose agent cannot reach the
// site, and gives its stdio to the hub.
//
//   kIdle -> kStarting -> kWaiting -> kCarrying -> kEnding -> kIdle      again, later each time
//            srun runs    the relay   the agent    told to end;
//                         listens     speaks       srun has not yet
//
// One thread owns every srun and waits for all of them together. A relay that ends says nothing of
// its pod; one that is not wanted any more is ended within seconds. When this process dies, srun
// reads the end of its stdin, and with it the relay. Thread-safe.
#ifndef INTERLINK_PLUGINS_SLURM_RELAYS_H_
#define INTERLINK_PLUGINS_SLURM_RELAYS_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "sdk/provisioner.h"
#include "slurm/commands.h"
#include "slurm/relay_command.h"

namespace interlink::slurm {

struct RelayTarget {
  uint64_t job = 0;
  std::string host;
  std::string nonce;
  std::string claim_folder;  // RelayCommand's
  std::string agent;         // as compute nodes see it
  bool runs = true;          // false: what there is goes on, but SLURM would start no step now
  std::optional<FileOwner> user = {};  // Step::user

  friend bool operator==(const RelayTarget&, const RelayTarget&) = default;
};

struct RelayView {
  bool carrying = false;
  std::string state;    // "idle", "starting", "waiting", "carrying", "ending"
  std::string trouble;  // why several in a row were of no use
};

struct RelaysOptions {
  std::string state_folder;  // of compute nodes
  bool runtime_none = false;
  size_t most_starting = 8;
  Duration greets_within = std::chrono::seconds(30);  // from srun's start
  Duration agent_within = std::chrono::seconds(60);   // the relay's own limit comes first
  Duration ends_within = std::chrono::seconds(3);     // then TERM, then KILL
  Duration shortest_pause = std::chrono::milliseconds(250);
  Duration longest_pause = std::chrono::seconds(30);
};

class Relays {
 public:
  // All outlive it.
  struct Parts {
    Commands& commands;
    sdk::AgentDesk& desk;
    Log& log;
  };
  Relays(Parts parts, RelaysOptions options);
  // Ends all, within 3 * ends_within.
  ~Relays();

  // These and no others. `reached`: a controller answers; without one no srun is started.
  void Set(std::map<SandboxId, RelayTarget> wanted, bool reached);
  RelayView View(const SandboxId& id) const;

 private:
  struct Bell;
  struct Relay;

  void Run(const std::stop_token& stop);
  void Take(const std::map<SandboxId, RelayTarget>& wanted);
  void TurnAll(bool reached);
  void Wait();
  void Turn(const SandboxId& id, Relay& relay);
  void Start(const SandboxId& id, Relay& relay);
  void ReadWords(Relay& relay);
  void ReadGreeting(Relay& relay);
  void GiveToHub(const SandboxId& id, Relay& relay);
  void End(Relay& relay, const std::string& why);
  void Press(Relay& relay);
  void Ended(const SandboxId& id, Relay& relay);
  void Fail(const SandboxId& id, Relay& relay, const std::string& why);
  void Publish(const SandboxId& id, const Relay* relay);
  void EndAll();

  const Parts parts_;
  const RelaysOptions options_;
  const std::shared_ptr<Bell> bell_;
  std::map<SandboxId, std::unique_ptr<Relay>> relays_;  // the thread's own

  mutable Mutex mutex_;
  std::map<SandboxId, RelayTarget> wanted_ GUARDED_BY(mutex_);
  bool reached_ GUARDED_BY(mutex_) = false;
  std::map<SandboxId, RelayView> views_ GUARDED_BY(mutex_);

  std::jthread thread_;
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_RELAYS_H_
