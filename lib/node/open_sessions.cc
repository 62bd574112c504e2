#include "node/open_sessions.h"

#include <vector>

namespace interlink::node {
namespace {

class KeptSession final : public Session {
 public:
  KeptSession(std::shared_ptr<OpenSessions::Place> place, SessionPtr session)
      : place_(std::move(place)), session_(std::move(session)) {}
  ~KeptSession() override { session_->Cancel(); }
  void Read(Reply<SessionOutput> reply) override { session_->Read(std::move(reply)); }
  void Write(SessionInput input, std::function<void(Status)> done) override {
    session_->Write(std::move(input), std::move(done));
  }
  void Cancel() override { session_->Cancel(); }

 private:
  const std::shared_ptr<OpenSessions::Place> place_;  // dies after the session
  const SessionPtr session_;
};

}  // namespace

OpenSessions::Place::~Place() {
  MutexLock lock(all_->mutex_);
  all_->places_.erase(number_);
}

Result<std::shared_ptr<OpenSessions::Place>> OpenSessions::Take() {
  uint64_t number = 0;
  {
    MutexLock lock(mutex_);
    if (stopped_) return ShuttingDown();
    if (places_.size() >= limit_) {
      return ResourceExhausted(std::to_string(limit_) +
                               " sessions (exec, attach, port-forward) are open: close some");
    }
    number = next_++;
    places_[number];
  }
  return std::make_shared<Place>(shared_from_this(), number);
}

SessionPtr OpenSessions::Keep(std::shared_ptr<Place> place, SessionPtr session) {
  bool stopped = false;
  {
    MutexLock lock(mutex_);
    stopped = stopped_;
    places_[place->number_] = session;
  }
  if (stopped) session->Cancel();
  return std::make_shared<KeptSession>(std::move(place), std::move(session));
}

void OpenSessions::Stop() {
  std::vector<SessionPtr> open;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    for (const auto& [number, session] : places_) {
      if (SessionPtr held = session.lock()) open.push_back(std::move(held));
    }
  }
  for (const SessionPtr& session : open) session->Cancel();
}

}  // namespace interlink::node
