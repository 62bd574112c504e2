#include "slurm/job_options.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "runtime/v1/api.pb.h"
#include "slurm/job_values.h"
#include "slurm/sbatch_flags.h"

namespace interlink::slurm {
namespace {

constexpr std::string_view kIncumbentPrefix = "slurm-job.vk.io/";
constexpr std::string_view kIncumbentFlags = "slurm-job.vk.io/flags";
constexpr std::string_view kCdiPrefix = "cdi.k8s.io/";
constexpr std::string_view kCdiGpu = "nvidia.com/gpu=";
constexpr std::string_view kNodePrefix = "SLURM_";
constexpr int64_t kMilli = 1000;
constexpr int64_t kSharesOfCpu = 1024;
constexpr int64_t kLeastShares = 2;  // kubelet's word for "no request"
constexpr int64_t kUsualPeriod = 100'000;
constexpr int64_t kMib = 1 << 20;

enum class Who { kProfile, kNode, kResources, kPod };

// One value with where it came from.
struct Wish {
  Who who = Who::kProfile;
  std::string key;
  std::string value;
  std::string where;  // `annotation "slurm.interlink.io/time"`
};

// The parsed wish of each key that was strongest.
struct Chosen {
  std::map<std::string, Who> who;
  std::map<std::string, int64_t> numbers;    // cpus, memory, time
  std::map<std::string, std::string> texts;  // partition, account, qos, reservation, constraint
  std::map<std::string, std::vector<Gres>> lists;  // gpus, gres
};

std::string Join(const std::vector<std::string>& items, const std::string& separator) {
  std::string joined;
  for (const std::string& item : items) joined += (joined.empty() ? "" : separator) + item;
  return joined;
}

bool IsKey(std::string_view key) {
  return std::find(kOptionKeys.begin(), kOptionKeys.end(), key) != kOptionKeys.end();
}

std::string AllKeys() {
  std::vector<std::string> keys(kOptionKeys.begin(), kOptionKeys.end());
  return Join(keys, ", ");
}

std::string Upper(std::string_view key) {
  std::string upper;
  for (const char c : key) upper += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return upper;
}

std::string NodeName(std::string_view key) { return std::string(kNodePrefix) + Upper(key); }

std::string KeysOpenTo(const Rules& rules, Who who) {
  std::vector<std::string> keys;
  for (const auto& [key, rule] : rules) {
    if (who == Who::kNode ? rule.node : rule.pod) keys.push_back(key);
  }
  return keys.empty() ? "none" : Join(keys, ", ");
}

// What a wish must keep; null: nothing. Every pod has resources: of them only the maximum is asked.
Result<const KeyRule*> RuleOf(const Rules& rules, const Wish& wish) {
  if (wish.who == Who::kProfile) return static_cast<const KeyRule*>(nullptr);
  const auto rule = rules.find(wish.key);
  if (wish.who == Who::kResources) return rule == rules.end() ? nullptr : &rule->second;
  const bool open =
      rule != rules.end() && (wish.who == Who::kNode ? rule->second.node : rule->second.pod);
  if (!open) {
    return PermissionDenied(std::string("this site does not let ") +
                            (wish.who == Who::kNode ? "nodes" : "pods") +
                            " choose it; they may choose: " + KeysOpenTo(rules, wish.who));
  }
  return &rule->second;
}

Status CheckMaximum(const KeyRule* rule, int64_t number) {
  if (rule == nullptr || !rule->maximum || number <= *rule->maximum) return {};
  return PermissionDenied(std::to_string(number) +
                          " is more than this site allows: " + std::to_string(*rule->maximum));
}

Status CheckAllowed(const KeyRule* rule, const std::string& value) {
  if (rule == nullptr || rule->values.empty()) return {};
  if (std::find(rule->values.begin(), rule->values.end(), value) != rule->values.end()) return {};
  return PermissionDenied("\"" + value +
                          "\" is not among what this site allows: " + Join(rule->values, ", "));
}

Status ChooseNumber(const KeyRule* rule, const Wish& wish, Chosen& chosen) {
  const auto number = wish.key == "cpus"     ? ParseCpus(wish.value)
                      : wish.key == "memory" ? ParseMemoryMib(wish.value)
                                             : ParseTimeMinutes(wish.value);
  if (!number.ok()) return number.status();
  RETURN_IF_ERROR(CheckMaximum(rule, *number));
  chosen.numbers[wish.key] = *number;
  return {};
}

Status CheckGres(const KeyRule* rule, const std::vector<Gres>& list) {
  int64_t sum = 0;
  for (const Gres& gres : list) {
    sum += gres.count;
    RETURN_IF_ERROR(
        CheckAllowed(rule, gres.type.empty() ? gres.name : gres.name + ":" + gres.type));
  }
  return CheckMaximum(rule, sum);
}

bool IsGpu(const Gres& gres) { return gres.name == "gpu"; }

// GPUs keep the rule of gpus, whichever key names them.
Status ChooseGres(const Rules& rules, const KeyRule* rule, const Wish& wish, Chosen& chosen) {
  auto list = wish.key == "gpus" ? ParseGpus(wish.value) : ParseGres(wish.value);
  if (!list.ok()) return list.status();
  RETURN_IF_ERROR(CheckGres(rule, *list));
  std::vector<Gres> gpus;
  std::copy_if(list->begin(), list->end(), std::back_inserter(gpus), IsGpu);
  if (wish.key == "gres" && !gpus.empty()) {
    Wish of_gpus = wish;
    of_gpus.key = "gpus";
    ASSIGN_OR_RETURN(const KeyRule* gpu_rule, RuleOf(rules, of_gpus));
    RETURN_IF_ERROR(CheckGres(gpu_rule, gpus));
  }
  chosen.lists[wish.key] = *std::move(list);
  return {};
}

Status ChooseText(const KeyRule* rule, const Wish& wish, Chosen& chosen) {
  std::vector<std::string> parts;
  if (wish.key == "partition") {
    ASSIGN_OR_RETURN(parts, ParseNames(wish.key, wish.value));
  } else {
    ASSIGN_OR_RETURN(std::string one, wish.key == "constraint" ? ParseConstraint(wish.value)
                                                               : ParseName(wish.key, wish.value));
    parts.push_back(std::move(one));
  }
  for (const std::string& part : parts) RETURN_IF_ERROR(CheckAllowed(rule, part));
  chosen.texts[wish.key] = Join(parts, ",");
  return {};
}

Status Choose(const Rules& rules, const Wish& wish, Chosen& chosen) {
  const auto rule = RuleOf(rules, wish);
  if (!rule.ok()) return rule.status().WithContext(wish.where);
  Status status;
  if (wish.key == "cpus" || wish.key == "memory" || wish.key == "time") {
    status = ChooseNumber(*rule, wish, chosen);
  } else if (wish.key == "gpus" || wish.key == "gres") {
    status = ChooseGres(rules, *rule, wish, chosen);
  } else {
    status = ChooseText(*rule, wish, chosen);
  }
  if (!status.ok()) return status.WithContext(wish.where);
  chosen.who[wish.key] = wish.who;
  return {};
}

Status ProfileWishes(const OptionSources& sources, std::vector<Wish>& wishes) {
  for (const auto& [key, value] : sources.profile) {
    if (!IsKey(key)) {
      return InvalidArgument("the handler's profile has no key \"" + key +
                             "\"; there are: " + AllKeys());
    }
    wishes.push_back({Who::kProfile, key, value, "the handler's profile, \"" + key + "\""});
  }
  return {};
}

Status NodeWishes(const OptionSources& sources, std::vector<Wish>& wishes) {
  for (const auto& [name, value] : sources.node) {
    const auto key = std::find_if(kOptionKeys.begin(), kOptionKeys.end(),
                                  [&wanted = name](auto one) { return NodeName(one) == wanted; });
    if (key == kOptionKeys.end()) {
      return InvalidArgument("the node's PluginConfig has no key \"" + name +
                             "\" for this plugin; there are SLURM_ with: " + Upper(AllKeys()));
    }
    wishes.push_back(
        {Who::kNode, std::string(*key), value, "the node's PluginConfig, \"" + name + "\""});
  }
  return {};
}

void ResourceWishes(const PodResources& resources, std::vector<Wish>& wishes) {
  if (resources.milli_cpus > 0) {
    const int64_t cpus = (resources.milli_cpus + kMilli - 1) / kMilli;
    wishes.push_back({Who::kResources, "cpus", std::to_string(cpus), "the pod's CPU"});
  }
  if (resources.memory_bytes > 0) {
    const int64_t mib = (resources.memory_bytes + kMib - 1) / kMib;
    wishes.push_back({Who::kResources, "memory", std::to_string(mib), "the pod's memory"});
  }
}

// Distinct devices of all annotations; nothing that cannot be counted.
Status CdiWish(const Values& annotations, std::vector<Wish>& wishes) {
  std::set<std::string> devices;
  std::string where;
  for (const auto& [name, value] : annotations) {
    if (name.rfind(kCdiPrefix, 0) != 0) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(','), rest.size());
      const std::string_view device = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (device.substr(0, kCdiGpu.size()) != kCdiGpu) continue;
      where = "annotation \"" + name + "\"";
      if (device.substr(kCdiGpu.size()) == "all") {
        return InvalidArgument(where + ": \"nvidia.com/gpu=all\" is no number of GPUs: say " +
                               std::string(kAnnotationPrefix) + "gpus");
      }
      devices.emplace(device);
    }
  }
  if (!devices.empty())
    wishes.push_back({Who::kPod, "gpus", std::to_string(devices.size()), where});
  return {};
}

