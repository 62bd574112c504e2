// Numbers that several use cases share. (Constants of one file stay there.)
#ifndef INTERLINK_SITE_LIMITS_H_
#define INTERLINK_SITE_LIMITS_H_

#include <chrono>
#include <cstddef>

namespace interlink::site {

inline constexpr auto kStep = std::chrono::seconds(10);  // one backend call
// A stop that was answered OK and whose end is not reported is asked for again.
inline constexpr auto kAskAgain = std::chrono::seconds(10);
// What a backend tells of a sandbox or container when asked for all of it.
inline constexpr size_t kMaxInfo = 8U << 20U;

}  // namespace interlink::site

#endif  // INTERLINK_SITE_LIMITS_H_
