// TokenSource: the node's bearer token, from the file that VK_TOKEN_FILE names. Something else
// keeps that file fresh; it is read again when it changes and when the site has refused the token.
// Thread-safe.
#ifndef INTERLINK_AUTH_TOKEN_SOURCE_H_
#define INTERLINK_AUTH_TOKEN_SOURCE_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "base/timer.h"

namespace interlink::auth {

class TokenSource {
 public:
  // Reads the file once; a file that is missing or bad now is reported by Token() until it is
  // right, so that a node can start before its token is written. `timer` and `log` outlive it.
  TokenSource(std::string path, Timer& timer, Log& log);
  ~TokenSource();
  TokenSource(const TokenSource&) = delete;
  TokenSource& operator=(const TokenSource&) = delete;

  // From memory. kUnavailable: there has never been a usable token; says why.
  Result<std::string> Token() const;
  // The site has answered 401: the file is read again soon, on the timer's thread.
  void Refused();

  // The token in `text`: one line of 1 to 16384 visible ASCII characters; white space around it is
  // dropped. kInvalidArgument never repeats it.
  static Result<std::string> Parse(std::string_view text);

  struct State;

 private:
  std::shared_ptr<State> state_;  // owners: this and the timer's next look at the file
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_TOKEN_SOURCE_H_