Status AnnotationWishes(const Values& annotations, std::vector<Wish>& wishes) {
  for (const auto& [name, value] : annotations) {
    if (name.rfind(kIncumbentPrefix, 0) != 0) continue;
    const std::string where = "annotation \"" + name + "\"";
    if (name != kIncumbentFlags) {
      return InvalidArgument(where +
                             " is not understood: nothing of a pod becomes a part of the job's "
                             "script. Of slurm-job.vk.io/ there is: flags");
    }
    const auto flags = ParseIncumbentFlags(value);
    if (!flags.ok()) return flags.status().WithContext(where);
    for (const auto& [key, text] : *flags) wishes.push_back({Who::kPod, key, text, where});
  }
  for (const auto& [name, value] : annotations) {
    if (name.rfind(kAnnotationPrefix, 0) != 0) continue;
    const std::string where = "annotation \"" + name + "\"";
    const std::string key = name.substr(kAnnotationPrefix.size());
    if (!IsKey(key)) return InvalidArgument(where + " is not known; there are: " + AllKeys());
    wishes.push_back({Who::kPod, key, value, where});
  }
  return {};
}

// One list from `gpus` and `gres`: the GPUs of the stronger one.
Result<std::string> MergeGres(Chosen& chosen) {
  std::vector<Gres>& gres = chosen.lists["gres"];
  std::vector<Gres>& gpus = chosen.lists["gpus"];
  if (!gpus.empty() && std::any_of(gres.begin(), gres.end(), IsGpu)) {
    if (chosen.who["gpus"] == chosen.who["gres"]) {
      return InvalidArgument("GPUs are named twice, by gpus and by gres: name them once");
    }
    if (chosen.who["gpus"] > chosen.who["gres"]) {
      gres.erase(std::remove_if(gres.begin(), gres.end(), IsGpu), gres.end());
    } else {
      gpus.clear();
    }
  }
  std::vector<std::string> items;
  items.reserve(gres.size() + gpus.size());
  for (const Gres& item : gres) items.push_back(GresText(item));
  for (const Gres& item : gpus) items.push_back(GresText(item));
  return Join(items, ",");
}

