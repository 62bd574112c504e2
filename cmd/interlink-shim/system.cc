#include "system.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace interlink::shim {

Outcome Outcome::Words(int error, std::string_view words) {
  Outcome outcome;
  outcome.error_ = error != 0 ? error : EIO;
  while (!words.empty() && (words.back() == '\n' || words.back() == '\r' || words.back() == ' ')) {
    words.remove_suffix(1);
  }
  words = Prefix(words, sizeof outcome.text_);
  if (!words.empty()) std::memcpy(outcome.text_, words.data(), words.size());
  outcome.size_ = words.size();
  return outcome;
}

Outcome Outcome::Errno(int error, std::string_view what) {
  const char* description = strerrordesc_np(error);
  Text<sizeof text_> text;
  text.Add(Prefix(what, 800)).Add(": ");
  text.Add(description != nullptr ? description : "unknown error");
  return Words(error, text.view());
}

uint64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(now.tv_nsec);
}

int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

void SleepMs(int milliseconds) {
  timespec left{milliseconds / 1000, static_cast<long>(milliseconds % 1000) * 1'000'000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

Outcome WriteControlFile(const char* path, std::string_view bytes) {
  const Fd fd(open(path, O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return Outcome::Errno(errno, path);
  const ssize_t count = write(fd.get(), bytes.data(), bytes.size());
  if (count < 0) return Outcome::Errno(errno, path);
  if (static_cast<size_t>(count) != bytes.size()) return Outcome::Errno(EIO, path);
  return {};
}

Outcome ReplaceFile(const char* name, std::string_view bytes) {
  Text<128> temporary;
  temporary.Add(name).Add(".tmp");
  const char* path = temporary.c_str();
  {
    // What is there already is room for the new bytes.
    const Fd fd(open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.valid()) return Outcome::Errno(errno, path);
    const auto size = static_cast<off_t>(bytes.size());
    if (!WriteAll(fd.get(), bytes) || ftruncate(fd.get(), size) != 0 || fdatasync(fd.get()) != 0) {
      return Outcome::Errno(errno, path);
    }
  }
  if (rename(path, name) != 0) return Outcome::Errno(errno, name);
  return {};
}

Outcome MakePipe(Fd& read_end, Fd& write_end) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return Outcome::Errno(errno, "pipe");
  read_end = Fd(fds[0]);
  write_end = Fd(fds[1]);
  return {};
}

bool SetNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

int Complain(int exit_code, std::string_view text) {
  Text<2048> line;
  line.Add("interlink-shim: ").Add(Prefix(text, 2000)).Add("\n");
  // Nobody is left to tell when stderr is gone; the exit code stands.
  static_cast<void>(WriteAll(STDERR_FILENO, line.view()));
  return exit_code;
}

int Complain(int exit_code, const Outcome& outcome) { return Complain(exit_code, outcome.text()); }

void ResetSignals() {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

Outcome EnterCgroups(const char* const* files, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    // 0 is the writer, in whatever pid namespace it is.
    Outcome entered = WriteControlFile(files[i], "0");
    if (!entered.ok()) return entered;
  }
  return {};
}

bool Arguments::Next(std::string_view& name) {
  if (at_ >= argc_) return false;
  name = argv_[at_];
  ++at_;
  return name != "--";
}

const char* Arguments::Value() { return at_ < argc_ ? argv_[at_++] : nullptr; }

bool ParseUnsigned(const char* text, uint64_t& number) {
  Scanner scan(text);
  return scan.Unsigned(number) && scan.rest().empty();
}

}  // namespace interlink::shim
