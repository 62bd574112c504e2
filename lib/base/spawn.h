// Children: the only way that a daemon starts a process (posix_spawn; clean signal mask and
// dispositions; no descriptor leaks into the child but those named; never through a shell).
// Thread-safe.
#ifndef INTERLINK_BASE_SPAWN_H_
#define INTERLINK_BASE_SPAWN_H_

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/call.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace interlink {

struct SpawnOptions {
  std::vector<std::string> argv;         // argv[0] is an absolute path or is found in PATH
  std::vector<std::string> environment;  // "NAME=value"; empty: PATH only
  // {ours, theirs}: theirs are the child's descriptor numbers. 0, 1, 2 not named here are
  // /dev/null.
  std::vector<std::pair<int, int>> descriptors;
  // Of its own; then RunCommand and WaitOrKill kill its whole process group, not only the child.
  bool new_session = false;
};

// A child with its pidfd. REQUIRES: Wait (or WaitOrKill) is called once, or the zombie stays.
struct Child {
  pid_t pid = -1;
  UniqueFd pidfd;
  bool leads_group = false;  // started with new_session
};

struct Exit {
  int code = 0;    // exit status, or 128 + signal
  int signal = 0;  // 0 when it exited by itself
};

Result<Child> Spawn(const SpawnOptions& options);

// Waits for the end; when the call's deadline passes or it is cancelled, kills the child (SIGKILL),
// reaps it and returns kDeadlineExceeded or kCancelled.
Result<Exit> WaitOrKill(const Call& call, Child child);

struct Output {
  Exit exit;
  std::string out;
  std::string err;
  // kDeadlineExceeded, kCancelled: it was killed (SIGKILL), as WaitOrKill does, and `exit` says so.
  Status killed = {};
};

// Runs to the end with `input` on stdin and collects both outputs, at most `limit` bytes each (more
// is read and dropped). A non-zero exit is a value, not an error; that it was killed is an error.
Result<Output> RunCommand(const Call& call, const SpawnOptions& options,
                          std::string_view input = "", size_t limit = 1 << 20);
// The same, but that it was killed is a value too: what it had said by then is there.
Result<Output> RunOrKill(const Call& call, const SpawnOptions& options, std::string_view input = "",
                         size_t limit = 1 << 20);

}  // namespace interlink

#endif  // INTERLINK_BASE_SPAWN_H_
