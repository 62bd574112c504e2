#include "engine/stats_text.h"

#include <sstream>

#include "shim/pidfile.h"

namespace interlink::engine {

std::vector<InterfaceCounters> ParseNetDev(const std::string& text) {
  std::vector<InterfaceCounters> all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    const size_t first = line.find_first_not_of(' ');
    if (colon == std::string::npos || first >= colon) continue;
    InterfaceCounters counters;
    counters.name = line.substr(first, colon - first);
    std::istringstream numbers(line.substr(colon + 1));
    uint64_t skipped = 0;
    // bytes packets errs drop fifo frame compressed multicast, then the same of transmission
    numbers >> counters.rx_bytes >> counters.rx_packets >> counters.rx_errors >>
        counters.rx_dropped;
    for (int i = 0; i < 4; ++i) numbers >> skipped;
    numbers >> counters.tx_bytes >> counters.tx_packets >> counters.tx_errors >>
        counters.tx_dropped;
    if (!numbers) continue;
    all.push_back(std::move(counters));
  }
  return all;
}

std::string PidOf(const std::string& pid_file) {
  shim::PidFile file;
  if (!shim::ParsePidFile(pid_file, file) || shim::IsAlive(file) != shim::Alive::kYes) return "";
  return std::to_string(file.pid);
}

}  // namespace interlink::engine
