// What every part of the shim needs from the system: errors as values, owned descriptors, small
// files, command lines. No C++ runtime library, no heap. Not thread-safe: the shim has one thread.
#ifndef INTERLINK_CMD_SHIM_SYSTEM_H_
#define INTERLINK_CMD_SHIM_SYSTEM_H_

#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "shim/text.h"

namespace interlink::shim {

// What one read of output takes at most, on the stack.
constexpr size_t kReadChunk = size_t{32} * 1024;

// OK, or an errno value and words for a person.
class [[nodiscard]] Outcome {
 public:
  Outcome() = default;
  // "what: text of the error"
  static Outcome Errno(int error, std::string_view what);
  // `words` as they are, without line ends at their end.
  static Outcome Words(int error, std::string_view words);

  bool ok() const { return error_ == 0; }
  int error() const { return error_; }
  std::string_view text() const { return {text_, size_}; }

 private:
  int error_ = 0;
  size_t size_ = 0;
  char text_[1024];
};

// Owns a descriptor. Movable.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { Close(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

// Unix time and time that only rises.
uint64_t NowNs();
int64_t NowMs();
void SleepMs(int milliseconds);

// False with errno. Goes on after short writes and EINTR.
bool WriteAll(int fd, std::string_view bytes);
// Opens an existing file and writes to it in one write(2), as cgroup and sysctl files want it.
Outcome WriteControlFile(const char* path, std::string_view bytes);
// Writes `name` anew, in the current directory: NAME.tmp, fdatasync, rename. In the room of a
// NAME.tmp that is there.
Outcome ReplaceFile(const char* name, std::string_view bytes);
Outcome MakePipe(Fd& read_end, Fd& write_end);
bool SetNonBlocking(int fd);

// Writes "interlink-shim: text" to stderr; the command's exit code for it.
int Complain(int exit_code, std::string_view text);
int Complain(int exit_code, const Outcome& outcome);

// All signals at their defaults, none blocked.
void ResetSignals();
// Enters cgroups: writes us into each cgroup.procs file.
Outcome EnterCgroups(const char* const* files, size_t count);

// The arguments of a command: `--name`, `--name value`, and `--` before the rest.
class Arguments {
 public:
  Arguments(int argc, char** argv) : argc_(argc), argv_(argv) {}

  // The next option; false at the end and after `--`.
  bool Next(std::string_view& name);
  // The value of the option that Next gave; nullptr: there is none.
  const char* Value();
  // What stands behind `--`, ended by a nullptr. REQUIRES: Next answered false.
  char** rest() const { return argv_ + at_; }
  bool has_rest() const { return at_ < argc_; }

 private:
  int argc_;
  char** argv_;
  int at_ = 0;
};

bool ParseUnsigned(const char* text, uint64_t& number);

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_SYSTEM_H_
