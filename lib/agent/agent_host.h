// AgentHost: what the backend of an agent has of a site. Thread-safe.
#ifndef INTERLINK_AGENT_AGENT_HOST_H_
#define INTERLINK_AGENT_AGENT_HOST_H_

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "interlink/agent/v1/agent.pb.h"
#include "sdk/host.h"

namespace interlink::agent {

// Who hears what the backend reports. Only enqueues.
class FactSink {
 public:
  virtual ~FactSink() = default;
  virtual void Saw(std::vector<sdk::Observation> facts) = 0;
  virtual void LogHasGrown(const ContainerId& id) = 0;
};

class AgentHost final : public sdk::Host {
 public:
  // `data_folder` is the backend's own. `log` and `clock` outlive it.
  AgentHost(const SandboxId& sandbox, std::string data_folder, Log& log, const Clock& clock);

  // What is reported without a sink is dropped: Observe tells it again. Null: no sink any more.
  void SetSink(FactSink* sink);
  // The image that HoldImage answers from now on, as a command brought it.
  void SetImage(const v1::Image& image);

  void Report(std::vector<sdk::Observation> facts) override;
  void LogGrew(const ContainerId& id) override;
  // The site keeps the layers as long as the container: nothing is held here. kNotFound: no command
  // has brought it.
  Result<sdk::UnpackedImage> HoldImage(const ContainerId& holder,
                                       const std::string& image_id) override;
  void ReleaseImages(const ContainerId&) override {}
  const Lineage& lineage() const override { return lineage_; }
  const std::string& data_folder() const override { return data_folder_; }
  Log& log() override { return log_; }
  Metrics& metrics() override { return metrics_; }
  const Clock& clock() override { return clock_; }

 private:
  const Lineage lineage_;
  const std::string data_folder_;
  Log& log_;
  const Clock& clock_;
  NullMetrics metrics_;
  Mutex mutex_;
  FactSink* sink_ GUARDED_BY(mutex_) = nullptr;
  std::map<std::string, sdk::UnpackedImage> images_ GUARDED_BY(mutex_);
};

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_AGENT_HOST_H_
