// DenyList: identities that this site does not serve any more. Thread-safe.
//
// A text file; empty lines and lines that begin with '#' are skipped. Each other line is
//   node NAME               by certificate or token, whatever is presented
//   subject ISSUER SUBJECT  of tokens; SUBJECT is the rest of the line
//   tenant NAME             of tokens
// Where a certificate is enough, who leaves the token out is of no subject and of no tenant.
// Names are compared whole, byte for byte. A changed file is read again within two seconds, and
// holds from the next request on, also over connections that stand. One that cannot be used is
// reported once in the log, and the list of before stays in force.
#ifndef INTERLINK_AUTH_DENY_LIST_H_
#define INTERLINK_AUTH_DENY_LIST_H_

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "auth/authenticator.h"
#include "auth/watched_value.h"
#include "base/log.h"
#include "base/timer.h"

namespace interlink::auth {

class DenyList {
 public:
  struct Names {
    std::set<std::string> nodes;
    std::set<std::pair<std::string, std::string>> subjects;  // issuer, subject
    std::set<std::string> tenants;
    size_t size() const { return nodes.size() + subjects.size() + tenants.size(); }
  };
  // The contents of a file. `name` is for messages. kInvalidArgument with file:line.
  static Result<Names> Parse(std::string_view text, const std::string& name);

  // kNotFound, kPermissionDenied (others than this user and root may write it), kInvalidArgument.
  // `timer` and `log` outlive the result. `certificate_is_enough`: names that a node then escapes
  // by leaving its token out are warned of in the log, now and each time the file was read again.
  static Result<std::unique_ptr<DenyList>> Open(std::string path, Timer& timer, Log& log,
                                                bool certificate_is_enough = false);

  // kPermissionDenied: who asks is on the list.
  Status Check(const Identity& identity) const;
  // Reads and checks the file; what it returns puts it in force. Blocks on a disk.
  Result<std::function<void()>> Prepare() { return value_->Prepare(); }

 private:
  explicit DenyList(std::unique_ptr<WatchedValue<Names>> value) : value_(std::move(value)) {}
  std::unique_ptr<WatchedValue<Names>> value_;
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_DENY_LIST_H_
