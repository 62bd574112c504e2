// Comparison of secrets. Thread-safe.
#ifndef INTERLINK_BASE_SECRET_H_
#define INTERLINK_BASE_SECRET_H_

#include <string_view>

namespace interlink {

// Takes the same time wherever the first difference is; only the lengths may show.
inline bool EqualSecrets(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(
        difference | (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
  }
  return difference == 0;
}

}  // namespace interlink

#endif  // INTERLINK_BASE_SECRET_H_
