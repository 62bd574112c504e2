#include "engine/seccomp_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <span>

#include "base/file.h"
#include "engine/host_mounts.h"

namespace interlink::engine {
namespace {

using nlohmann::json;

constexpr size_t kMaxFile = 1U << 20U;
constexpr size_t kMaxName = 64;
constexpr size_t kMaxArguments = 6;  // of a system call
constexpr uint64_t kMaxErrno = 4095;

// SCMP_ACT_NOTIFY is not among them: it asks a listener outside of the container.
constexpr std::array<std::string_view, 8> kActions = {
    "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE",        "SCMP_ACT_ALLOW",       "SCMP_ACT_LOG"};
constexpr std::array<std::string_view, 7> kOperators = {
    "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
    "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
constexpr std::array<std::string_view, 3> kFlags = {
    "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"};
constexpr std::array<std::string_view, 20> kArchitectures = {
    "SCMP_ARCH_X86",      "SCMP_ARCH_X86_64",   "SCMP_ARCH_X32",         "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",  "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",      "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",   "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_PPC",         "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",  "SCMP_ARCH_S390",     "SCMP_ARCH_S390X",       "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",  "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_MIPSEL64N32"};

Status Wrong(const std::string& place, const std::string& wanted) {
  return InvalidArgument(place + " is not " + wanted);
}

Status CheckKeys(const json& object, std::span<const std::string_view> known,
                 const std::string& place) {
  for (const auto& item : object.items()) {
    if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
    for (const char* docker : {"archMap", "includes", "excludes", "name"}) {
      if (item.key() != docker) continue;
      return InvalidArgument(place + " has \"" + docker +
                             "\", which is of Docker's form of a profile: write it as the OCI "
                             "runtime specification's linux.seccomp");
    }
    if (item.key().rfind("listener", 0) == 0) {
      return InvalidArgument(place + " has a listener, which is not supported");
    }
    return InvalidArgument(place + " has a key that the OCI runtime specification does not know");
  }
  return {};
}

Result<std::string> Word(const json& value, std::span<const std::string_view> known,
                         const std::string& place, const std::string& kind) {
  if (value.is_string()) {
    const auto& word = value.get_ref<const std::string&>();
    if (std::find(known.begin(), known.end(), word) != known.end()) return word;
  }
  return Wrong(place, kind);
}

Result<json> KnownWords(const json& value, std::span<const std::string_view> known,
                        const std::string& place, const std::string& kind) {
  if (!value.is_array()) return Wrong(place, "a list");
  json words = json::array();
  for (size_t i = 0; i < value.size(); ++i) {
    ASSIGN_OR_RETURN(const std::string word,
                     Word(value[i], known, place + "[" + std::to_string(i) + "]", kind));
    words.push_back(word);
  }
  return words;
}

Result<uint64_t> Number(const json& value, uint64_t most, const std::string& place) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > most) {
    return Wrong(place, "a number from 0 to " + std::to_string(most));
  }
  return value.get<uint64_t>();
}

Result<json> Names(const json& value, const std::string& place) {
  if (!value.is_array() || value.empty()) return Wrong(place, "a list of system calls");
  for (const json& name : value) {
    const bool plain =
        name.is_string() && !name.get_ref<const std::string&>().empty() &&
        name.get_ref<const std::string&>().size() <= kMaxName &&
        std::all_of(
            name.get_ref<const std::string&>().begin(), name.get_ref<const std::string&>().end(),
            [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
    if (!plain) return Wrong(place, "a list of names of system calls");
  }
  return value;
}

Result<json> Argument(const json& value, const std::string& place) {
  static constexpr std::array<std::string_view, 4> kKeys = {"index", "value", "valueTwo", "op"};
  if (!value.is_object()) return Wrong(place, "an object");
  RETURN_IF_ERROR(CheckKeys(value, kKeys, place));
  json argument;
  ASSIGN_OR_RETURN(argument["index"],
                   Number(value.value("index", json(0U)), kMaxArguments - 1, place + ".index"));
  ASSIGN_OR_RETURN(argument["value"],
                   Number(value.value("value", json(0U)), UINT64_MAX, place + ".value"));
  if (value.contains("valueTwo")) {
    ASSIGN_OR_RETURN(argument["valueTwo"],
                     Number(value["valueTwo"], UINT64_MAX, place + ".valueTwo"));
  }
  ASSIGN_OR_RETURN(argument["op"],
                   Word(value.value("op", json()), kOperators, place + ".op", "an operator"));
  return argument;
}

Result<json> Rule(const json& value, const std::string& place) {
  static constexpr std::array<std::string_view, 5> kKeys = {"names", "action", "errnoRet", "args",
                                                            "comment"};
  if (!value.is_object()) return Wrong(place, "an object");
  RETURN_IF_ERROR(CheckKeys(value, kKeys, place));
  json rule;
  ASSIGN_OR_RETURN(rule["names"], Names(value.value("names", json()), place + ".names"));
  ASSIGN_OR_RETURN(rule["action"],
                   Word(value.value("action", json()), kActions, place + ".action", "an action"));
  if (const auto found = value.find("errnoRet"); found != value.end()) {
    ASSIGN_OR_RETURN(rule["errnoRet"], Number(*found, kMaxErrno, place + ".errnoRet"));
  }
  const auto args = value.find("args");
  if (args == value.end() || args->is_null()) return rule;
  if (!args->is_array() || args->size() > kMaxArguments) {
    return Wrong(place + ".args", "a list of at most 6 conditions");
  }
  rule["args"] = json::array();
  for (size_t i = 0; i < args->size(); ++i) {
    ASSIGN_OR_RETURN(const json argument,
                     Argument((*args)[i], place + ".args[" + std::to_string(i) + "]"));
    rule["args"].push_back(argument);
  }
  return rule;
}

Result<json> Profile(const json& from) {
  static constexpr std::array<std::string_view, 5> kKeys = {"defaultAction", "defaultErrnoRet",
                                                            "architectures", "flags", "syscalls"};
  if (!from.is_object()) return InvalidArgument("the file is not a JSON object");
  RETURN_IF_ERROR(CheckKeys(from, kKeys, "the profile"));
  json profile;
  ASSIGN_OR_RETURN(profile["defaultAction"], Word(from.value("defaultAction", json()), kActions,
                                                  "defaultAction", "an action"));
  if (from.contains("defaultErrnoRet")) {
    ASSIGN_OR_RETURN(profile["defaultErrnoRet"],
                     Number(from["defaultErrnoRet"], kMaxErrno, "defaultErrnoRet"));
  }
  if (from.contains("architectures")) {
    ASSIGN_OR_RETURN(profile["architectures"], KnownWords(from["architectures"], kArchitectures,
                                                          "architectures", "an architecture"));
  }
  if (from.contains("flags")) {
    ASSIGN_OR_RETURN(profile["flags"], KnownWords(from["flags"], kFlags, "flags", "a flag"));
  }
  profile["syscalls"] = json::array();
  const json rules = from.value("syscalls", json::array());
  if (!rules.is_array()) return Wrong("syscalls", "a list");
  for (size_t i = 0; i < rules.size(); ++i) {
    ASSIGN_OR_RETURN(const json rule, Rule(rules[i], "syscalls[" + std::to_string(i) + "]"));
    profile["syscalls"].push_back(rule);
  }
  return profile;
}

}  // namespace

Result<std::string> ParseSeccompProfile(std::string_view bytes) {
  const json from = json::parse(bytes, nullptr, false);
  if (from.is_discarded()) return InvalidArgument("the file is not JSON");
  ASSIGN_OR_RETURN(const json profile, Profile(from));
  return profile.dump();
}

Result<std::string> ReadSeccompProfile(const std::string& resolved) {
  ASSIGN_OR_RETURN(const UniqueFd found, OpenResolved(resolved));
  struct stat about {};
  if (fstat(found.get(), &about) != 0) return ErrnoStatus(errno, "stat \"" + resolved + "\"");
  if (!S_ISREG(about.st_mode)) return InvalidArgument("\"" + resolved + "\" is no file");
  const auto bytes = ReadFile("/proc/self/fd/" + std::to_string(found.get()), kMaxFile);
  if (bytes.status().code() == Code::kResourceExhausted) {
    return InvalidArgument("\"" + resolved + "\" is larger than 1 MiB");
  }
  if (!bytes.ok()) return bytes.status();
  auto profile = ParseSeccompProfile(*bytes);
  if (!profile.ok()) return profile.status().WithContext("\"" + resolved + "\"");
  return profile;
}

}  // namespace interlink::engine