bool PodNamesGpus(const std::vector<Wish>& wishes) {
  return std::any_of(wishes.begin(), wishes.end(), [](const Wish& wish) {
    return wish.who == Who::kPod &&
           (wish.key == "gpus" ||
            (wish.key == "gres" && wish.value.find("gpu") != std::string::npos));
  });
}

void AddResources(const runtime::v1::LinuxContainerResources& from, PodResources& to) {
  if (from.cpu_quota() > 0) {
    to.milli_cpus +=
        from.cpu_quota() * kMilli / (from.cpu_period() > 0 ? from.cpu_period() : kUsualPeriod);
  } else if (from.cpu_shares() > kLeastShares) {
    to.milli_cpus += from.cpu_shares() * kMilli / kSharesOfCpu;
  }
  if (from.memory_limit_in_bytes() > 0) to.memory_bytes += from.memory_limit_in_bytes();
}

}  // namespace

std::vector<std::string> NodeOptionNames() {
  std::vector<std::string> names;
  for (const std::string_view key : kOptionKeys) names.push_back(NodeName(key));
  return names;
}

Rules DefaultRules() {
  Rules rules;
  for (const std::string_view key : kOptionKeys) rules[std::string(key)].node = true;
  for (const char* key : {"cpus", "memory", "gpus", "gres", "time", "constraint"})
    rules[key].pod = true;
  return rules;
}

