// Internal: what a caller has written, in an answer to it.
#ifndef INTERLINK_AUTH_OF_CALLER_H_
#define INTERLINK_AUTH_OF_CALLER_H_

#include <string>
#include <vector>

namespace interlink::auth {

// In quotes, on one line, at most 256 bytes of it.
inline std::string OfCaller(const std::string& text) {
  constexpr size_t kMaxShown = 256;
  std::string shown = "\"";
  for (const char c : text.substr(0, kMaxShown)) {
    const bool plain = c >= ' ' && c != 0x7f && c != '"';
    shown += plain ? c : '?';
  }
  return shown + (text.size() > kMaxShown ? "...\"" : "\"");
}

inline std::string AllOfCaller(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + OfCaller(text);
  return all.empty() ? "none" : all;
}

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_OF_CALLER_H_
