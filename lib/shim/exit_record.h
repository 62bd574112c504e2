// ExitRecord: how a container ended. The shim writes it (temporary file, fdatasync, rename) before
// it tells anybody and before it leaves; from then on the file is the truth, the shim is not
// needed.
//
// Text, one key per line, in this order, every key once; an unknown version is refused:
//   interlink-exit 1
//   code=137
//   signal=9
//   started_ns=1700000000000000000
//   finished_ns=1700000001000000000
//   oom_kills=1
//   log_end=4711
//   reason=
#ifndef INTERLINK_SHIM_EXIT_RECORD_H_
#define INTERLINK_SHIM_EXIT_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "shim/text.h"

namespace interlink::shim {

struct ExitRecord {
  int32_t code = 0;          // exit status, or 128 + signal
  int32_t signal = 0;        // 0: it exited by itself
  uint64_t started_ns = 0;   // Unix time; 0: it was never started
  uint64_t finished_ns = 0;  // Unix time
  uint64_t oom_kills =
      0;                 // processes of its cgroup killed for memory; OOMKilled = this and code 137
  uint64_t log_end = 0;  // bytes of log; after a crash of the machine the file may be shorter
  std::string_view reason;  // one line for a person; mostly empty; at most kMaxReason
  static constexpr size_t kMaxReason = 512;
};

inline constexpr std::string_view kExitRecordVersion = "interlink-exit 1\n";
inline constexpr size_t kMaxExitRecord = 1024;

// Bytes written; 0: does not fit. Line ends inside the reason become spaces.
inline size_t FormatExitRecord(const ExitRecord& record, char* to, size_t capacity) {
  TextBuffer text(to, capacity);
  text.Add(kExitRecordVersion);
  text.Add("code=").AddNumber(record.code);
  text.Add("\nsignal=").AddNumber(record.signal);
  text.Add("\nstarted_ns=").AddUnsigned(record.started_ns);
  text.Add("\nfinished_ns=").AddUnsigned(record.finished_ns);
  text.Add("\noom_kills=").AddUnsigned(record.oom_kills);
  text.Add("\nlog_end=").AddUnsigned(record.log_end);
  text.Add("\nreason=");
  const size_t from = text.size();
  text.Add(Prefix(record.reason, ExitRecord::kMaxReason));
  if (text.overflow()) return 0;
  for (size_t i = from; i < text.size(); ++i) {
    if (to[i] == '\n' || to[i] == '\0') to[i] = ' ';
  }
  text.Add("\n");
  return text.overflow() ? 0 : text.size();
}

// False: not a record of this version. `record.reason` points into `bytes`.
inline bool ParseExitRecord(std::string_view bytes, ExitRecord& record) {
  if (bytes.size() > kMaxExitRecord) return false;
  Scanner scan(bytes);
  if (!scan.Skip(kExitRecordVersion)) return false;
  int64_t code = 0;
  int64_t signal = 0;
  if (!scan.Skip("code=") || !scan.Number(code) || !scan.Skip("\nsignal=") ||
      !scan.Number(signal) || !scan.Skip("\nstarted_ns=") || !scan.Unsigned(record.started_ns) ||
      !scan.Skip("\nfinished_ns=") || !scan.Unsigned(record.finished_ns) ||
      !scan.Skip("\noom_kills=") || !scan.Unsigned(record.oom_kills) || !scan.Skip("\nlog_end=") ||
      !scan.Unsigned(record.log_end) || !scan.Skip("\nreason=") ||
      !scan.Until('\n', record.reason) || !scan.rest().empty()) {
    return false;
  }
  if (code < 0 || code > 255 || signal < 0 || signal > 64) return false;
  record.code = static_cast<int32_t>(code);
  record.signal = static_cast<int32_t>(signal);
  return record.reason.size() <= ExitRecord::kMaxReason;
}

}  // namespace interlink::shim

#endif  // INTERLINK_SHIM_EXIT_RECORD_H_
