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
    if (!(numbers >> counters.rx_bytes >> skipped >> counters.rx_errors)) continue;
    for (int i = 0; i < 5; ++i) numbers >> skipped;
    if (!(numbers >> counters.tx_bytes >> skipped >> counters.tx_errors)) continue;
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
