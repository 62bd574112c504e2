#include "agent/agent_host.h"

#include <utility>

namespace interlink::agent {
namespace {

// A pod is a lineage of its own: nothing else is ever in its folders.
constexpr size_t kLineageDigits = 32;

template <typename Words>
std::vector<std::string> Copied(const Words& words) {
  return {words.begin(), words.end()};
}

}  // namespace

AgentHost::AgentHost(const SandboxId& sandbox, std::string data_folder, Log& log,
                     const Clock& clock)
    : lineage_(sandbox.str().substr(0, kLineageDigits)),
      data_folder_(std::move(data_folder)),
      log_(log),
      clock_(clock) {}

void AgentHost::SetSink(FactSink* sink) {
  MutexLock lock(mutex_);
  sink_ = sink;
}

void AgentHost::SetImage(const v1::Image& image) {
  sdk::UnpackedImage unpacked;
  unpacked.id = image.id();
  unpacked.layers = Copied(image.layers());
  unpacked.config.user = image.user();
  unpacked.config.env = Copied(image.env());
  unpacked.config.entrypoint = Copied(image.entrypoint());
  unpacked.config.cmd = Copied(image.cmd());
  unpacked.config.working_dir = image.working_dir();
  unpacked.config.stop_signal = image.stop_signal();
  unpacked.config.volumes = Copied(image.volumes());
  MutexLock lock(mutex_);
  images_[unpacked.id] = unpacked;
}

void AgentHost::Report(std::vector<sdk::Observation> facts) {
  // The sink only enqueues: under the lock, so that SetSink(nullptr) ends it.
  MutexLock lock(mutex_);
  if (sink_ != nullptr) sink_->Saw(std::move(facts));
}

void AgentHost::LogGrew(const ContainerId& id) {
  MutexLock lock(mutex_);
  if (sink_ != nullptr) sink_->LogHasGrown(id);
}

Result<sdk::UnpackedImage> AgentHost::HoldImage(const ContainerId&, const std::string& image_id) {
  MutexLock lock(mutex_);
  const auto found = images_.find(image_id);
  if (found == images_.end()) return NotFound("no command has brought image \"" + image_id + "\"");
  return found->second;
}

}  // namespace interlink::agent
