#include "launch.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>

namespace interlink::shim {
namespace {

constexpr size_t kMaxFile = size_t{8} << 20U;  // more than a command line and its environment
constexpr size_t kMaxPasswd = size_t{4} << 20U;
constexpr std::string_view kUsualPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Outcome NoLaunch() { return Outcome::Words(EPROTO, "the launch file is damaged"); }

bool ParseView(std::string_view text, uint64_t& number) {
  Scanner scan(text);
  return scan.Unsigned(number) && scan.rest().empty();
}

// Field `wanted` of a line of /etc/passwd.
std::string_view FieldOf(std::string_view line, size_t wanted) {
  Scanner scan(line);
  std::string_view field;
  for (size_t i = 0; i <= wanted; ++i) {
    if (!scan.Until(':', field)) return {};
  }
  return field;
}

// A job's keys are not its containers'.
Outcome LeaveKeyring() {
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0 || errno == ENOSYS) return {};
  return Outcome::Errno(errno, "take a keyring of its own");
}

// Of root: what it may not have. Everybody else has none and can get none.
Outcome LimitCapabilities(uint64_t bounding) {
  for (int number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number) {
    if ((bounding >> static_cast<unsigned>(number) & 1U) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) {
      return Outcome::Errno(errno, "drop a capability");
    }
  }
  return {};
}

}  // namespace

Outcome Launch::Read(int fd) {
  struct stat about {};
  if (fstat(fd, &about) != 0) return Outcome::Errno(errno, "the launch file");
  const auto size = static_cast<size_t>(about.st_size);
  if (size == 0 || size > kMaxFile) return NoLaunch();
  if (!file_.Reserve(size)) return Outcome::Errno(ENOMEM, "the launch file");
  for (size_ = 0; size_ < size;) {
    const ssize_t count = pread(fd, file_.data() + size_, size - size_, static_cast<off_t>(size_));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count < 0 ? Outcome::Errno(errno, "the launch file") : NoLaunch();
    size_ += static_cast<size_t>(count);
  }
  LaunchScanner scan(bytes());
  for (LaunchItem item; scan.Next(item);) {
    Outcome taken = Take(item);
    if (!taken.ok()) return taken;
  }
  if (scan.failed() || !has_user_ || folder_ == nullptr || words_ == 0) return NoLaunch();
  if (!pointers_.Reserve((words_ + envs_ + 3) * sizeof(char*))) {
    return Outcome::Errno(ENOMEM, "the launch file");
  }
  FillWords();
  return {};
}

Outcome Launch::Take(const LaunchItem& item) {
  bool good = true;
  switch (item.kind) {
    case LaunchKind::kRoot:
      root_ = item.values[0].data();
      break;
    case LaunchKind::kReadOnly:
      read_only_ = true;
      break;
    case LaunchKind::kUser:
      good = has_user_ = ParseView(item.values[0], user_) && ParseView(item.values[1], group_);
      break;
    case LaunchKind::kBounding:
      good = ParseView(item.values[0], bounding_);
      break;
    case LaunchKind::kOomScore:
      oom_score_ = item.values[0];
      break;
    case LaunchKind::kTerminal:
      terminal_ = true;
      break;
    case LaunchKind::kFolder:
      folder_ = item.values[0].data();
      break;
    case LaunchKind::kWord:
      ++words_;
      break;
    case LaunchKind::kEnv:
      ++envs_;
      break;
    case LaunchKind::kNamespace:
    case LaunchKind::kMount:
    case LaunchKind::kMask:
    case LaunchKind::kKeep:
      break;
  }
  return good ? Outcome() : NoLaunch();
}

void Launch::FillWords() {
  auto** words = reinterpret_cast<const char**>(pointers_.data());
  const char** envs = words + words_ + 1;
  words[words_] = nullptr;
  envs[envs_] = nullptr;
  envs[envs_ + 1] = nullptr;
  LaunchScanner scan(bytes());
  for (LaunchItem item; scan.Next(item);) {
    if (item.kind == LaunchKind::kWord) *words++ = item.values[0].data();
    if (item.kind == LaunchKind::kEnv) *envs++ = item.values[0].data();
  }
}

