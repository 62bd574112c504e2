// HTTP/1.1 messages as both sides of lib/net see them. Value types.
#ifndef INTERLINK_NET_HTTP_H_
#define INTERLINK_NET_HTTP_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/connection.h"

namespace interlink::net {

// Field names compare without case.
class Headers {
 public:
  void Set(std::string name, std::string value);
  void Add(std::string name, std::string value) {
    items_.emplace_back(std::move(name), std::move(value));
  }
  // The first one, or nothing.
  std::optional<std::string> Get(std::string_view name) const;
  // The items of a comma-separated field, of all its lines, without the space around them.
  std::vector<std::string> List(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& items() const { return items_; }

 private:
  std::vector<std::pair<std::string, std::string>> items_;
};

bool EqualNoCase(std::string_view a, std::string_view b);

struct HttpRequest {
  std::string method;
  std::string target;  // path and query, percent-encoded as it came
  Headers headers;
  std::string body;
  Peer peer;  // server side
};

struct HttpResponse {
  int status = 200;
  Headers headers;
  std::string body;
};

inline constexpr size_t kMaxHead = 64U << 10U;
inline constexpr size_t kMaxBody = 16U << 20U;

}  // namespace interlink::net

#endif  // INTERLINK_NET_HTTP_H_
