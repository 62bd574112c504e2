// Internal: what the audit log gets of a request (auth/audit_log.h).
#ifndef INTERLINK_REST_AUDIT_H_
#define INTERLINK_REST_AUDIT_H_

#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "interlink/v1/record.pb.h"
#include "interlink/v1/session.pb.h"
#include "wire/routes.h"

namespace interlink::rest {

struct Exchange;

// What is learned of a request while it is served. Thread-safe.
class AuditNotes {
 public:
  // Names and ids only: no secret.
  void About(std::string name, std::string value) {
    if (value.empty()) return;
    MutexLock lock(mutex_);
    about_.emplace_back(std::move(name), std::move(value));
  }
  void Ended(const Status& status) {
    MutexLock lock(mutex_);
    status_ = status;
  }
  std::vector<std::pair<std::string, std::string>> about() const {
    MutexLock lock(mutex_);
    return about_;
  }
  Status status() const {
    MutexLock lock(mutex_);
    return status_;
  }

 private:
  mutable Mutex mutex_;
  std::vector<std::pair<std::string, std::string>> about_ GUARDED_BY(mutex_);
  Status status_ GUARDED_BY(mutex_);
};

// What of a body tells a reader which request it was.
template <typename Message>
void Describe(const Message& /*message*/, AuditNotes& /*notes*/) {}
void Describe(const interlink::v1::RunSandboxRequest& request, AuditNotes& notes);
void Describe(const interlink::v1::CreateContainerRequest& request, AuditNotes& notes);
void Describe(const interlink::v1::PullImageRequest& request, AuditNotes& notes);
void Describe(const interlink::v1::ExecSyncRequest& request, AuditNotes& notes);
void Describe(const interlink::v1::SessionRequest& request, AuditNotes& notes);

// Whether a request of this route begins something new, which needs a record of it
// (AuditLog::MayBegin).
bool BeginsSomething(wire::Route route);

// Records the answer of a request, if it is one of those that are recorded: whatever changes
// something or reaches into a pod, and whatever was denied.
void AuditAnswer(const Exchange& exchange, int http_status, Duration took);
// Records that a session has ended, which took so long.
void AuditSessionEnd(const Exchange& exchange, const Status& why, Duration took);

}  // namespace interlink::rest

#endif  // INTERLINK_REST_AUDIT_H_
