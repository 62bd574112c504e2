// Internal: the patterns of a policy. `*` is any run of characters, `/` too, `?` one character,
// `[ab]` one of them; a pattern stands for the whole text.
#ifndef INTERLINK_AUTH_PATTERN_H_
#define INTERLINK_AUTH_PATTERN_H_

#include <fnmatch.h>

#include <algorithm>
#include <string>
#include <vector>

namespace interlink::auth {

// Whether one of them stands for the text.
inline bool MatchesOneOf(const std::vector<std::string>& patterns, const std::string& text) {
  return std::any_of(patterns.begin(), patterns.end(), [&text](const std::string& pattern) {
    return fnmatch(pattern.c_str(), text.c_str(), FNM_NOESCAPE) == 0;
  });
}

// Whether one of them stands for one of the texts.
inline bool MatchesOneOf(const std::vector<std::string>& patterns,
                         const std::vector<std::string>& texts) {
  return std::any_of(texts.begin(), texts.end(),
                     [&patterns](const std::string& text) { return MatchesOneOf(patterns, text); });
}

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_PATTERN_H_
