// A node::LogFiles that keeps the files as strings and can be told to be stuck. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_MEMORY_LOG_FILES_H_
#define INTERLINK_TEST_SUPPORT_MEMORY_LOG_FILES_H_

#include <algorithm>
#include <future>
#include <map>
#include <string>

#include "base/mutex.h"
#include "base/step_pool.h"
#include "node/log_files.h"

namespace interlink::test {

class MemoryLogFiles final : public node::LogFiles {
 public:
  Status Open(const ContainerId& id, const std::string& path, node::LogPosition from,
              bool) override {
    MutexLock lock(mutex_);
    if (!fail_open_.ok() && !path.empty()) return fail_open_;
    File& file = files_[id];
    if (file.open) return {};
    file.open = true;
    file.path = path;
    file.position = from;
    return {};
  }
  void Append(const ContainerId& id, uint64_t offset, std::string bytes, uint64_t next) override {
    const Status posted = writer_.PostAlways("log", [this, id, offset, bytes, next] {
      node::LogPosition position;
      Durable durable;
      {
        MutexLock lock(mutex_);
        File& file = files_[id];
        if (stuck_ || !file.open || next <= file.position.site_offset) return;
        const uint64_t known =
            file.position.site_offset - std::min(file.position.site_offset, offset);
        file.text += bytes.substr(std::min<size_t>(known, bytes.size()));
        file.position.site_offset = next;
        file.position.file_offset = file.text.size();
        position = file.position;
        durable = durable_;
      }
      if (durable) durable(id, position);
    });
    if (!posted.ok()) return;
  }
  Status Reopen(const ContainerId& id, bool running) override {
    if (!running) return FailedPrecondition("not running");
    MutexLock lock(mutex_);
    ++files_[id].reopened;
    return {};
  }
  void Close(const ContainerId& id, std::function<void()> done) override {
    const Status posted = writer_.PostAlways("log", [this, id, done = std::move(done)] {
      {
        MutexLock lock(mutex_);
        files_[id].open = false;
      }
      done();
    });
    if (!posted.ok()) return;
  }
  void SetDurable(Durable durable) override {
    {
      MutexLock lock(mutex_);
      durable_ = std::move(durable);
    }
    // What runs with the old one has ended when this returns.
    std::promise<void> passed;
    if (writer_.PostAlways("log", [&passed] { passed.set_value(); }).ok())
      passed.get_future().wait();
  }

  std::string TextOf(const ContainerId& id) {
    MutexLock lock(mutex_);
    return files_[id].text;
  }
  std::string PathOf(const ContainerId& id) {
    MutexLock lock(mutex_);
    return files_[id].path;
  }
  int ReopenedOf(const ContainerId& id) {
    MutexLock lock(mutex_);
    return files_[id].reopened;
  }
  // Bytes are taken and never become durable.
  void SetStuck(bool stuck) {
    MutexLock lock(mutex_);
    stuck_ = stuck;
  }
  void FailOpen(Status why) {
    MutexLock lock(mutex_);
    fail_open_ = std::move(why);
  }

 private:
  struct File {
    bool open = false;
    std::string path;
    std::string text;
    node::LogPosition position;
    int reopened = 0;
  };
  Mutex mutex_;
  std::map<ContainerId, File> files_ GUARDED_BY(mutex_);
  Durable durable_ GUARDED_BY(mutex_);
  bool stuck_ GUARDED_BY(mutex_) = false;
  Status fail_open_ GUARDED_BY(mutex_);
  StepPool writer_{"log", 1, 100'000};
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_MEMORY_LOG_FILES_H_
