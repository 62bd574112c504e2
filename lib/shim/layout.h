// Files of a container's directory, and the two offsets beside its log.
//
//   DIR/            made by the engine (0700); lives until the engine removes it
//     lock          flock()ed while the shim lives: a second `run` is refused
//     shim.pid      pidfile.h, of the shim
//     pid           pidfile.h, of the container's first process; there once `run` has answered OK
//     ctl           control socket (0600); refused or absent = no shim
//     log           CRI log lines; append-only, never cut; offsets count from the container's start
//     log.ack       u64 little-endian, pwritten by the engine: everything below is not needed any
//     more.
//                   The engine may punch a hole below it
//     log.start     u64 little-endian, pwritten by the shim before it punches a hole: below it the
//     log
//                   was dropped because it outgrew --log-limit. Absent: 0. A reader reads bytes
//                   first and log.start after them: an offset below it means that the bytes are not
//                   the log, that log.start - offset bytes are lost, and that log.start begins a
//                   line
//     exit          exit_record.h; exists = the container has ended
//     exit.tmp      room for it, beside a living container
//     shim.log      what went wrong in the shim itself; absent when nothing did
//     exec.N.*      of sessions that are open
#ifndef INTERLINK_SHIM_LAYOUT_H_
#define INTERLINK_SHIM_LAYOUT_H_

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>

#include "shim/frames.h"

namespace interlink::shim {

inline constexpr const char* kLockFile = "lock";
inline constexpr const char* kShimPidFile = "shim.pid";
inline constexpr const char* kPidFile = "pid";
inline constexpr const char* kControlSocket = "ctl";
inline constexpr const char* kLogFile = "log";
inline constexpr const char* kLogAckFile = "log.ack";
inline constexpr const char* kLogStartFile = "log.start";
inline constexpr const char* kExitFile = "exit";
inline constexpr const char* kExitReserve = "exit.tmp";
inline constexpr const char* kShimLogFile = "shim.log";

// Exit codes of every command of interlink-shim; the reason is on stderr, one line, mostly crun's
// own.
inline constexpr int kCommandOk = 0;
inline constexpr int kCommandFailed = 1;
inline constexpr int kCommandUsage = 2;
inline constexpr int kCommandExists = 3;   // run: this directory was used; pin: already pinned
inline constexpr int kCommandRefused = 4;  // dial: nothing listens; ch-run try: it cannot

// The offset that log.ack or log.start holds; 0 when it was never written. `fd`: the open file.
inline uint64_t ReadLogOffset(int fd) {
  char bytes[8];
  return pread(fd, bytes, sizeof bytes, 0) == sizeof bytes ? wire::Get<uint64_t>(bytes) : 0;
}

inline bool WriteLogOffset(int fd, uint64_t offset) {
  char bytes[8];
  wire::Put(bytes, offset);
  return pwrite(fd, bytes, sizeof bytes, 0) == sizeof bytes;
}

}  // namespace interlink::shim

#endif  // INTERLINK_SHIM_LAYOUT_H_
