#include "engine/capabilities.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

#include "base/file.h"

namespace interlink::engine {
namespace {

// By number, from capability.h of the kernel's interface.
constexpr std::array kNames = {"CAP_CHOWN",
                               "CAP_DAC_OVERRIDE",
                               "CAP_DAC_READ_SEARCH",
                               "CAP_FOWNER",
                               "CAP_FSETID",
                               "CAP_KILL",
                               "CAP_SETGID",
                               "CAP_SETUID",
                               "CAP_SETPCAP",
                               "CAP_LINUX_IMMUTABLE",
                               "CAP_NET_BIND_SERVICE",
                               "CAP_NET_BROADCAST",
                               "CAP_NET_ADMIN",
                               "CAP_NET_RAW",
                               "CAP_IPC_LOCK",
                               "CAP_IPC_OWNER",
                               "CAP_SYS_MODULE",
                               "CAP_SYS_RAWIO",
                               "CAP_SYS_CHROOT",
                               "CAP_SYS_PTRACE",
                               "CAP_SYS_PACCT",
                               "CAP_SYS_ADMIN",
                               "CAP_SYS_BOOT",
                               "CAP_SYS_NICE",
                               "CAP_SYS_RESOURCE",
                               "CAP_SYS_TIME",
                               "CAP_SYS_TTY_CONFIG",
                               "CAP_MKNOD",
                               "CAP_LEASE",
                               "CAP_AUDIT_WRITE",
                               "CAP_AUDIT_CONTROL",
                               "CAP_SETFCAP",
                               "CAP_MAC_OVERRIDE",
                               "CAP_MAC_ADMIN",
                               "CAP_SYSLOG",
                               "CAP_WAKE_ALARM",
                               "CAP_BLOCK_SUSPEND",
                               "CAP_AUDIT_READ",
                               "CAP_PERFMON",
                               "CAP_BPF",
                               "CAP_CHECKPOINT_RESTORE"};

// What a container has when nothing is asked: what users of containers are used to.
constexpr CapabilitySet kDefault = 0xa80425fb;

constexpr size_t kNetBroadcast = 11;
constexpr size_t kNetAdmin = 12;
constexpr size_t kIpcLock = 14;

constexpr CapabilitySet Bit(size_t number) { return CapabilitySet{1} << number; }

std::string Canonical(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return upper == "ALL" || upper.rfind("CAP_", 0) == 0 ? upper : "CAP_" + upper;
}

constexpr CapabilitySet kEverything = Bit(kNames.size()) - 1;

Result<CapabilitySet> Parse(const std::string& name) {
  const std::string canonical = Canonical(name);
  if (canonical == "ALL") return kEverything;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (canonical == kNames[i]) return Bit(i);
  }
  return InvalidArgument("unknown capability \"" + name + "\"");
}

struct Parsed {
  CapabilitySet named = 0;
  bool all = false;
};

Result<Parsed> ParseAll(const std::vector<std::string>& names, const char* field) {
  Parsed parsed;
  for (const std::string& name : names) {
    auto set = Parse(name);
    if (!set.ok()) return set.status().WithContext(field);
    if (*set == kEverything) {
      parsed.all = true;
    } else {
      parsed.named |= *set;
    }
  }
  return parsed;
}

Status RefuseMissing(CapabilitySet named, CapabilitySet own) {
  if ((named & ~own) == 0) return {};
  return InvalidArgument("capability " + CapabilityNames(named & ~own).front() +
                         " is not available at this site");
}

Result<CapabilitySet> OwnSet(std::string_view key) {
  ASSIGN_OR_RETURN(const std::string status, ReadFile("/proc/self/status"));
  const size_t at = status.find(key);
  if (at == std::string::npos) return InternalError("no " + std::string(key) + " in /proc");
  return std::strtoull(status.c_str() + at + key.size(), nullptr, 16);
}

}  // namespace

Result<ProcessCapabilities> ResolveCapabilities(const CapabilityRequest& request,
                                                CapabilitySet own) {
  ASSIGN_OR_RETURN(const Parsed add, ParseAll(request.add, "add_capabilities"));
  ASSIGN_OR_RETURN(const Parsed drop, ParseAll(request.drop, "drop_capabilities"));
  ASSIGN_OR_RETURN(const Parsed ambient, ParseAll(request.add_ambient, "add_ambient_capabilities"));
  if (request.privileged) return ProcessCapabilities{own & kEverything, 0};
  RETURN_IF_ERROR(RefuseMissing(add.named | ambient.named, own));
  CapabilitySet set = kDefault;
  if (add.all) set = kEverything;
  if (drop.all) set = 0;
  set |= add.named;
  set &= ~drop.named;
  ProcessCapabilities result;
  result.ambient = ambient.all ? set & own : ambient.named & ~drop.named;
  result.bounding = (set | result.ambient) & own;
  return result;
}

CapabilitySet HarmlessCapabilities(bool own_network) {
  CapabilitySet set = kDefault | Bit(kNetBroadcast) | Bit(kIpcLock);
  if (own_network) set |= Bit(kNetAdmin);
  return set;
}

std::vector<std::string> CapabilityNames(CapabilitySet set) {
  std::vector<std::string> names;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if ((set & Bit(i)) != 0) names.emplace_back(kNames[i]);
  }
  return names;
}

bool Has(CapabilitySet set, std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames[i]) return (set & Bit(i)) != 0;
  }
  return false;
}

Result<CapabilitySet> OwnBoundingSet() { return OwnSet("CapBnd:"); }
Result<CapabilitySet> OwnEffectiveSet() { return OwnSet("CapEff:"); }

}  // namespace interlink::engine
