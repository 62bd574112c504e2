#include "slurm/options.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/container_engines.h"
#include "slurm/job_values.h"
#include "slurm/numbers.h"
#include "slurm_wishes/sbatch_flags.h"
#include "slurm_wishes/wishes.h"

namespace interlink::slurm {
namespace {

using sdk::Option;

// 107 bytes of a Unix socket, less those of relay_command.h and of the name that a relay takes
// first.
constexpr size_t kLongestRelayFolder =
    107 - (sizeof("/interlink-") - 1) - 32 - (sizeof("/hub.4194304") - 1);
constexpr std::string_view kHandlersPrefix = "Handlers.";
constexpr std::string_view kRulesPrefix = "Rules.";

// As they are written below Handlers.NAME and Rules, and as wishes.h has them.
constexpr std::array<std::pair<std::string_view, std::string_view>,
                     slurm_wishes::kOptionKeys.size()>
    kKeys = {{{"CPUs", "cpus"},
              {"Memory", "memory"},
              {"GPUs", "gpus"},
              {"Gres", "gres"},
              {"Time", "time"},
              {"Partition", "partition"},
              {"Account", "account"},
              {"QOS", "qos"},
              {"Reservation", "reservation"},
              {"Constraint", "constraint"}}};

Status MalformedOption(const Option& option, const std::string& wanted) {
  return InvalidArgument(option.where + ": \"" + option.key + "\" must be " + wanted);
}

Status UnknownOption(const Option& option) {
  return InvalidArgument(option.where + ": unknown option \"" + option.key + "\"");
}

std::string KnownKeys() {
  std::string known;
  for (const auto& [name, key] : kKeys) known += (known.empty() ? "" : ", ") + std::string(name);
  return known;
}

// "Key[3]" -> "Key".
std::string_view WithoutIndexOf(std::string_view key) { return key.substr(0, key.find('[')); }

std::optional<std::string_view> KeyNamed(std::string_view name) {
  for (const auto& [written, key] : kKeys) {
    if (written == name) return key;
  }
  return std::nullopt;
}

Status ParseFlag(const Option& option, bool& value) {
  if (option.value != "true" && option.value != "false") {
    return MalformedOption(option, "true or false");
  }
  value = option.value == "true";
  return {};
}

// It becomes a word of a job's script, which has no control characters.
Status ParsePathOption(const Option& option, std::string& value) {
  const bool plain = std::all_of(option.value.begin(), option.value.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' && c != 0x7f;
  });
  if (option.value.empty() || option.value[0] != '/' || !plain) {
    return MalformedOption(option, "an absolute path");
  }
  value = option.value;
  while (value.size() > 1 && value.back() == '/') value.pop_back();
  return {};
}

Status ParseSeconds(const Option& option, int64_t least, int64_t most,
                    std::chrono::seconds& value) {
  const auto seconds = ParseDigits<int64_t>(option.value);
  if (!seconds || *seconds < least || *seconds > most) {
    return MalformedOption(option, "a number of seconds from " + std::to_string(least) + " to " +
                                       std::to_string(most));
  }
  value = std::chrono::seconds(*seconds);
  return {};
}

Status ParseTransport(const Option& option, Transport& transport) {
  for (const Transport one : {Transport::kDirect, Transport::kSrun, Transport::kAuto}) {
    if (option.value != NameOf(one)) continue;
    transport = one;
    return {};
  }
  return MalformedOption(option, "direct, srun or auto");
}

Status ParseJobUser(const Option& option, bool& mapped) {
  if (option.value != "own" && option.value != "mapped") {
    return MalformedOption(option, "own or mapped");
  }
  mapped = option.value == "mapped";
  return {};
}

Status ParseQueue(const Option& option, bool& at_start) {
  if (option.value != "at-run" && option.value != "at-start") {
    return MalformedOption(option, "at-run or at-start");
  }
  at_start = option.value == "at-start";
  return {};
}

// A value that the profile could not have, whatever the rules.
Status CheckProfileValue(const Option& option, const std::string& key) {
  OptionSources sources;
  sources.profile[key] = option.value;
  const auto resolved = ResolveOptions({}, sources);
  if (resolved.ok()) return {};
  return resolved.status().WithContext(option.where + ": \"" + option.key + "\"");
}

// "Handlers.NAME.KEY": the name of a handler may have dots.
Status ParseHandlerOption(const Option& option, SlurmOptions& options) {
  const std::string rest = option.key.substr(kHandlersPrefix.size());
  const size_t dot = rest.rfind('.');
  const std::string name = rest.substr(0, dot);
  const auto profile = options.profiles.find(name);
  if (profile == options.profiles.end()) {
    return InvalidArgument(option.where + ": this plugin does not serve handler \"" + name + "\"");
  }
  if (dot == std::string::npos) return UnknownOption(option);
  const std::string_view written = WithoutIndexOf(std::string_view(rest).substr(dot + 1));
  if (written == "Queue") return ParseQueue(option, profile->second.at_start.emplace());
  if (written == "AllowedHostPaths") {
    return ParsePathOption(option, profile->second.allowed_host_paths.emplace_back());
  }
  if (written == "Flags") {
    const Status good = slurm_wishes::CheckFlags({option.value});
    if (!good.ok()) return good.WithContext(option.where + ": \"" + option.key + "\"");
    profile->second.flags.push_back(option.value);
    return {};
  }
  const auto key = KeyNamed(written);
  if (!key) {
    return InvalidArgument(option.where + ": unknown option \"" + option.key +
                           "\"; a handler has: " + KnownKeys() +
                           ", AllowedHostPaths, Flags, Queue");
  }
  RETURN_IF_ERROR(CheckProfileValue(option, std::string(*key)));
  profile->second.values[std::string(*key)] = option.value;
  return {};
}

Status ParseMaximum(const Option& option, std::string_view key, KeyRule& rule) {
  Result<int64_t> number = InvalidArgument("\"" + std::string(key) + "\" has no maximum");
  if (key == "cpus") number = ParseCpus(option.value);
  if (key == "memory") number = ParseMemoryMib(option.value);
  if (key == "time") number = ParseTimeMinutes(option.value);
  if (key == "gpus" || key == "gres") {
    const auto count = ParseDigits<int64_t>(option.value);
    if (!count) return MalformedOption(option, "a number");
    number = *count;
  }
  if (!number.ok()) {
    return number.status().WithContext(option.where + ": \"" + option.key + "\"");
  }
  rule.maximum = *number;
  return {};
}

// "Rules.KEY.WHAT".
Status ParseRuleOption(const Option& option, SlurmOptions& options) {
  const std::string_view rest = std::string_view(option.key).substr(kRulesPrefix.size());
  const size_t dot = rest.find('.');
  const auto key = KeyNamed(rest.substr(0, dot));
  if (!key || dot == std::string_view::npos) {
    return InvalidArgument(option.where + ": unknown option \"" + option.key +
                           "\"; there are rules of: " + KnownKeys());
  }
  KeyRule& rule = options.rules[std::string(*key)];
  const std::string_view what = WithoutIndexOf(rest.substr(dot + 1));
  if (what == "Node") return ParseFlag(option, rule.node);
  if (what == "Pod") return ParseFlag(option, rule.pod);
  if (what == "Maximum") return ParseMaximum(option, *key, rule);
  if (what == "Values") {
    if (option.value.empty()) return MalformedOption(option, "a value that may be chosen");
    rule.values.push_back(option.value);
    return {};
  }
  return InvalidArgument(option.where + ": unknown option \"" + option.key +
                         "\"; a rule has: Node, Pod, Values, Maximum");
}

Status ParseEngine(const Option& option, std::string& engine) {
  if (engine::FindContainerEngine(option.value) == nullptr) {
    return MalformedOption(option, engine::ContainerEngineNames());
  }
  engine = option.value;
  return {};
}

// What is known only when all options are.
Status SettleEngine(SlurmOptions& options) {
  const engine::ContainerEngine* engine = engine::FindContainerEngine(options.engine);
  if (options.runtime.empty()) options.runtime = engine->program;
  if (!options.allow_root_agents || engine->all_ids) return {};
  return InvalidArgument("the option \"Engine\" " + options.engine +
                         " gives a container one id only, and \"AllowRootAgents\" all");
}

Status ParseOwnOption(const Option& option, SlurmOptions& options) {
  constexpr int64_t kLongest = 86400;
  const std::string& key = option.key;
  if (key == "SlurmConf") return ParsePathOption(option, options.conf);
  if (key == "CommandsFolder") return ParsePathOption(option, options.commands_folder);
  if (key == "JobFolder") return ParsePathOption(option, options.job_folder);
  if (key == "SharedFolder") return ParseFlag(option, options.shared_folder);
  if (key == "AgentPath") return ParsePathOption(option, options.agent);
  if (key == "Engine") return ParseEngine(option, options.engine);
  if (key == "RuntimePath") return ParsePathOption(option, options.runtime);
  if (key == "StateFolder") return ParsePathOption(option, options.state_folder);
  if (key == "LeaveWithin") return ParseSeconds(option, 10, kLongest, options.leave_within);
  if (key == "MessageTimeout") return ParseSeconds(option, 1, 600, options.message_timeout);
  if (key == "BeginWithin") return ParseSeconds(option, 10, 86400, options.begin_within);
  if (key == "AllowRootAgents") return ParseFlag(option, options.allow_root_agents);
  if (key == "JobUser") return ParseJobUser(option, options.mapped_users);
  if (key == "Transport") return ParseTransport(option, options.transport);
  if (key == "Queue") return ParseQueue(option, options.at_start);
  return UnknownOption(option);
}

}  // namespace

