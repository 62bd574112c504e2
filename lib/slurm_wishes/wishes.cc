#include "slurm_wishes/wishes.h"

#include <algorithm>
#include <set>
#include <utility>

#include "slurm_wishes/sbatch_flags.h"

namespace interlink::slurm_wishes {
namespace {

constexpr std::string_view kIncumbentPrefix = "slurm-job.vk.io/";
constexpr std::string_view kIncumbentFlags = "slurm-job.vk.io/flags";
constexpr std::string_view kCdiPrefix = "cdi.k8s.io/";
constexpr std::string_view kCdiGpu = "nvidia.com/gpu=";
constexpr std::string_view kNodePrefix = "SLURM_";

std::string Upper(std::string_view key) {
  std::string upper;
  for (const char c : key) upper += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return upper;
}

std::string NodeName(std::string_view key) { return std::string(kNodePrefix) + Upper(key); }

std::vector<std::string_view> ItemsOf(std::string_view list) {
  std::vector<std::string_view> items;
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    items.push_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return items;
}

// Distinct devices of all annotations; nothing that cannot be counted.
Status CdiWish(const Values& annotations, std::vector<Wish>& wishes) {
  std::set<std::string_view> devices;
  std::string where;
  for (const auto& [name, value] : annotations) {
    if (!name.starts_with(kCdiPrefix)) continue;
    for (const std::string_view device : ItemsOf(value)) {
      if (!device.starts_with(kCdiGpu)) continue;
      where = "annotation \"" + name + "\"";
      if (device.substr(kCdiGpu.size()) == "all") {
        return InvalidArgument(where + ": \"nvidia.com/gpu=all\" is no number of GPUs: say " +
                               std::string(kAnnotationPrefix) + "gpus");
      }
      devices.insert(device);
    }
  }
  if (!devices.empty())
    wishes.push_back({Who::kPod, "gpus", std::to_string(devices.size()), where});
  return {};
}

Status AnnotationWishes(const Values& annotations, std::vector<Wish>& wishes) {
  for (const auto& [name, value] : annotations) {
    if (!name.starts_with(kIncumbentPrefix)) continue;
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
    if (!name.starts_with(kAnnotationPrefix)) continue;
    const std::string where = "annotation \"" + name + "\"";
    const std::string key = name.substr(kAnnotationPrefix.size());
    if (!IsOptionKey(key)) {
      return InvalidArgument(where + " is not known; there are: " + AllOptionKeys());
    }
    wishes.push_back({Who::kPod, key, value, where});
  }
  return {};
}

bool NameGpus(const std::vector<Wish>& wishes) {
  return std::any_of(wishes.begin(), wishes.end(), [](const Wish& wish) {
    return wish.key == "gpus" ||
           (wish.key == "gres" && wish.value.find("gpu") != std::string::npos);
  });
}

// "gpu:a100:2,nvme:1,gpu" -> "a100:2,1".
std::string GpusOfGres(std::string_view gres) {
  constexpr std::string_view kGpu = "gpu";
  std::string gpus;
  for (const std::string_view item : ItemsOf(gres)) {
    if (item != kGpu && !item.starts_with("gpu:")) continue;
    const std::string_view rest = item == kGpu ? "1" : item.substr(kGpu.size() + 1);
    gpus += (gpus.empty() ? "" : ",") + std::string(rest);
  }
  return gpus;
}

}  // namespace

bool IsOptionKey(std::string_view key) {
  return std::find(kOptionKeys.begin(), kOptionKeys.end(), key) != kOptionKeys.end();
}

std::string AllOptionKeys() {
  std::string all;
  for (const std::string_view key : kOptionKeys)
    all += (all.empty() ? "" : ", ") + std::string(key);
  return all;
}

std::vector<std::string> NodeOptionNames() {
  std::vector<std::string> names;
  for (const std::string_view key : kOptionKeys) names.push_back(NodeName(key));
  return names;
}

Result<std::vector<Wish>> NodeWishes(const Values& node) {
  std::vector<Wish> wishes;
  for (const auto& [name, value] : node) {
    const auto key = std::find_if(kOptionKeys.begin(), kOptionKeys.end(),
                                  [&wanted = name](auto one) { return NodeName(one) == wanted; });
    if (key == kOptionKeys.end()) {
      return InvalidArgument(
          "the node's PluginConfig has no key \"" + name +
          "\" for this plugin; there are SLURM_ with: " + Upper(AllOptionKeys()));
    }
    wishes.push_back(
        {Who::kNode, std::string(*key), value, "the node's PluginConfig, \"" + name + "\""});
  }
  return wishes;
}

Result<std::vector<Wish>> PodWishes(const Values& annotations) {
  std::vector<Wish> asked;
  RETURN_IF_ERROR(AnnotationWishes(annotations, asked));
  std::vector<Wish> wishes;
  if (!NameGpus(asked)) RETURN_IF_ERROR(CdiWish(annotations, wishes));
  wishes.insert(wishes.end(), asked.begin(), asked.end());
  return wishes;
}

Result<Values> WishesInForce(const Values& node, const Values& annotations) {
  Values of_slurm;
  for (const auto& [name, value] : node) {
    if (name.starts_with(kNodePrefix)) of_slurm.emplace(name, value);
  }
  ASSIGN_OR_RETURN(std::vector<Wish> wishes, NodeWishes(of_slurm));
  ASSIGN_OR_RETURN(const std::vector<Wish> of_pod, PodWishes(annotations));
  wishes.insert(wishes.end(), of_pod.begin(), of_pod.end());
  Values values;
  std::map<std::string, Who> who;
  for (const Wish& wish : wishes) {
    values[wish.key] = wish.value;
    who[wish.key] = wish.who;
  }
  const std::string more = GpusOfGres(values.contains("gres") ? values["gres"] : "");
  if (more.empty() || (values.contains("gpus") && who["gpus"] > who["gres"])) return values;
  std::string& gpus = values["gpus"];
  gpus = who.contains("gpus") && who["gpus"] == who["gres"] ? gpus + "," + more : more;
  return values;
}

Result<Values> AnnotationsInForce(const Values& node, const Values& annotations) {
  ASSIGN_OR_RETURN(const Values wishes, WishesInForce(node, annotations));
  Values all = annotations;
  for (const auto& [key, value] : wishes) all[std::string(kAnnotationPrefix) + key] = value;
  return all;
}

}  // namespace interlink::slurm_wishes
