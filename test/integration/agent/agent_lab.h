// A hub of a site, with its certificate, and what the site hears from it. Not thread-safe.
#ifndef INTERLINK_TEST_INTEGRATION_AGENT_AGENT_LAB_H_
#define INTERLINK_TEST_INTEGRATION_AGENT_AGENT_LAB_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/channel.h"
#include "agent_hub/hub.h"
#include "base/mutex.h"
#include "support/certificates.h"
#include "support/temporary_folder.h"

namespace interlink::test {

// What the site heard. Thread-safe.
class HeardEvents final : public agent_hub::AgentEvents {
 public:
  Status MayCome(const SandboxId& id, const agent_hub::AgentPlace& place) override;
  void CameIn(const SandboxId& id, const agent_hub::AgentPlace& place) override;
  void WentAway(const SandboxId& id, const Status& why) override;
  Status Reported(const SandboxId& id, std::vector<sdk::Observation> facts, bool complete) override;
  void LogGrew(const SandboxId& id, const ContainerId& container) override;

  void Refuse(const Status& why);
  void RefuseReports(const Status& why);
  size_t came(const std::string& nonce = "");
  size_t went();
  size_t complete_reports();
  size_t log_wakes();
  // The newest fact; state kPending when nothing was heard.
  sdk::Observation Latest(const ContainerId& container);

 private:
  Mutex mutex_;
  Status refuse_ GUARDED_BY(mutex_);
  Status refuse_reports_ GUARDED_BY(mutex_);
  std::vector<agent_hub::AgentPlace> came_ GUARDED_BY(mutex_);
  size_t went_ GUARDED_BY(mutex_) = 0;
  size_t complete_ GUARDED_BY(mutex_) = 0;
  size_t log_wakes_ GUARDED_BY(mutex_) = 0;
  std::map<ContainerId, sdk::Observation> latest_ GUARDED_BY(mutex_);
};

// Bytes of a session's descriptor until its end.
struct SessionOutput {
  std::string out;
  std::string err;
  std::optional<int> code;
};

class AgentLab {
 public:
  AgentLab();
  ~AgentLab();

  // A start of the site: a new process with the same folder and, but for the first, the same port.
  void StartHub();
  void StopHub() { hub.reset(); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  agent::ChannelOptions ChannelOf(const SandboxId& id) const;

  // REQUIRES: it is answered OK.
  agent::v1::Answer Ask(const agent::v1::Command& command);
  Result<agent::v1::Answer> Try(const agent::v1::Command& command);
  // REQUIRES: its sandbox comes up, which is later than the answer.
  void RunPod();
  // Frames of an exec until its end.
  SessionOutput Exec(const ContainerId& id, const std::vector<std::string>& argv,
                     const std::string& input = "");
  std::string Log(const ContainerId& id);

  const SandboxId pod{std::string(64, '1')};
  const std::string nonce = std::string(32, 'a');
  TemporaryFolder folder;
  CertificateAuthority authority{folder.path(), "ca"};
  CertificateFiles certificate;
  agent_hub::HubOptions options;
  NullLog log;
  SystemClock clock;
  HeardEvents events;
  net::Io io;
  std::unique_ptr<agent_hub::AgentHub> hub;

 private:
  uint16_t port_ = 0;
};

// Commands of one pod with one-container defaults; `tweak` may change them.
agent::v1::Command RunSandboxCommand();
agent::v1::Command CreateCommand(const ContainerId& id, const std::vector<std::string>& argv);
agent::v1::Command StartCommand(const ContainerId& id);
agent::v1::Command StopCommand(const ContainerId& id, int64_t grace_seconds);

}  // namespace interlink::test

#endif  // INTERLINK_TEST_INTEGRATION_AGENT_AGENT_LAB_H_
