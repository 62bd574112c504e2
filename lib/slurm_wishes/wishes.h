// What a node and a pod ask of SLURM, whatever the spelling. Pure.
//
// The plugin slurm makes a job of it; the site counts its GPUs and the policy judges it. All read
// it here, so that there is no spelling which only the plugin sees.
//
// From the weakest to the strongest:
//   1. the node's PluginConfig: SLURM_PARTITION, SLURM_QOS, ... (the keys in capitals)
//   2. the pod's annotation slurm-job.vk.io/flags (the options of sbatch that have a key here)
//   3. the pod's annotations slurm.interlink.io/KEY
// CDI names of NVIDIA's GPUs (annotations cdi.k8s.io/*) count as `gpus` of the pod where neither 2
// nor 3 names GPUs.
#ifndef INTERLINK_SLURM_WISHES_WISHES_H_
#define INTERLINK_SLURM_WISHES_WISHES_H_

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace interlink::slurm_wishes {

inline constexpr std::array<std::string_view, 10> kOptionKeys = {
    "cpus",      "memory",  "gpus", "gres",        "time",
    "partition", "account", "qos",  "reservation", "constraint"};
inline constexpr std::string_view kAnnotationPrefix = "slurm.interlink.io/";

bool IsOptionKey(std::string_view key);
// For messages: "cpus, memory, ...".
std::string AllOptionKeys();
// SLURM_ and a key in capitals.
std::vector<std::string> NodeOptionNames();

using Values = std::map<std::string, std::string>;

// From the weakest to the strongest. The handler's profile and the pod's resources are known to
// the plugin only.
enum class Who { kProfile, kNode, kResources, kPod };

// One value as it was written, with where that was.
struct Wish {
  Who who = Who::kProfile;
  std::string key;  // of kOptionKeys
  std::string value;
  std::string where;  // `annotation "slurm.interlink.io/time"`
};

// A later one replaces an earlier one of the same key. kInvalidArgument: a key or an option that
// does not exist, or GPUs that cannot be counted; the message names it and what would be right.
// `node`: its PluginConfig. `annotations`: all of the pod's.
Result<std::vector<Wish>> NodeWishes(const Values& node);
Result<std::vector<Wish>> PodWishes(const Values& annotations);

// By key: what holds of the two together. All GPUs are (also) under `gpus`, as "2" or "a100:2,1",
// whichever key names them; those of both keys where neither is stronger, which the plugin refuses.
// Keys of `node` that do not begin with SLURM_ are another plugin's. Errors as above.
Result<Values> WishesInForce(const Values& node, const Values& annotations);

// What rules about annotations judge: the pod's, and what holds under slurm.interlink.io/KEY.
// Errors as above.
Result<Values> AnnotationsInForce(const Values& node, const Values& annotations);

}  // namespace interlink::slurm_wishes

#endif  // INTERLINK_SLURM_WISHES_WISHES_H_
