#include "support/recording_host/recording_host.h"

#include <cstdio>
#include <utility>

namespace interlink::test {

using State = sdk::Observation::State;

void RecordingHost::StderrLog::Write(LogLevel level, std::string_view message,
                                     const std::vector<LogField>& fields) {
  if (!Enabled(level)) return;
  std::string line(message);
  for (const LogField& field : fields) line += " " + std::string(field.key) + "=" + field.value;
  std::fprintf(stderr, "%s\n", line.c_str());
  MutexLock lock(mutex_);
  ++counts_[std::string(message)];
}

RecordingHost::RecordingHost(std::string data_folder) : data_folder_(std::move(data_folder)) {}

void RecordingHost::Report(std::vector<sdk::Observation> facts) {
  MutexLock lock(mutex_);
  for (auto& fact : facts) {
    auto& known = latest_[{fact.sandbox, fact.container}];
    const bool ended = known.state == State::kDown && fact.state == State::kDown;
    if (ended && (known.exit_code != fact.exit_code || known.reason != fact.reason)) {
      violations_.push_back("the end of " + fact.sandbox.str() + " changed to " + fact.reason);
    }
    if (fact.revision > known.revision && fact.state < known.state) {
      violations_.push_back("a fact of " + fact.sandbox.str() + " went backwards");
    }
    if (fact.state >= known.state) known = std::move(fact);
  }
}

void RecordingHost::LogGrew(const ContainerId& id) {
  MutexLock lock(mutex_);
  ++wakes_[id];
}

Result<sdk::UnpackedImage> RecordingHost::HoldImage(const ContainerId& holder,
                                                    const std::string& image_id) {
  MutexLock lock(mutex_);
  const auto found = images_.find(image_id);
  if (found == images_.end()) return NotFound("image \"" + image_id + "\" was not pulled");
  holds_.insert({holder, image_id});
  return found->second;
}

void RecordingHost::ReleaseImages(const ContainerId& holder) {
  MutexLock lock(mutex_);
  std::erase_if(holds_, [&holder](const auto& hold) { return hold.first == holder; });
}

void RecordingHost::AddImage(sdk::UnpackedImage image) {
  MutexLock lock(mutex_);
  const std::string id = image.id;
  images_[id] = std::move(image);
}

sdk::Observation RecordingHost::Latest(const SandboxId& sandbox, const ContainerId& container) {
  MutexLock lock(mutex_);
  return latest_[{sandbox, container}];
}

int RecordingHost::LogWakes(const ContainerId& id) {
  MutexLock lock(mutex_);
  return wakes_[id];
}

size_t RecordingHost::HeldImages() {
  MutexLock lock(mutex_);
  return holds_.size();
}

bool RecordingHost::Holds(const ContainerId& holder, const std::string& image_id) {
  MutexLock lock(mutex_);
  return holds_.count({holder, image_id}) != 0;
}

std::vector<std::string> RecordingHost::Violations() {
  MutexLock lock(mutex_);
  return violations_;
}

void RecordingHost::LoseStore() {
  MutexLock lock(mutex_);
  holds_.clear();
}

void RecordingHost::Forget() {
  MutexLock lock(mutex_);
  latest_.clear();
  wakes_.clear();
}

}  // namespace interlink::test
