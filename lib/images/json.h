// Small reads from JSON that strangers wrote. Pure; only for .cc files of lib/images.
#ifndef INTERLINK_IMAGES_JSON_H_
#define INTERLINK_IMAGES_JSON_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace interlink::images {

// The JSON object of `bytes`. kInvalidArgument ("`what` is not a JSON object") also for more than
// 64 levels: what recurses over the value later must not end the process.
Result<nlohmann::json> ParseObject(std::string_view bytes, const std::string& what);
// object[name] as text, "" when absent or null; kInvalidArgument when it is something else or holds
// a NUL. `where` is the object's own path, "" for the top.
Result<std::string> TextField(const nlohmann::json& object, const char* name,
                              const std::string& where);
// object[name] as a list of texts, empty when absent or null.
Result<std::vector<std::string>> TextListField(const nlohmann::json& object, const char* name,
                                               const std::string& where);
// At most 200 characters, control and non-ASCII bytes as '?': for messages.
std::string Printable(std::string_view text);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_JSON_H_
