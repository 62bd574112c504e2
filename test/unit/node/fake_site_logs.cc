// The log stream of the fake site.
#include <atomic>
#include <thread>

#include "fake_site.h"

namespace interlink::test {

// Sends what was subscribed, once it is there.
class FakeSite::Logs final : public node::Site::LogStream {
 public:
  Logs(FakeSite& site, node::LogSink& sink) : site_(site), sink_(sink) {
    thread_ = std::jthread([this] { Run(); });
  }
  ~Logs() override {
    {
      MutexLock lock(site_.mutex_);
      ended_ = true;
      for (auto& [id, log] : site_.logs_) log.subscribed = false;
      site_.wake_.NotifyAll();
    }
    thread_.join();
  }
  void Subscribe(const SandboxId&, const ContainerId& id, uint64_t offset, uint64_t) override {
    MutexLock lock(site_.mutex_);
    site_.logs_[id].subscribed = true;
    site_.logs_[id].offset = offset;
    site_.wake_.NotifyAll();
  }
  void Credit(const ContainerId& id, uint64_t bytes) override {
    MutexLock lock(site_.mutex_);
    site_.logs_[id].credited += bytes;
  }
  void Acknowledge(const ContainerId& id, uint64_t offset) override {
    MutexLock lock(site_.mutex_);
    site_.logs_[id].acknowledged = std::max(site_.logs_[id].acknowledged, offset);
  }
  void Unsubscribe(const ContainerId& id) override {
    MutexLock lock(site_.mutex_);
    site_.logs_[id].subscribed = false;
  }

 private:
  static bool HasNews(const Log& log) {
    return log.offset < log.text.size() || log.end || !log.fail.ok();
  }
  bool SendOne() {
    ContainerId id;
    Log sent;
    {
      MutexLock lock(site_.mutex_);
      for (auto& [candidate, log] : site_.logs_) {
        if (!log.subscribed || !HasNews(log)) continue;
        id = candidate;
        sent = log;
        if (log.fail.ok()) log.offset = log.text.size();
        if (log.end || !log.fail.ok()) log.subscribed = false;
        break;
      }
    }
    if (id.empty()) return false;
    if (!sent.fail.ok()) {
      sink_.OnLogFailed(id, sent.fail);
      return true;
    }
    if (sent.offset < sent.text.size())
      sink_.OnLogChunk(id, sent.offset, sent.text.substr(sent.offset), sent.text.size());
    if (sent.end) sink_.OnLogEnd(id, sent.text.size());
    return true;
  }
  void Run() {
    sink_.OnLogStreamOpen();
    while (!ended_) {
      if (SendOne()) continue;
      MutexLock lock(site_.mutex_);
      site_.wake_.WaitFor(site_.mutex_, std::chrono::seconds(60), [this]() NO_LOCK_ANALYSIS {
        if (ended_) return true;
        for (const auto& [id, log] : site_.logs_) {
          if (log.subscribed && HasNews(log)) return true;
        }
        return false;
      });
    }
  }

  FakeSite& site_;
  node::LogSink& sink_;
  std::atomic<bool> ended_ = false;
  std::jthread thread_;
};

std::unique_ptr<node::Site::LogStream> FakeSite::OpenLogs(node::LogSink& sink) {
  return std::make_unique<Logs>(*this, sink);
}

}  // namespace interlink::test
