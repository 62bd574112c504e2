// RegistryTransport: one HTTP request to a registry, for whoever asks it; the real one is
// NetTransport. It follows no redirect, adds no credentials and stores nothing. Thread-safe.
#ifndef INTERLINK_IMAGES_TRANSPORT_H_
#define INTERLINK_IMAGES_TRANSPORT_H_

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/status.h"
#include "net/url.h"

namespace interlink::images {

struct TransportRequest {
  std::string method = "GET";
  net::Url url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct TransportHead {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; of doubles the first
  std::string body;                            // whole, when status >= 300
};

class RegistryTransport {
 public:
  virtual ~RegistryTransport() = default;
  // `on_head` is called once, then `on_bytes` for the body of a status below 300, both on some one
  // thread; an error of theirs ends the request and is returned. Blocks until the end of the
  // answer, a minute without a byte (kUnavailable), the call's deadline or its cancellation
  // (kDeadlineExceeded, kCancelled). kUnavailable: no answer, or a cut one.
  virtual Status Fetch(const Call& call, const TransportRequest& request,
                       const std::function<Status(const TransportHead&)>& on_head,
                       const std::function<Status(std::string_view)>& on_bytes) = 0;
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_TRANSPORT_H_
