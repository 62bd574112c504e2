// RecordingHost: the host of a backend in tests; it keeps what the backend reports, as a site does:
// facts of one id only move forward. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_RECORDING_HOST_RECORDING_HOST_H_
#define INTERLINK_TEST_SUPPORT_RECORDING_HOST_RECORDING_HOST_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "sdk/host.h"

namespace interlink::test {

class RecordingHost final : public sdk::Host {
 public:
  explicit RecordingHost(std::string data_folder);

  void Report(std::vector<sdk::Observation> facts) override;
  void LogGrew(const ContainerId& id) override;
  Result<sdk::UnpackedImage> HoldImage(const ContainerId& holder,
                                       const std::string& image_id) override;
  void ReleaseImages(const ContainerId& holder) override;
  const Lineage& lineage() const override { return lineage_; }
  const std::string& data_folder() const override { return data_folder_; }
  Log& log() override { return log_; }
  Metrics& metrics() override { return metrics_; }
  const Clock& clock() override { return clock_; }

  void AddImage(sdk::UnpackedImage image);
  // The highest fact of the sandbox, or of the container; state kPending when nothing was reported.
  sdk::Observation Latest(const SandboxId& sandbox, const ContainerId& container = ContainerId());
  int LogWakes(const ContainerId& id);
  size_t HeldImages();  // holds of all holders
  bool Holds(const ContainerId& holder, const std::string& image_id);
  // Facts that went backwards or changed an exit: there must be none.
  std::vector<std::string> Violations();
  // How often that was logged as a warning or an error.
  int Warned(const std::string& message) { return log_.Count(message); }
  // The site's store is gone, and with it who holds which image.
  void LoseStore();
  // As a new site process: what was reported is forgotten, the world goes on.
  void Forget();

 private:
  // Warnings and errors go to stderr, where a failed test shows them.
  class StderrLog final : public Log {
   public:
    int Count(const std::string& message) {
      MutexLock lock(mutex_);
      return counts_[message];
    }

   private:
    bool Enabled(LogLevel level) const override { return level >= LogLevel::kWarning; }
    void Write(LogLevel level, std::string_view message,
               const std::vector<LogField>& fields) override;

    Mutex mutex_;
    std::map<std::string, int> counts_ GUARDED_BY(mutex_);
  };

  const std::string data_folder_;
  const Lineage lineage_ = MintLineage();
  StderrLog log_;
  NullMetrics metrics_;
  SystemClock clock_;
  Mutex mutex_;
  std::map<std::pair<SandboxId, ContainerId>, sdk::Observation> latest_ GUARDED_BY(mutex_);
  std::map<ContainerId, int> wakes_ GUARDED_BY(mutex_);
  std::map<std::string, sdk::UnpackedImage> images_ GUARDED_BY(mutex_);
  std::set<std::pair<ContainerId, std::string>> holds_ GUARDED_BY(mutex_);
  std::vector<std::string> violations_ GUARDED_BY(mutex_);
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_RECORDING_HOST_RECORDING_HOST_H_