PodResources ResourcesOf(const runtime::v1::PodSandboxConfig& config) {
  PodResources sum;
  AddResources(config.linux().resources(), sum);
  AddResources(config.linux().overhead(), sum);
  return sum;
}

Result<JobOptions> ResolveOptions(const Rules& rules, const OptionSources& sources) {
  RETURN_IF_ERROR(CheckFlags(sources.flags).WithContext("the handler's profile, \"flags\""));
  std::vector<Wish> wishes;
  RETURN_IF_ERROR(ProfileWishes(sources, wishes));
  RETURN_IF_ERROR(NodeWishes(sources, wishes));
  ResourceWishes(sources.resources, wishes);
  std::vector<Wish> asked;
  RETURN_IF_ERROR(AnnotationWishes(sources.annotations, asked));
  if (!PodNamesGpus(asked)) RETURN_IF_ERROR(CdiWish(sources.annotations, wishes));
  wishes.insert(wishes.end(), asked.begin(), asked.end());

  Chosen chosen;
  for (const Wish& wish : wishes) RETURN_IF_ERROR(Choose(rules, wish, chosen));
  JobOptions options;
  ASSIGN_OR_RETURN(options.gres, MergeGres(chosen));
  options.cpus = chosen.numbers["cpus"];
  options.memory_mib = chosen.numbers["memory"];
  options.time_minutes = chosen.numbers["time"];
  options.partition = chosen.texts["partition"];
  options.account = chosen.texts["account"];
  options.qos = chosen.texts["qos"];
  options.reservation = chosen.texts["reservation"];
  options.constraint = chosen.texts["constraint"];
  options.flags = sources.flags;
  return options;
}

std::vector<std::string> OptionArguments(const JobOptions& options) {
  std::vector<std::string> arguments;
  if (options.cpus > 0) arguments.push_back("--cpus-per-task=" + std::to_string(options.cpus));
  if (options.memory_mib > 0)
    arguments.push_back("--mem=" + std::to_string(options.memory_mib) + "M");
  if (options.time_minutes > 0)
    arguments.push_back("--time=" + std::to_string(options.time_minutes));
  const std::array<std::pair<const char*, const std::string*>, 6> texts = {
      {{"--gres=", &options.gres},
       {"--partition=", &options.partition},
       {"--account=", &options.account},
       {"--qos=", &options.qos},
       {"--reservation=", &options.reservation},
       {"--constraint=", &options.constraint}}};
  for (const auto& [name, value] : texts) {
    if (!value->empty()) arguments.push_back(name + *value);
  }
  arguments.insert(arguments.end(), options.flags.begin(), options.flags.end());
  return arguments;
}

}  // namespace interlink::slurm
