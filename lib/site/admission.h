// Port: whether a verified caller may have what it asks for. lib/site_policy implements it.
// Thread-safe; called under the site's lock, so it answers from memory, in microseconds.
//
// Its questions about rules and about quotas are separate: the first are of a request, the second
// of all that an account has.
//
// Asked once, before a new request is taken, or before an update of a container is made: what the
// site has is never refused for it later, and what ends or tells a node's own work is never asked
// about (DESIGN 6.1).
#ifndef INTERLINK_SITE_ADMISSION_H_
#define INTERLINK_SITE_ADMISSION_H_

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/mutex.h"
#include "base/status.h"
#include "interlink/v1/record.pb.h"

namespace interlink::site {

struct Caller;

// By which rules an admission has let a request through, for whoever records it. Thread-safe.
class Ruling {
 public:
  void Add(const std::string& rule) {
    MutexLock lock(mutex_);
    if (rule == last_) return;  // of the next image of the same request
    rules_ += (rules_.empty() ? "" : ", ") + rule;
    last_ = rule;
  }
  std::string rules() const {
    MutexLock lock(mutex_);
    return rules_;
  }

 private:
  mutable Mutex mutex_;
  std::string rules_ GUARDED_BY(mutex_);
  std::string last_ GUARDED_BY(mutex_);
};

// Whose quota work counts against: a tenant with all its nodes, or a node of no tenant.
struct Account {
  std::string tenant;
  NodeId node;  // empty for a tenant
  friend auto operator<=>(const Account&, const Account&) = default;
  std::string Text() const;  // `tenant "physics"`, `node "n1"`
};

// What has not ended.
struct Holdings {
  uint64_t sandboxes = 0;
  uint64_t containers = 0;
  uint64_t gpus = 0;
  uint64_t sessions = 0;
};

class Admission {
 public:
  // What reaches into a pod that runs.
  enum class Use { kUpdate, kExec, kExecSync, kAttach, kPortForward };

  virtual ~Admission() = default;

  // May...: OK, or kPermissionDenied with a text for a person. `pod`: its request; of one that was
  // found without its request only the handler is known.
  virtual Status MayRun(const Caller& caller,
                        const interlink::v1::RunSandboxRequest& pod) const = 0;
  // As which user of the site's machines it runs; empty: as the handler's own.
  virtual std::string UserOf(const Caller& caller,
                             const interlink::v1::RunSandboxRequest& pod) const = 0;
  // `images`: that of the container, then those that its mounts name, with all their names.
  virtual Status MayCreate(const Caller& caller, const interlink::v1::RunSandboxRequest& pod,
                           const interlink::v1::CreateContainerRequest& container,
                           const std::vector<runtime::v1::Image>& images) const = 0;
  // `resources`: of kUpdate, all that a container has after it, or what changes of a sandbox; else
  // null.
  virtual Status MayUse(const Caller& caller, Use use, const interlink::v1::RunSandboxRequest& pod,
                        const runtime::v1::LinuxContainerResources* resources) const = 0;
  // `pod`: the one that it is for; empty when the node does not say, or its pod is not here yet.
  virtual Status MayPull(const Caller& caller, const interlink::v1::RunSandboxRequest& pod,
                         const interlink::v1::PullImageRequest& pull) const = 0;
  // Whether an account may have `more` beside what it `has`. kResourceExhausted: the text names the
  // quota, what it is of, how much there is of it and what would be right.
  virtual Status MayHold(const Account& account, const Holdings& has,
                         const Holdings& more) const = 0;
};

}  // namespace interlink::site

#endif  // INTERLINK_SITE_ADMISSION_H_
