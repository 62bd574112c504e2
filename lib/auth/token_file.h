// TokenFile: static bearer tokens at the site. Thread-safe.
//
// The file has one `token,node-name` per line; empty lines and lines that begin with '#' are
// skipped. A token is 16 to 4096 visible ASCII characters without a comma; a node may have several,
// which is how they are changed. The file must belong to this user (or root) and be readable by
// nobody else (mode 0600 or less).
//
// A changed file is read again within two seconds. One that cannot be used is reported once in the
// log and the tokens of before stay in force: a mistake while editing must not stop the site.
#ifndef INTERLINK_AUTH_TOKEN_FILE_H_
#define INTERLINK_AUTH_TOKEN_FILE_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/authenticator.h"
#include "auth/sha256.h"
#include "auth/watched_value.h"
#include "base/log.h"
#include "base/timer.h"

namespace interlink::auth {

class TokenFile final : public TokenVerifier {
 public:
  // kNotFound, kPermissionDenied (mode or owner), kInvalidArgument with file:line. `timer` and
  // `log` outlive the result.
  static Result<std::unique_ptr<TokenFile>> Open(std::string path, Timer& timer, Log& log);

  // Takes the same time for every token that is not known and compares digests only.
  Result<TokenIdentity> Verify(std::string_view token) const override;

  // A token is kept as its SHA-256.
  struct Entry {
    Sha256Digest digest;
    NodeId node;
  };
  // The contents of a token file. `name` is for messages.
  static Result<std::vector<Entry>> Parse(std::string_view text, const std::string& name);

  // Reads and checks the file; what it returns puts it in force. Blocks on a disk.
  Result<std::function<void()>> Prepare() { return value_->Prepare(); }

 private:
  using Entries = std::vector<Entry>;
  explicit TokenFile(std::unique_ptr<WatchedValue<Entries>> value) : value_(std::move(value)) {}
  std::unique_ptr<WatchedValue<Entries>> value_;
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_TOKEN_FILE_H_
