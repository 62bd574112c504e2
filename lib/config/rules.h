// Rules for names that both configurations share. Pure.
#ifndef INTERLINK_CONFIG_RULES_H_
#define INTERLINK_CONFIG_RULES_H_

#include <string>
#include <string_view>

namespace interlink::config {

inline constexpr const char* kHandlerNameRule =
    "must be a handler name: 1 to 63 lower-case letters, digits and \"-\", beginning and ending "
    "with a letter or digit";

// RuntimeClass handlers are DNS labels (RFC 1123).
inline bool IsHandlerName(std::string_view name) {
  static constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-";
  return !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-' &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

// Names of plugin options.
inline bool IsOptionName(std::string_view name) {
  static constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  return !name.empty() && name.size() <= 128 &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_RULES_H_
