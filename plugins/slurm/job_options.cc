#include "slurm/job_options.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "runtime/v1/api.pb.h"
#include "slurm/job_values.h"
#include "slurm_wishes/sbatch_flags.h"
#include "slurm_wishes/wishes.h"

namespace interlink::slurm {
namespace {

constexpr int64_t kMilli = 1000;
constexpr int64_t kSharesOfCpu = 1024;
constexpr int64_t kLeastShares = 2;  // kubelet's word for "no request"
constexpr int64_t kUsualPeriod = 100'000;
constexpr int64_t kMib = 1 << 20;

using slurm_wishes::Who;
using slurm_wishes::Wish;

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
    if (!slurm_wishes::IsOptionKey(key)) {
      return InvalidArgument("the handler's profile has no key \"" + key +
                             "\"; there are: " + slurm_wishes::AllOptionKeys());
    }
    wishes.push_back({Who::kProfile, key, value, "the handler's profile, \"" + key + "\""});
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

// What is that large is more than any machine has, and the sum of two is a number.
int64_t Capped(int64_t number, int64_t factor) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 4;
  return std::min(number, kMost / factor);
}

void AddResources(const runtime::v1::LinuxContainerResources& from, PodResources& to) {
  if (from.cpu_quota() > 0) {
    to.milli_cpus += Capped(from.cpu_quota(), kMilli) * kMilli /
                     (from.cpu_period() > 0 ? from.cpu_period() : kUsualPeriod);
  } else if (from.cpu_shares() > kLeastShares) {
    to.milli_cpus += Capped(from.cpu_shares(), kMilli) * kMilli / kSharesOfCpu;
  }
  if (from.memory_limit_in_bytes() > 0) to.memory_bytes += Capped(from.memory_limit_in_bytes(), 1);
}

}  // namespace

Rules DefaultRules() {
  Rules rules;
  for (const std::string_view key : slurm_wishes::kOptionKeys) rules[std::string(key)].node = true;
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
  RETURN_IF_ERROR(
      slurm_wishes::CheckFlags(sources.flags).WithContext("the handler's profile, \"flags\""));
  std::vector<Wish> wishes;
  RETURN_IF_ERROR(ProfileWishes(sources, wishes));
  ASSIGN_OR_RETURN(const std::vector<Wish> of_node, slurm_wishes::NodeWishes(sources.node));
  wishes.insert(wishes.end(), of_node.begin(), of_node.end());
  ResourceWishes(sources.resources, wishes);
  ASSIGN_OR_RETURN(const std::vector<Wish> of_pod, slurm_wishes::PodWishes(sources.annotations));
  wishes.insert(wishes.end(), of_pod.begin(), of_pod.end());

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
