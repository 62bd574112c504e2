// ShimWatch: one thread that hears from all shims when a container ends and when its log grows.
// Thread-safe. Callbacks run on its thread, never two at a time, and must be short; after Remove
// returns no callback of that watch begins, unless it is called from one.
#ifndef INTERLINK_ENGINE_SHIM_WATCH_H_
#define INTERLINK_ENGINE_SHIM_WATCH_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>

#include "base/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "shim/frames.h"

namespace interlink::engine {

class ShimWatch {
 public:
  struct Callbacks {
    std::function<void()> log_grew;
    // Once, at the end: `recorded` = the exit record is durable; else the shim was killed.
    std::function<void(bool recorded)> ended;
  };

  static Result<std::unique_ptr<ShimWatch>> Create();
  // No callback begins any more; the shims go on.
  ~ShimWatch();

  // `connection`: from ShimClient::Watch. Answers a number for Arm and Remove, never 0.
  Result<uint64_t> Add(UniqueFd connection, Callbacks callbacks);
  // log_grew comes once when the log is longer than `offset`. An unknown number is OK.
  void Arm(uint64_t watch, uint64_t offset);
  void Remove(uint64_t watch);

 private:
  static constexpr size_t kBuffer = 1024;
  struct Entry {
    UniqueFd connection;
    Callbacks callbacks;
    std::array<char, kBuffer> buffer{};
    shim::FrameDecoder decoder{buffer.data(), kBuffer};
  };

  ShimWatch(UniqueFd epoll, UniqueFd wake);
  void Run();
  void Receive(uint64_t watch);

  UniqueFd epoll_;
  UniqueFd wake_;
  Mutex mutex_;
  CondVar idle_;
  // Owners: the map, and the thread while it calls back.
  std::unordered_map<uint64_t, std::shared_ptr<Entry>> entries_ GUARDED_BY(mutex_);
  uint64_t next_ GUARDED_BY(mutex_) = 1;
  uint64_t calling_ GUARDED_BY(mutex_) = 0;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_SHIM_WATCH_H_
