// FakeSessions: exec, attach and dial of the fake backend, one thread each. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_SESSIONS_H_
#define INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_SESSIONS_H_

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink::fake {

// The clients attached to one container. Thread-safe.
class FakeAttached {
 public:
  void Add(int fd);
  void Remove(int fd);
  // Output, to all.
  void Tell(std::string_view bytes);
  void End(int code);

 private:
  Mutex mutex_;
  std::set<int> clients_ GUARDED_BY(mutex_);
};

class FakeSessions {
 public:
  FakeSessions() = default;
  // Ends the sessions that are open.
  ~FakeSessions();

  // The caller's end of a session with the frames of lib/shim, which runs `argv` (README.md).
  Result<UniqueFd> Exec(const std::vector<std::string>& argv);
  // Attached to that container: what any client sends is the output for all.
  Result<UniqueFd> Attach(const std::string& container);
  // The container has ended.
  void EndAttached(const std::string& container, int code);
  // A raw connection that echoes every byte, and ends its direction when the caller has.
  Result<UniqueFd> Echo();
  // Sessions whose command has not ended.
  size_t running();
  // Bytes that `flood` has written so far, in all sessions.
  uint64_t flooded() const { return flooded_->load(); }

 private:
  struct Session {
    UniqueFd ours;
    std::shared_ptr<std::atomic<bool>> ended;  // owners: this and the thread
    std::jthread thread;
  };
  template <typename Body>
  Result<UniqueFd> Open(Body body, const std::function<void(int)>& prepare = {});

  const std::shared_ptr<std::atomic<uint64_t>> flooded_ =
      std::make_shared<std::atomic<uint64_t>>(0);  // owners: this and the threads
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<FakeAttached>> attached_ GUARDED_BY(mutex_);
  std::list<Session> sessions_ GUARDED_BY(mutex_);
};

}  // namespace interlink::fake

#endif  // INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_SESSIONS_H_
