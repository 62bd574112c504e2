// Where an image's bytes are asked for: the mirrors of its registry host in their order, then the
// host itself; and which URLs an answer may send us to. Pure.
#ifndef INTERLINK_IMAGES_ENDPOINT_H_
#define INTERLINK_IMAGES_ENDPOINT_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "net/url.h"

namespace interlink::images {

using Mirrors = std::map<std::string, std::vector<std::string>>;  // registry host -> URLs

struct Endpoint {
  net::Url url;         // scheme, host, port
  std::string prefix;   // of all targets: "/v2/library/busybox"
  bool origin = false;  // the image's own registry: only it gets the pull's credentials
  std::string name;     // for messages: "registry \"h\"" or "mirror \"https://m\""

  // prefix + "/" + `rest`
  net::Url Target(const std::string& rest) const;
};

// `path` as in Reference. A mirror is an URL; its path, if any, goes before /v2 (or contains it).
// The host itself: https, but http when it is a loopback address. kInvalidArgument: a bad mirror
// URL, or http to another machine.
Result<std::vector<Endpoint>> Endpoints(const Mirrors& mirrors, const std::string& host,
                                        const std::string& path);

// Whether an answer from `from` may send us to `to`: https, or http within this machine when `from`
// is this machine; never from another machine to this one (a registry must not reach local
// services through us). kPermissionDenied says why not.
Status CheckHop(const net::Url& from, const net::Url& to);

// The Location of a redirect, absolute or an absolute path. Checked with CheckHop.
Result<net::Url> ResolveLocation(const net::Url& from, const std::string& location);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_ENDPOINT_H_
