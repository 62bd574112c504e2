// FakeSessions: exec, attach and dial of the fake backend, one thread each. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_SESSIONS_H_
#define INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_SESSIONS_H_

#include <list>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink::fake {

class FakeSessions {
 public:
  FakeSessions() = default;
  // Ends the sessions that are open.
  ~FakeSessions();

  // The caller's end of a session with the frames of lib/shim, which runs `argv` (README.md).
  Result<UniqueFd> Exec(const std::vector<std::string>& argv);
  // A raw connection that echoes every byte.
  Result<UniqueFd> Echo();

 private:
  struct Session {
    UniqueFd ours;
    std::jthread thread;
  };
  template <typename Body>
  Result<UniqueFd> Open(Body body);

  Mutex mutex_;
  std::list<Session> sessions_ GUARDED_BY(mutex_);
};

}  // namespace interlink::fake

#endif  // INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_SESSIONS_H_
