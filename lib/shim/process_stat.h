// ProcessStat: what /proc/PID/stat says of a process.
#ifndef INTERLINK_SHIM_PROCESS_STAT_H_
#define INTERLINK_SHIM_PROCESS_STAT_H_

#include <fcntl.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shim/text.h"

namespace interlink::shim {

struct ProcessStat {
  pid_t pid = 0;
  char state = '?';  // 'Z': ended, not yet reaped
  pid_t parent = 0;
  pid_t session = 0;
  uint64_t flags = 0;  // PF_* of the kernel
  uint64_t minor_faults = 0;
  uint64_t major_faults = 0;
  uint64_t cpu_ticks = 0;  // user and system, its own and of children that it has waited for
  uint64_t start = 0;      // clock ticks after boot
  uint64_t rss_pages = 0;
  uint64_t pending = 0;  // signals for its first thread: bit n - 1
};

// Reads at most `capacity` bytes of a file: their number, or -1 with errno.
inline ssize_t ReadSmallFile(const char* path, char* to, size_t capacity) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  size_t size = 0;
  ssize_t count = 0;
  while (size < capacity) {
    count = read(fd, to + size, capacity - size);
    if (count <= 0) break;
    size += static_cast<size_t>(count);
  }
  close(fd);
  return count < 0 ? -1 : static_cast<ssize_t>(size);
}

// The text of /proc/PID/stat (proc(5)). The command name may hold spaces and parentheses.
inline bool ParseProcessStat(std::string_view text, ProcessStat& stat) {
  constexpr size_t kFirst = 4;  // behind the state
  constexpr size_t kFirstUnsigned = 25;
  constexpr size_t kLast = 31;
  Scanner head(text);
  uint64_t pid = 0;
  if (!head.Unsigned(pid) || pid > INT32_MAX || !head.Skip(" (")) return false;
  size_t at = text.size();
  while (at > 0 && text[at - 1] != ')') --at;
  if (at == 0) return false;
  text.remove_prefix(at);
  Scanner scan(text);
  if (!scan.Skip(" ") || scan.rest().empty()) return false;
  stat.state = scan.rest()[0];
  if (!scan.Skip({&stat.state, 1})) return false;
  uint64_t fields[kLast - kFirst + 1] = {};
  for (size_t number = kFirst; number <= kLast; ++number) {
    int64_t value = 0;  // of those before kFirstUnsigned some are negative
    if (!scan.Skip(" ")) return false;
    if (number >= kFirstUnsigned) {
      if (!scan.Unsigned(fields[number - kFirst])) return false;
      continue;
    }
    if (!scan.Number(value)) return false;
    fields[number - kFirst] = value < 0 ? 0 : static_cast<uint64_t>(value);
  }
  const auto field = [&fields](size_t number) { return fields[number - kFirst]; };
  stat.pid = static_cast<pid_t>(pid);
  stat.parent = static_cast<pid_t>(field(4));
  stat.session = static_cast<pid_t>(field(6));
  stat.flags = field(9);
  stat.minor_faults = field(10);
  stat.major_faults = field(12);
  stat.cpu_ticks = field(14) + field(15) + field(16) + field(17);
  stat.start = field(22);
  stat.rss_pages = field(24);
  stat.pending = field(31);
  return true;
}

// It has ended or was killed, though it is seen for a while yet.
inline bool IsDying(const ProcessStat& stat) {
  constexpr uint64_t kExiting = 0x4;  // PF_EXITING
  constexpr uint64_t kKilled = uint64_t{1} << (SIGKILL - 1);
  return stat.state == 'Z' || stat.state == 'X' || (stat.flags & kExiting) != 0 ||
         (stat.pending & kKilled) != 0;
}

// False with errno ENOENT or ESRCH: there is no such process.
inline bool ReadProcessStat(pid_t pid, ProcessStat& stat) {
  Text<64> path;
  path.Add("/proc/").AddNumber(pid).Add("/stat");
  char bytes[1024];
  const ssize_t size = ReadSmallFile(path.c_str(), bytes, sizeof bytes);
  if (size < 0) return false;
  errno = EIO;
  return ParseProcessStat({bytes, static_cast<size_t>(size)}, stat);
}

}  // namespace interlink::shim

#endif  // INTERLINK_SHIM_PROCESS_STAT_H_
