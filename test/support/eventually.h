// Waits for a condition instead of sleeping: returns at once when it holds, false after 30 s.
#ifndef INTERLINK_TEST_SUPPORT_EVENTUALLY_H_
#define INTERLINK_TEST_SUPPORT_EVENTUALLY_H_

#include <poll.h>

#include <chrono>

namespace interlink::test {

template <typename Condition>
bool Eventually(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds(30)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    ::poll(nullptr, 0, 2);
  }
  return true;
}

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_EVENTUALLY_H_
