#include "sysctl.h"

#include <sched.h>

#include <cerrno>

namespace interlink::shim {
namespace {

constexpr size_t kMaxName = 200;

// Which names belong to which namespace; a '*' at the end stands for anything.
constexpr struct {
  std::string_view pattern;
  int flag;
} kOwned[] = {
    {"net/*", CLONE_NEWNET},
    {"kernel/shm*", CLONE_NEWIPC},
    {"kernel/msg*", CLONE_NEWIPC},
    {"kernel/sem", CLONE_NEWIPC},
    {"fs/mqueue/*", CLONE_NEWIPC},
    {"kernel/hostname", CLONE_NEWUTS},
    {"kernel/domainname", CLONE_NEWUTS},
};

bool Matches(std::string_view pattern, std::string_view name) {
  if (pattern.back() != '*') return pattern == name;
  pattern.remove_suffix(1);
  return Prefix(name, pattern.size()) == pattern;
}

// "net.ipv4.ip_forward" and "net/ipv4/ip_forward" are the same path; which of both separators
// stands first decides, the other one is then part of a name ("net/ipv4/conf/eth0.1/...").
bool ToPath(std::string_view name, TextBuffer& path) {
  if (name.empty() || name.size() > kMaxName) return false;
  char separator = '/';
  for (const char c : name) {
    if (c == '.' || c == '/') {
      separator = c;
      break;
    }
  }
  char last = '/';
  for (char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || c == '.' || c == '/';
    if (!plain) return false;
    if (separator == '.' && (c == '.' || c == '/')) c = c == '.' ? '/' : '.';
    // No empty component, none that begins with a dot.
    if (last == '/' && (c == '/' || c == '.')) return false;
    path.Add({&c, 1});
    last = c;
  }
  return last != '/' && !path.overflow();
}

Outcome Resolve(const char* setting, int flags, TextBuffer& path, std::string_view& value) {
  Scanner scan(setting);
  std::string_view name;
  if (!scan.Until('=', name) || !ToPath(name, path)) {
    return Outcome::Words(EINVAL, "sysctl: not NAME=VALUE with a plain name");
  }
  value = scan.rest();
  for (const auto& owned : kOwned) {
    if (Matches(owned.pattern, path.view()) && (flags & owned.flag) != 0) return {};
  }
  Text<400> text;
  text.Add("sysctl \"").Add(name).Add("\" is not of a namespace of its own");
  return Outcome::Words(EINVAL, text.view());
}

}  // namespace

Outcome CheckSysctl(const char* setting, int flags) {
  Text<kMaxName> path;
  std::string_view value;
  return Resolve(setting, flags, path, value);
}

Outcome WriteSysctl(const char* setting, int flags) {
  Text<kMaxName> path;
  std::string_view value;
  Outcome outcome = Resolve(setting, flags, path, value);
  if (!outcome.ok()) return outcome;
  Text<kMaxName + 16> file;
  file.Add("/proc/sys/").Add(path.view());
  return WriteControlFile(file.c_str(), value);
}

}  // namespace interlink::shim
