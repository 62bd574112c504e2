// What a job asks of SLURM, and who may say it. Pure.
//
// From the weakest to the strongest:
//   1. the handler's profile, written by the site's administrator (keys of slurm_wishes/wishes.h,
//      and `flags`)
//   2. the node's PluginConfig
//   3. the pod's CPU and memory (cpus and memory only)
//   4. the pod's annotations, in all spellings of slurm_wishes/wishes.h
// Sources 2 and 4 must be open by the site's rule of their key; of source 3 only the maximum is
// asked, because every pod has resources.
#ifndef INTERLINK_PLUGINS_SLURM_JOB_OPTIONS_H_
#define INTERLINK_PLUGINS_SLURM_JOB_OPTIONS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace runtime::v1 {
class PodSandboxConfig;
}  // namespace runtime::v1

namespace interlink::slurm {

using Values = std::map<std::string, std::string>;

// Who besides the profile may set a key, and to what.
struct KeyRule {
  bool node = false;
  bool pod = false;
  // Names (of partitions, GRES "gpu:a100", a whole constraint) that may be chosen; empty: any.
  std::vector<std::string> values;
  // Of cpus, memory (MiB), gpus (their sum) and time (minutes).
  std::optional<int64_t> maximum;
};

// By key. A key without a rule may be set by nobody but the profile.
using Rules = std::map<std::string, KeyRule, std::less<>>;

// Nodes: every key. Pods: cpus, memory, gpus, gres, time, constraint; where a pod runs and who pays
// for it are the site's to open.
Rules DefaultRules();

struct PodResources {
  int64_t milli_cpus = 0;    // 0: not said
  int64_t memory_bytes = 0;  // 0: not said
};

// linux.resources and linux.overhead together: the limit of CPU time, else the shares.
PodResources ResourcesOf(const runtime::v1::PodSandboxConfig& config);

struct OptionSources {
  Values profile;  // keys of slurm_wishes::kOptionKeys
  std::vector<std::string>
      flags;    // of the profile: more options of sbatch, "--exclusive", "--mail-type=ALL"
  Values node;  // SLURM_...
  PodResources resources;
  Values annotations;  // all of the pod's
};

// 0 or empty: not asked for, SLURM's default holds.
struct JobOptions {
  int64_t cpus = 0;
  int64_t memory_mib = 0;
  int64_t time_minutes = 0;
  std::string gres;
  std::string partition;
  std::string account;
  std::string qos;
  std::string reservation;
  std::string constraint;
  std::vector<std::string> flags;
};

// kInvalidArgument: a value or key that is wrong; kPermissionDenied: one that the rules do not
// give. The message names annotation or key, and what would be right.
Result<JobOptions> ResolveOptions(const Rules& rules, const OptionSources& sources);

// For sbatch; each is one argument.
std::vector<std::string> OptionArguments(const JobOptions& options);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_JOB_OPTIONS_H_
