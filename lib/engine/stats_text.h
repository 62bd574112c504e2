// Texts of the kernel and of the shim that statistics come from. Pure.
#ifndef INTERLINK_ENGINE_STATS_TEXT_H_
#define INTERLINK_ENGINE_STATS_TEXT_H_

#include <cstdint>
#include <string>
#include <vector>

namespace interlink::engine {

struct InterfaceCounters {
  std::string name;
  uint64_t rx_bytes = 0;
  uint64_t rx_packets = 0;
  uint64_t rx_errors = 0;
  uint64_t rx_dropped = 0;
  uint64_t tx_bytes = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_errors = 0;
  uint64_t tx_dropped = 0;
};

// /proc/PID/net/dev; lines that are no counters are skipped.
std::vector<InterfaceCounters> ParseNetDev(const std::string& text);

// The process id in a pid file of the shim, as digits; "" when it is none.
std::string PidOf(const std::string& pid_file);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_STATS_TEXT_H_