const char* NameOf(Transport transport) {
  switch (transport) {
    case Transport::kDirect:
      return "direct";
    case Transport::kSrun:
      return "srun";
    case Transport::kAuto:
      break;
  }
  return "auto";
}

Result<SlurmOptions> ParseOptions(const sdk::PluginOptions& options, const std::string& daemon) {
  SlurmOptions parsed;
  parsed.handlers = options.handlers;
  parsed.agent = daemon.substr(0, daemon.rfind('/') + 1) + "interlink-agent";
  parsed.rules = DefaultRules();
  for (const std::string& handler : options.handlers) parsed.profiles[handler];
  for (const Option& option : options.options) {
    if (option.key.starts_with(kHandlersPrefix)) {
      RETURN_IF_ERROR(ParseHandlerOption(option, parsed));
    } else if (option.key.starts_with(kRulesPrefix)) {
      RETURN_IF_ERROR(ParseRuleOption(option, parsed));
    } else {
      RETURN_IF_ERROR(ParseOwnOption(option, parsed));
    }
  }
  RETURN_IF_ERROR(SettleEngine(parsed).WithContext("plugin \"" + options.name + "\""));
  for (auto& [name, profile] : parsed.profiles) {
    if (!profile.at_start) profile.at_start = parsed.at_start;
  }
  if (parsed.job_folder.empty()) {
    return InvalidArgument("plugin \"" + options.name +
                           "\" needs the option \"JobFolder\": a folder that this machine and all "
                           "compute nodes share, or, with \"SharedFolder\" false, one of this "
                           "machine");
  }
  if (parsed.transport != Transport::kDirect && parsed.state_folder.size() > kLongestRelayFolder) {
    return InvalidArgument("plugin \"" + options.name +
                           "\": the option \"StateFolder\" has more than " +
                           std::to_string(kLongestRelayFolder) +
                           " bytes, too many for the Unix socket that \"Transport\" srun and auto "
                           "need below it");
  }
  return parsed;
}

Status CheckUser(const SlurmOptions& options, unsigned uid) {
  if (uid != 0 && options.mapped_users) {
    return PermissionDenied(
        "the option \"JobUser\" is mapped: only a daemon of root can run each pod's job as another "
        "user");
  }
  if (uid != 0 || options.allow_root_agents || options.mapped_users) return {};
  return PermissionDenied(
      "this daemon is root, and so would be its jobs and every container in them: run it as the "
      "user who shall own the jobs, let the site's policy name a user for each pod (option "
      "\"JobUser\": mapped), or set the option \"AllowRootAgents\"");
}

}  // namespace interlink::slurm
