// PolicyFile: the policy in force, from a file that may change. Thread-safe.
//
// A changed file is read again within two seconds. One that cannot be used is reported once in the
// log, and the rules of before stay in force: a mistake while editing opens nothing and stops
// nobody.
#ifndef INTERLINK_AUTH_POLICY_FILE_H_
#define INTERLINK_AUTH_POLICY_FILE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "auth/policy.h"
#include "auth/watched_value.h"
#include "base/log.h"
#include "base/timer.h"

namespace interlink::auth {

class PolicyFile {
 public:
  // What a text says; kInvalidArgument with file:line.
  using Parse = std::function<Result<Policy>(const std::string& text, const std::string& file)>;

  // kNotFound, kPermissionDenied (others than this user and root may write it), kInvalidArgument
  // with file:line. `timer` and `log` outlive the result. `certificate_is_enough`: as for DenyList.
  static Result<std::unique_ptr<PolicyFile>> Open(std::string path, Parse parse, Timer& timer,
                                                  Log& log, bool certificate_is_enough = false);
  // As it is now; a decision uses one of these to its end. Owners: this and who asks.
  std::shared_ptr<const Policy> Get() const { return value_->Get(); }
  // Reads and checks the file; what it returns puts it in force. Blocks on a disk.
  Result<std::function<void()>> Prepare() { return value_->Prepare(); }

 private:
  explicit PolicyFile(std::unique_ptr<WatchedValue<Policy>> value) : value_(std::move(value)) {}
  std::unique_ptr<WatchedValue<Policy>> value_;
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_POLICY_FILE_H_
