// What a node's PluginConfig may hold: settings for a plugin at the site (SLURM_PARTITION: gpu).
// The node's configuration and the site hold the same bounds. Pure.
#ifndef INTERLINK_BASE_NODE_OPTIONS_H_
#define INTERLINK_BASE_NODE_OPTIONS_H_

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace interlink {

using NodeOptions = std::map<std::string, std::string>;

inline constexpr size_t kMaxNodeOptions = 32;
inline constexpr const char* kNodeOptionNameRule =
    "an upper-case name: A to Z, then A to Z, 0 to 9 and \"_\", at most 64 characters";
inline constexpr const char* kNodeOptionValueRule =
    "a text or a number of 1 to 256 printable ASCII characters";

inline bool IsNodeOptionName(std::string_view name) {
  static constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  return !name.empty() && name.size() <= 64 && name.front() >= 'A' && name.front() <= 'Z' &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

inline bool IsNodeOptionValue(std::string_view value) {
  return !value.empty() && value.size() <= 256 &&
         std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c <= 0x7E; });
}

}  // namespace interlink

#endif  // INTERLINK_BASE_NODE_OPTIONS_H_
