// Base64url of RFC 4648, 5, as RFC 7515 has it: without padding, and strict. Pure.
#ifndef INTERLINK_BASE_BASE64URL_H_
#define INTERLINK_BASE_BASE64URL_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink {

// kInvalidArgument: a character that is none of it (padding and white space too), a length that no
// bytes have, or bits behind the last byte that are not 0: every value has one text only.
Result<std::string> DecodeBase64Url(std::string_view text);

}  // namespace interlink

#endif  // INTERLINK_BASE_BASE64URL_H_
