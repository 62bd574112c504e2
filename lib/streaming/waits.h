// Internal: deadlines of the loops here.
#ifndef INTERLINK_STREAMING_WAITS_H_
#define INTERLINK_STREAMING_WAITS_H_

#include <chrono>

#include "base/clock.h"

namespace interlink::streaming {

inline SteadyTime Now() { return std::chrono::steady_clock::now(); }
inline SteadyTime In(Duration time) { return Now() + time; }

// Of a loop that is woken by what it waits for and by the end of its connection, whose own
// deadlines are shorter: TCP and the session's watch say when a silent client has gone.
constexpr auto kUntilWoken = std::chrono::hours(24);

// To tell a client why its connection ends.
constexpr auto kFarewell = std::chrono::seconds(5);

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_WAITS_H_
