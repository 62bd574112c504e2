// Internal: JSON from people whom nobody knows yet. Pure.
#ifndef INTERLINK_AUTH_STRICT_JSON_H_
#define INTERLINK_AUTH_STRICT_JSON_H_

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "base/status.h"

namespace interlink::auth {

// One JSON object and nothing after it, UTF-8, at most 16 levels deep. No name comes twice in an
// object: RFC 7515, 4 and RFC 7519, 4 leave it to the reader which one counts, and two readers that
// differ are a way past both. kInvalidArgument never repeats a value.
Result<nlohmann::json> ParseStrictJson(std::string_view text);

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_STRICT_JSON_H_
