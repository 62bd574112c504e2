// PidFile: a process id that survives its reuse, with the process's start time and the machine's
// boot.
//
//   "interlink-pid 1 PID START BOOT\n"    START: field 22 of /proc/PID/stat; BOOT: the kernel's
//   boot_id
#ifndef INTERLINK_SHIM_PIDFILE_H_
#define INTERLINK_SHIM_PIDFILE_H_

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "shim/text.h"

namespace interlink::shim {

struct ProcessStat {
  char state = '?';  // 'Z': ended, not yet reaped
  pid_t parent = 0;
  pid_t session = 0;
  uint64_t start = 0;  // clock ticks after boot
};

struct PidFile {
  pid_t pid = 0;
  uint64_t start = 0;
  char boot[37] = {};  // a UUID in text, NUL at the end

  std::string_view boot_id() const { return {boot, std::strlen(boot)}; }
};

enum class Alive { kYes, kNo, kUnknown };  // kUnknown: /proc could not be read

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

// The text of /proc/PID/stat. The command name may hold spaces and parentheses.
inline bool ParseProcessStat(std::string_view text, ProcessStat& stat) {
  size_t at = text.size();
  while (at > 0 && text[at - 1] != ')') --at;
  if (at == 0) return false;
  text.remove_prefix(at);
  Scanner scan(text);
  if (!scan.Skip(" ") || scan.rest().empty()) return false;
  stat.state = scan.rest()[0];
  int64_t fields[19] = {};  // 4 (parent) to 22 (start)
  if (!scan.Skip({&stat.state, 1})) return false;
  for (int64_t& field : fields) {
    if (!scan.Skip(" ") || !scan.Number(field)) return false;
  }
  stat.parent = static_cast<pid_t>(fields[0]);
  stat.session = static_cast<pid_t>(fields[2]);
  stat.start = static_cast<uint64_t>(fields[18]);
  return true;
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

inline bool ReadBootId(char (&boot)[37]) {
  char bytes[64];
  const ssize_t size = ReadSmallFile("/proc/sys/kernel/random/boot_id", bytes, sizeof bytes);
  if (size < 36) return false;
  std::memcpy(boot, bytes, 36);
  boot[36] = '\0';
  return true;
}

// Fills `file` for a living process of this boot.
inline bool IdentifyProcess(pid_t pid, PidFile& file) {
  ProcessStat stat;
  if (!ReadProcessStat(pid, stat) || !ReadBootId(file.boot)) return false;
  file.pid = pid;
  file.start = stat.start;
  return true;
}

// Bytes written; 0: does not fit.
inline size_t FormatPidFile(const PidFile& file, char* to, size_t capacity) {
  TextBuffer text(to, capacity);
  text.Add("interlink-pid 1 ").AddNumber(file.pid).Add(" ").AddUnsigned(file.start);
  text.Add(" ").Add(file.boot_id()).Add("\n");
  return text.overflow() ? 0 : text.size();
}

inline bool ParsePidFile(std::string_view bytes, PidFile& file) {
  Scanner scan(bytes);
  int64_t pid = 0;
  std::string_view boot;
  if (!scan.Skip("interlink-pid 1 ") || !scan.Number(pid) || !scan.Skip(" ") ||
      !scan.Unsigned(file.start) || !scan.Skip(" ") || !scan.Until('\n', boot) ||
      !scan.rest().empty() || boot.size() != 36 || pid <= 0 || pid > INT32_MAX) {
    return false;
  }
  file.pid = static_cast<pid_t>(pid);
  std::memcpy(file.boot, boot.data(), 36);
  file.boot[36] = '\0';
  return true;
}

// Whether that very process lives: another boot, another start time, no such process and a zombie
// are kNo.
inline Alive IsAlive(const PidFile& file) {
  char boot[37];
  if (!ReadBootId(boot)) return Alive::kUnknown;
  if (std::memcmp(boot, file.boot, 36) != 0) return Alive::kNo;
  ProcessStat stat;
  if (!ReadProcessStat(file.pid, stat)) {
    return errno == ENOENT || errno == ESRCH ? Alive::kNo : Alive::kUnknown;
  }
  return stat.start == file.start && stat.state != 'Z' && stat.state != 'X' ? Alive::kYes
                                                                            : Alive::kNo;
}

}  // namespace interlink::shim

#endif  // INTERLINK_SHIM_PIDFILE_H_
