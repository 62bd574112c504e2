// LogKeeper: leaves the logs of a pod's containers where the site finds them without the agent: on
// a file system that both share. Thread-safe; one thread of its own.
//
// A log that the site reads while it grows costs nothing: only what has not been acknowledged for a
// while is copied, and what is left when a container ends.
#ifndef INTERLINK_AGENT_LOG_KEEPER_H_
#define INTERLINK_AGENT_LOG_KEEPER_H_

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "agent/left_log.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mutex.h"

namespace interlink::agent {

class LogKeeper {
 public:
  struct Options {
    std::string folder;  // FOLDER/logs
    // The folder of a container's shim (shim/layout.h).
    std::function<std::string(const ContainerId&)> shim_folder;
    // What is not acknowledged within one to two of it is copied.
    Duration every = std::chrono::seconds(1);
    uint64_t limit = 1ULL << 30U;  // bytes of one container
  };
  // `log` outlives it.
  LogKeeper(Options options, Log& log);
  ~LogKeeper();
  LogKeeper(const LogKeeper&) = delete;
  LogKeeper& operator=(const LogKeeper&) = delete;

  // There is such a container; `ended`: it will write nothing more. Idempotent. Never waits.
  void Track(const ContainerId& id, bool ended);
  // It is removed, and its log with it; for ever. Never waits.
  void Forget(const ContainerId& id);
  void ForgetAll();
  // Until the logs of all that ended are saved to their ends. False: not by the deadline.
  bool AwaitSaved(SteadyTime deadline);

 private:
  struct Kept {
    explicit Kept(LeftLog left) : log(std::move(left)) {}
    LeftLog log;  // only the thread's
    bool ended = false;
    bool saved = false;  // to its end, for ever
    bool failing = false;
    uint64_t seen = 0;  // its length at the last look
  };

  void ForgetLocked(const ContainerId& id) REQUIRES_LOCK(mutex_);
  void Run(const std::stop_token& stop);
  void LookAt(const ContainerId& id);
  void Remove(const ContainerId& id);
  void Settle(const ContainerId& id, const Result<uint64_t>& length, bool ended);

  const Options options_;
  Log& log_;
  Mutex mutex_;
  CondVar changed_;
  // Owners: this, and the thread while it works on one.
  std::map<ContainerId, std::shared_ptr<Kept>> kept_ GUARDED_BY(mutex_);
  std::set<ContainerId> forgotten_ GUARDED_BY(mutex_);
  std::set<ContainerId> to_delete_ GUARDED_BY(mutex_);  // forgotten, but their folders remain
  bool poked_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_LOG_KEEPER_H_
