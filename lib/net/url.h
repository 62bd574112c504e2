// URLs and request targets (RFC 3986), as far as HTTP needs them. Pure.
#ifndef INTERLINK_NET_URL_H_
#define INTERLINK_NET_URL_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink::net {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // an IPv6 address without brackets
  uint16_t port = 0;   // the scheme's default when the URL has none
  std::string target;  // path and query, at least "/"
  bool has_port = false;
};

// kInvalidArgument says what is wrong. User names and fragments are refused.
Result<Url> ParseUrl(std::string_view text);
// True for localhost and literal loopback addresses.
bool IsLoopbackHost(std::string_view host);
// %XX for all but unreserved characters ('/' is kept when `keep_slash`).
std::string PercentEncode(std::string_view text, bool keep_slash = false);
Result<std::string> PercentDecode(std::string_view text);
// "/a/b?x=1&y" -> path "/a/b" and {x: 1, y: ""}, decoded.
struct Target {
  std::string path;  // still encoded
  std::map<std::string, std::string> query;
};
Result<Target> ParseTarget(std::string_view target);

}  // namespace interlink::net

#endif  // INTERLINK_NET_URL_H_
