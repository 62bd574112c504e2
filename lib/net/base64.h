// Base64 of RFC 4648, 4: padded, without white space. Pure.
#ifndef INTERLINK_NET_BASE64_H_
#define INTERLINK_NET_BASE64_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink::net {

std::string EncodeBase64(std::string_view bytes);
// kInvalidArgument: a character that is none of it, or padding that is missing.
Result<std::string> DecodeBase64(std::string_view text);

}  // namespace interlink::net

#endif  // INTERLINK_NET_BASE64_H_
