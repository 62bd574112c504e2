// A folder, a stream of CRI lines, and a log writer that remembers what it was told.
#ifndef INTERLINK_TEST_CRI_LOG_LOG_LAB_H_
#define INTERLINK_TEST_CRI_LOG_LOG_LAB_H_

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/mutex.h"
#include "cri_log/cri_log.h"
#include "shim/cri_log.h"

namespace interlink::cri_log {

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "cri-log-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { CHECK(RemoveTree(path_).ok()); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string Line(uint64_t time_ns, const std::string& content) {
  std::string line(shim::kLogHeader, ' ');
  shim::PutLogHeader(line.data(), time_ns, shim::LogStream::kStdout, false);
  return line + content + "\n";
}

// Lines with rising times and contents of all lengths.
inline std::vector<std::string> MakeLines(std::mt19937& random, size_t count) {
  uint64_t time = 1'700'000'000'000'000'000;
  std::vector<std::string> lines;
  for (size_t i = 0; i < count; ++i) {
    time += 1 + random() % 1000;
    const size_t length = random() % 16 == 0 ? random() % shim::kMaxLogContent : random() % 120;
    lines.push_back(Line(time, std::string(length, static_cast<char>('a' + i % 26))));
  }
  return lines;
}

inline std::string Join(const std::vector<std::string>& lines) {
  std::string all;
  for (const auto& line : lines) all += line;
  return all;
}

// What the domain would remember. Thread-safe.
class Positions {
 public:
  explicit Positions(node::LogFiles& files) {
    files.SetDurable([this](const ContainerId& id, node::LogPosition position) {
      MutexLock lock(mutex_);
      positions_[id] = position;
      changed_.NotifyAll();
    });
  }

  bool WaitFor(const ContainerId& id, uint64_t site_offset) {
    MutexLock lock(mutex_);
    return changed_.WaitFor(mutex_, std::chrono::seconds(30), [&]() NO_LOCK_ANALYSIS {
      return positions_[id].site_offset >= site_offset;
    });
  }
  node::LogPosition Get(const ContainerId& id) {
    MutexLock lock(mutex_);
    return positions_[id];
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::map<ContainerId, node::LogPosition> positions_;
};

inline bool CloseAndWait(node::LogFiles& files, const ContainerId& id) {
  struct Done {
    Mutex mutex;
    CondVar wake;
    bool done = false;
  };
  const auto state = std::make_shared<Done>();  // owners: this caller and the callback
  files.Close(id, [state] {
    MutexLock lock(state->mutex);
    state->done = true;
    state->wake.NotifyAll();
  });
  MutexLock lock(state->mutex);
  return state->wake.WaitFor(state->mutex, std::chrono::seconds(30),
                             [&]() NO_LOCK_ANALYSIS { return state->done; });
}

// Sends stream[from, to) in chunks of random sizes, some of them twice.
inline void Send(node::LogFiles& files, const ContainerId& id, const std::string& stream,
                 uint64_t from, uint64_t to, std::mt19937& random) {
  while (from < to) {
    const uint64_t size = std::min<uint64_t>(to - from, 1 + random() % 5000);
    files.Append(id, from, stream.substr(from, size), from + size);
    const bool again = random() % 8 == 0;
    from = again ? from + size / 2 : from + size;
  }
}

}  // namespace interlink::cri_log

#endif  // INTERLINK_TEST_CRI_LOG_LOG_LAB_H_
