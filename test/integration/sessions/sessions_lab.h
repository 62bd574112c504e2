// A site over a backend that answers sessions, its REST edge with mTLS, and a node's client of it,
// on loopback. Not thread-safe, but what the sessions do.
#ifndef INTERLINK_TEST_INTEGRATION_SESSIONS_SESSIONS_LAB_H_
#define INTERLINK_TEST_INTEGRATION_SESSIONS_SESSIONS_LAB_H_

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "auth/authenticator.h"
#include "net/io.h"
#include "node/site.h"
#include "rest/rest.h"
#include "support/certificates.h"
#include "support/fake_backend/fake_sessions.h"
#include "support/temporary_folder.h"
#include "unit/site/site_lab.h"
#include "wire/session.h"

namespace interlink::test {

// All that a session has told, in order.
struct SessionStory {
  std::string out;
  std::string err;
  bool out_ended = false;        // a port-forward's end
  std::optional<int> exit_code;  // of kExit
  Status end;                    // not OK: how the reading ended without kExit or kEnd
};

// Waits for each step. One reading and one writing thread.
class Talk {
 public:
  explicit Talk(node::SessionPtr session) : session_(std::move(session)) {}

  Result<node::SessionOutput> Read();
  Status Write(node::SessionInput input);
  Status Send(std::string bytes);
  Status EndInput();
  // Until the end, at most `limit` bytes of stdout.
  SessionStory ReadAll(size_t limit = size_t{1} << 40U);
  void Cancel() { session_->Cancel(); }
  void Drop() { session_.reset(); }

 private:
  node::SessionPtr session_;
};

class SessionsLab {
 public:
  // `silence`: how long the node takes the site's.
  explicit SessionsLab(Duration silence = wire::kSessionSilence);
  ~SessionsLab();

  // `argv` in the running container; with stdin.
  Result<node::SessionPtr> Exec(const std::vector<std::string>& argv);
  Result<node::SessionPtr> Attach();
  Result<node::SessionPtr> Dial(uint16_t port);
  // The same under a call and an id of the test's.
  std::future<Result<node::SessionPtr>> BeginExec(const Call& call, const SessionId& id,
                                                  const std::vector<std::string>& argv);
  Talk Open(const std::vector<std::string>& argv);

  // Every TCP connection between the two is cut, as by a broken network.
  void CutConnections() const;
  void StopEdge();
  // Openings wait in the backend until it is let go.
  void HoldBackend();
  void ReleaseBackend();
  int openings() const { return openings_->load(); }
  size_t running() { return sessions.running(); }

  SiteLab site;
  fake::FakeSessions sessions;
  SandboxId pod = MintSandboxId();
  ContainerId unit = MintContainerId();

 private:
  struct Gate {
    Mutex mutex;
    CondVar opened;
    bool closed GUARDED_BY(mutex) = false;
  };

  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  const std::shared_ptr<std::atomic<int>> openings_ = std::make_shared<std::atomic<int>>(0);
  TemporaryFolder folder_;
  net::Io site_io_;
  net::Io node_io_;
  std::unique_ptr<auth::Authenticator> authenticator_;
  uint16_t port_ = 0;
  std::unique_ptr<rest::Edge> edge_;
  std::unique_ptr<node::Site> client_;
};

// Of this process.
size_t OpenDescriptors();

}  // namespace interlink::test

#endif  // INTERLINK_TEST_INTEGRATION_SESSIONS_SESSIONS_LAB_H_