const char* Launch::Namespace(std::string_view kind) const {
  LaunchScanner scan(bytes());
  for (LaunchItem item; scan.Next(item);) {
    if (item.kind == LaunchKind::kNamespace && item.values[0] == kind) {
      return item.values[1].data();
    }
  }
  return nullptr;
}

Outcome Launch::Prepare() {
  if (chdir(folder_) != 0) return Outcome::Errno(errno, folder_);
  const Outcome home = AddHome();
  return home.ok() ? Find(reinterpret_cast<const char* const*>(pointers_.data())[0]) : home;
}

Outcome Launch::AddHome() {
  auto** env = reinterpret_cast<const char**>(pointers_.data()) + words_ + 1;
  for (; *env != nullptr; ++env) {
    if (Prefix(*env, 5) == "HOME=") return {};
  }
  TextBuffer home(home_, sizeof home_ - 1);
  home.Add("HOME=");
  *env = home_;
  // The image may have put something else there, which an open would wait for.
  const Fd file(open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat about {};
  if (file.valid() && fstat(file.get(), &about) == 0 && S_ISREG(about.st_mode) &&
      about.st_size > 0 && static_cast<size_t>(about.st_size) <= kMaxPasswd) {
    Pages passwd;
    const auto size = static_cast<size_t>(about.st_size);
    if (!passwd.Reserve(size)) return Outcome::Errno(ENOMEM, "/etc/passwd");
    const ssize_t count = read(file.get(), passwd.data(), size);
    if (count < 0) return Outcome::Errno(errno, "/etc/passwd");
    Scanner lines({passwd.data(), static_cast<size_t>(count)});
    for (std::string_view line; home.size() == 5 && lines.Until('\n', line);) {
      uint64_t uid = 0;
      if (ParseView(FieldOf(line, 2), uid) && uid == user_) home.Add(FieldOf(line, 5));
    }
  }
  if (home.size() == 5) home.Add("/");
  return {};
}

Outcome Launch::Find(const char* word) {
  const std::string_view name(word);
  TextBuffer path(program_, sizeof program_ - 1);
  if (std::memchr(name.data(), '/', name.size()) != nullptr) {
    if (access(word, X_OK) != 0) return Outcome::Errno(errno, name);
    path.Add(name);
    if (path.overflow()) return Outcome::Errno(ENAMETOOLONG, name);
    return {};
  }
  std::string_view folders = kUsualPath;
  const char* const* env = reinterpret_cast<const char* const*>(pointers_.data()) + words_ + 1;
  for (; *env != nullptr; ++env) {
    const std::string_view entry(*env);
    if (Prefix(entry, 5) == "PATH=") folders = {entry.data() + 5, entry.size() - 5};
  }
  while (!name.empty() && !folders.empty()) {
    const void* colon = std::memchr(folders.data(), ':', folders.size());
    const size_t size = colon == nullptr
                            ? folders.size()
                            : static_cast<size_t>(static_cast<const char*>(colon) - folders.data());
    path.Clear();
    std::memset(program_, 0, sizeof program_);
    path.Add(size == 0 ? std::string_view(".") : Prefix(folders, size)).Add("/").Add(name);
    struct stat about {};
    if (!path.overflow() && stat(program_, &about) == 0 && S_ISREG(about.st_mode) &&
        access(program_, X_OK) == 0) {
      return {};
    }
    folders.remove_prefix(size == folders.size() ? size : size + 1);
  }
  Text<1000> words;
  words.Add("\"").Add(Prefix(name, 900)).Add("\" is no program in PATH");
  return Outcome::Words(ENOENT, words.view());
}

Outcome Launch::Become() {
  Outcome outcome = LeaveKeyring();
  if (outcome.ok() && geteuid() == 0) outcome = LimitCapabilities(bounding_);
  if (outcome.ok() && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    outcome = Outcome::Errno(errno, "give up new privileges");
  }
  if (!outcome.ok()) return outcome;
  auto* words = reinterpret_cast<char**>(pointers_.data());
  execve(program_, words, words + words_ + 1);
  return Outcome::Errno(errno, program_);
}

}  // namespace interlink::shim
