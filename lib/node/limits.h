// Times that several use cases share. (Constants of one file stay there.)
#ifndef INTERLINK_NODE_LIMITS_H_
#define INTERLINK_NODE_LIMITS_H_

#include <algorithm>
#include <chrono>

#include "base/clock.h"

namespace interlink::node {

inline constexpr auto kStep = std::chrono::seconds(10);  // one request to the site
inline constexpr auto kWait = std::chrono::seconds(2);   // Prefer: wait
// An end that was taken and is not told yet is asked for again; Drive comes a little later.
inline constexpr auto kAskAgain = std::chrono::seconds(10);
inline constexpr auto kLater = std::chrono::milliseconds(50);
inline constexpr int kSettleAttempt = 3;  // back-off of what the site's list lacks
// What the site still tells of the containers of an ended sandbox comes within this time.
inline constexpr auto kLastFacts = std::chrono::seconds(10);
// Calls that wait are answered when the site has been out of reach for that long (DESIGN 5: 5 s).
inline constexpr auto kAwayLimit = std::chrono::seconds(4);
inline constexpr auto kVerbose = std::chrono::seconds(3);  // a verbose status asks the site
inline constexpr auto kForEver = std::chrono::hours(24 * 365 * 10);

// A call answers before its caller gives up: 10 % of what is left, at most 5 s (DESIGN 6.14).
inline Duration Margin(Duration left) {
  return std::min<Duration>(left / 10, std::chrono::seconds(5));
}

}  // namespace interlink::node

#endif  // INTERLINK_NODE_LIMITS_H_
