// PidFile: a process id that survives its reuse, with the process's start time and the machine's
// boot.
//
//   "interlink-pid 1 PID START BOOT\n"    START: field 22 of /proc/PID/stat; BOOT: the kernel's
//   boot_id
#ifndef INTERLINK_SHIM_PIDFILE_H_
#define INTERLINK_SHIM_PIDFILE_H_

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "shim/process_stat.h"
#include "shim/text.h"

namespace interlink::shim {

struct PidFile {
  pid_t pid = 0;
  uint64_t start = 0;
  char boot[37] = {};  // a UUID in text, NUL at the end

  std::string_view boot_id() const { return {boot, std::strlen(boot)}; }
};

enum class Alive { kYes, kNo, kUnknown };  // kUnknown: /proc could not be read

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
