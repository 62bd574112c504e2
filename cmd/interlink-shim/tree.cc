#include "tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <cerrno>

namespace interlink::shim {
namespace {

constexpr unsigned long kLimits = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
constexpr const char* kDevices[] = {"null", "zero", "full", "random", "urandom", "tty"};
constexpr struct {
  const char* name;
  const char* target;
} kDeviceLinks[] = {{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
                    {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
                    {"ptmx", "pts/ptmx"},          {"core", "/proc/kcore"}};

using FdPath = Text<64>;

const char* PathOf(const Fd& fd, FdPath& path) {
  path.Clear();
  path.Add("/proc/self/fd/").AddNumber(fd.get());
  return path.c_str();
}

Fd OpenBelow(const Fd& root, const char* place, uint64_t flags) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return Fd(static_cast<int>(syscall(SYS_openat2, root.get(), place, &how, sizeof how)));
}

// Makes the last part of `place` in the folder before it, where it is missing: a folder or a file.
Outcome MakeLast(const Fd& root, const char* place, const char* last, bool folder) {
  Text<4096> parent_path;
  parent_path.Add({place, static_cast<size_t>(last - place)});
  if (parent_path.overflow()) return Outcome::Errno(ENAMETOOLONG, place);
  const Fd parent = OpenBelow(root, parent_path.c_str(), O_PATH | O_DIRECTORY);
  if (!parent.valid()) return Outcome::Errno(errno, place);
  if (folder) {
    if (mkdirat(parent.get(), last, 0755) == 0 || errno == EEXIST) return {};
    return Outcome::Errno(errno, place);
  }
  const Fd file(openat(parent.get(), last, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (file.valid() || errno == EEXIST) return {};
  return Outcome::Errno(errno, place);
}

// Opens what is at `place`; makes it with its parents where it is missing.
Outcome OpenPlace(const Fd& root, std::string_view place, bool folder, Fd& found) {
  found = OpenBelow(root, place.data(), O_PATH);
  if (found.valid() || errno != ENOENT) {
    return found.valid() ? Outcome() : Outcome::Errno(errno, place);
  }
  Text<4096> part;
  if (place.size() >= 4096) return Outcome::Errno(ENAMETOOLONG, place);
  for (size_t at = 1; at <= place.size(); ++at) {
    if (at < place.size() && place[at] != '/') continue;
    part.Clear();
    part.Add({place.data(), at});
    const char* path = part.c_str();
    if (OpenBelow(root, path, O_PATH).valid()) continue;
    size_t last = at;
    while (last > 0 && path[last - 1] != '/') --last;
    Outcome made = MakeLast(root, path, path + last, folder || at < place.size());
    if (!made.ok()) return made;
  }
  found = OpenBelow(root, place.data(), O_PATH);
  return found.valid() ? Outcome() : Outcome::Errno(errno, place);
}

bool IsFolder(const Fd& fd) {
  struct stat about {};
  return fstat(fd.get(), &about) == 0 && S_ISDIR(about.st_mode);
}

// What a mount has it keeps, with `more`: the kernel refuses to take away what somebody else gave.
Outcome Limit(const Fd& root, std::string_view place, unsigned long more) {
  const Fd mounted = OpenBelow(root, place.data(), O_PATH);
  struct statvfs about {};
  if (!mounted.valid() || fstatvfs(mounted.get(), &about) != 0) {
    return Outcome::Errno(errno, place);
  }
  unsigned long flags = MS_BIND | MS_REMOUNT | more | (about.f_flag & kLimits);
  if ((about.f_flag & ST_NOATIME) != 0) flags |= MS_NOATIME;
  if ((about.f_flag & ST_NODIRATIME) != 0) flags |= MS_NODIRATIME;
  if ((about.f_flag & ST_RELATIME) != 0) flags |= MS_RELATIME;
  FdPath path;
  if (mount(nullptr, PathOf(mounted, path), nullptr, flags, nullptr) == 0) return {};
  return Outcome::Errno(errno, place);
}

struct MountWords {
  std::string_view place;
  const char* type;
  const char* source;
  uint64_t flags = 0;
  uint64_t propagation = 0;
  const char* data;
};

Outcome MountOne(const Fd& root, const MountWords& words) {
  const bool bind = (words.flags & MS_BIND) != 0;
  bool folder = true;
  if (bind) {
    const Fd source(open(words.source, O_PATH | O_CLOEXEC));
    if (!source.valid()) return Outcome::Errno(errno, words.source);
    folder = IsFolder(source);
  }
  Fd target;
  Outcome outcome = OpenPlace(root, words.place, folder, target);
  if (!outcome.ok()) return outcome;
  FdPath path;
  const unsigned long flags = bind ? words.flags & (MS_BIND | MS_REC) : words.flags;
  if (mount(words.source, PathOf(target, path), words.type, flags, bind ? nullptr : words.data) !=
      0) {
    const bool proc = std::string_view(words.type) == "proc";
    return Outcome::Errno(errno, proc ? "mount /proc (is part of it hidden here?)" : words.place);
  }
  if (bind && (words.flags & kLimits) != 0) {
    outcome = Limit(root, words.place, words.flags & kLimits);
    if (!outcome.ok()) return outcome;
  }
  if (words.propagation == 0) return {};
  const Fd mounted = OpenBelow(root, words.place.data(), O_PATH);
  if (mounted.valid() &&
      mount(nullptr, PathOf(mounted, path), nullptr, words.propagation, nullptr) == 0) {
    return {};
  }
  return Outcome::Errno(errno, words.place);
}

Outcome ParseMount(const LaunchItem& item, MountWords& words) {
  words.place = item.values[0];
  words.type = item.values[1].data();
  words.source = item.values[2].data();
  words.data = item.values[5].data();
  if (ParseUnsigned(item.values[3].data(), words.flags) &&
      ParseUnsigned(item.values[4].data(), words.propagation)) {
    return {};
  }
  return Outcome::Words(EPROTO, "the launch file is damaged");
}

// Where nothing is there is nothing to hide.
Outcome Mask(const Fd& root, const char* place) {
  const Fd target = OpenBelow(root, place, O_PATH);
  if (!target.valid()) return errno == ENOENT ? Outcome() : Outcome::Errno(errno, place);
  FdPath path;
  PathOf(target, path);
  const bool hidden = IsFolder(target)
                          ? mount("tmpfs", path.c_str(), "tmpfs", kLimits, "size=4k,mode=555") == 0
                          : mount("/dev/null", path.c_str(), nullptr, MS_BIND, nullptr) == 0;
  return hidden ? Outcome() : Outcome::Errno(errno, place);
}

Outcome Keep(const Fd& root, std::string_view place) {
  const Fd target = OpenBelow(root, place.data(), O_PATH);
  if (!target.valid()) return errno == ENOENT ? Outcome() : Outcome::Errno(errno, place);
  FdPath path;
  PathOf(target, path);
  if (mount(path.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) {
    return Outcome::Errno(errno, place);
  }
  return Limit(root, place, MS_RDONLY);
}

// Of a root that cannot be written: ch-run takes its /tmp apart, and would leave that writable. One
// that is a mount of its own stays as it is.
Outcome KeepTmp(const Fd& root) {
  struct statx of_root {};
  struct statx of_tmp {};
  if (statx(root.get(), "", AT_EMPTY_PATH, STATX_MNT_ID, &of_root) != 0 ||
      statx(root.get(), "tmp", AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &of_tmp) != 0) {
    return Outcome::Errno(errno, "/tmp");
  }
  return of_root.stx_mnt_id == of_tmp.stx_mnt_id ? Keep(root, "/tmp") : Outcome();
}

// The machine's own: without root no device can be made.
Outcome AddDevices(const Fd& root) {
  for (const char* name : kDevices) {
    Text<64> place;
    place.Add("/dev/").Add(name);
    const char* path = place.c_str();
    const Outcome bound =
        MountOne(root, {place.view(), "", path, MS_BIND | MS_NOSUID | MS_NOEXEC, 0, ""});
    if (!bound.ok()) return bound;
  }
  const Fd folder = OpenBelow(root, "/dev", O_PATH | O_DIRECTORY);
  for (const auto& link : kDeviceLinks) {
    if (symlinkat(link.target, folder.get(), link.name) != 0 && errno != EEXIST) {
      return Outcome::Errno(errno, link.name);
    }
  }
  return {};
}

Outcome OpenRoot(const char* path, Fd& root) {
  root = Fd(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  return root.valid() ? Outcome() : Outcome::Errno(errno, path);
}

}  // namespace

Outcome BuildTree(const Launch& launch) {
  Fd root;
  Outcome outcome = OpenRoot(launch.root(), root);
  // ch-run wants each of them, and follows links as if they were the machine's.
  for (const char* name : {"/dev", "/proc", "/sys", "/tmp"}) {
    Fd made;
    if (outcome.ok()) outcome = OpenPlace(root, name, true, made);
    struct stat about {};
    if (!outcome.ok()) return outcome;
    if (fstatat(root.get(), name + 1, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(about.st_mode)) {
      continue;
    }
    Text<128> words;
    words.Add("ch-run needs a folder as the image's \"").Add(name).Add("\"");
    return Outcome::Words(ENOTDIR, words.view());
  }
  LaunchScanner mounts(launch.bytes());
  for (LaunchItem item; outcome.ok() && mounts.Next(item);) {
    if (item.kind != LaunchKind::kMount) continue;
    MountWords words{};
    outcome = ParseMount(item, words);
    if (outcome.ok()) outcome = MountOne(root, words);
  }
  if (outcome.ok() && launch.read_only()) outcome = KeepTmp(root);
  if (outcome.ok()) outcome = AddDevices(root);
  LaunchScanner rest(launch.bytes());
  for (LaunchItem item; outcome.ok() && rest.Next(item);) {
    if (item.kind == LaunchKind::kMask) outcome = Mask(root, item.values[0].data());
    if (item.kind == LaunchKind::kKeep) outcome = Keep(root, item.values[0]);
  }
  return outcome;
}

Outcome OpenTerminal(const char* root_path, Fd& master) {
  Fd root;
  Outcome outcome = OpenRoot(root_path, root);
  if (!outcome.ok()) return outcome;
  master = OpenBelow(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
  if (!master.valid()) return Outcome::Errno(errno, "make a terminal");
  Text<4200> first;
  first.Add(root_path).Add("/dev/pts/0");
  return MountOne(root, {"/dev/console", "", first.c_str(), MS_BIND, 0, ""});
}

Outcome PutInPlace(const char* root) {
  constexpr const char* kPlaces[] = {"/dev", "/proc", "/sys", "/etc"};
  for (const char* place : kPlaces) {
    Scanner scan({root, std::string_view(root).size()});
    if (!scan.Skip(place) || !scan.Skip("/")) continue;
    Text<256> words;
    words.Add("ch-run takes ").Add(place).Add(" from the machine: no container can be kept there");
    return Outcome::Words(EINVAL, words.view());
  }
  for (const char* place : {"/dev", "/proc", "/sys"}) {
    Text<4096> source;
    source.Add(root).Add(place);
    if (source.overflow()) return Outcome::Errno(ENAMETOOLONG, root);
    if (mount(source.c_str(), place, nullptr, MS_BIND | MS_REC, nullptr) != 0) {
      return Outcome::Errno(errno, place);
    }
  }
  if (mount("tmpfs", "/etc", "tmpfs", kLimits, "size=4k") == 0) return {};
  return Outcome::Errno(errno, "cover /etc");
}

}  // namespace interlink::shim
