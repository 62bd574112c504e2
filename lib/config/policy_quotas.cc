#include "config/policy_quotas.h"

#include <memory>

#include "config/policy_keys.h"

namespace interlink::config {
namespace {

using auth::Quota;
using Limit = std::optional<uint64_t>;

constexpr int64_t kMaxCount = 1'000'000'000;
constexpr uint64_t kMaxBytes = 1ULL << 40U;

// A key without a default: left out, there is no limit.
template <typename Number, typename MakeKey>
Key LimitKey(Limit* target, const MakeKey& make) {
  auto number = std::make_shared<Number>(0);  // owner: the key
  Key key = make(number.get());
  key.read = [target, number, read = key.read](const Value& value,
                                               const std::string& where) -> Status {
    RETURN_IF_ERROR(read(value, where));
    *target = static_cast<uint64_t>(*number);
    return {};
  };
  key.show = [] { return std::string(); };
  return key;
}

Key CountKey(std::string path, Limit* target, int64_t smallest, std::string doc) {
  return LimitKey<int64_t>(target, [&](int64_t* number) {
    return NumberKey(std::move(path), number, smallest, kMaxCount, doc + " Default: no limit.");
  });
}

Keys QuotaKeys(Quota* q) {
  return {
      TextKey("Name", &q->name, "Stands in answers. Unique in the file. Must be set."),
      PatternsKey("Tenants", &q->tenants,
                  "Tenants by their verified tokens: each has all of it, with all its nodes."),
      PatternsKey("Nodes", &q->nodes,
                  "Nodes whose token names no tenant: each has all of it. Neither Tenants nor "
                  "Nodes: every tenant, and every such node."),
      CountKey("Sandboxes", &q->sandboxes, 0, "Pods that have not ended."),
      CountKey("Containers", &q->containers, 0, "Containers that have not ended."),
      CountKey("GPUs", &q->gpus, 0,
               "GPUs of pods that have not ended: what a pod and its node ask of SLURM, in any "
               "spelling of docs/slurm.md, or the devices of its containers (VENDOR/gpu=NAME of "
               "CDI, /dev/nvidiaN, /dev/dri/renderDN), whichever is more. What a site's own "
               "profile gives to every pod is not counted."),
      CountKey("Sessions", &q->sessions, 0, "Exec, attach and port-forward that are open."),
      CountKey("RequestsPerSecond", &q->requests_per_second, 1,
               "Requests that begin something: run, create, start, update, exec, attach, "
               "port-forward, pull, contents of mounts. What is not used in five seconds is lost. "
               "Stop, remove, lists, statuses, logs and events are never counted."),
      LimitKey<uint64_t>(&q->bytes_per_second,
                         [](uint64_t* number) {
                           return SizeKey("BytesPerSecond", number, 1, kMaxBytes,
                                          "Bytes of the bodies of those requests. Default: no "
                                          "limit.");
                         }),
  };
}

Status CheckQuota(const Quota& quota, const std::string& path) {
  if (quota.name.empty()) return InvalidArgument(quota.where + ": " + path + ".Name must be set");
  // The first quota that speaks of an account is the one in force: one that limits nothing is how
  // accounts are exempted, and is written as what it is.
  if (!quota.Limits() && quota.tenants.empty() && quota.nodes.empty()) {
    return InvalidArgument(quota.where + ": " + path +
                           " limits nothing for anybody: set a limit, or name the Tenants or Nodes "
                           "that are to have none");
  }
  return {};
}

Result<Quota> ReadQuota(const Value& item, const std::string& path) {
  if (item.kind != Value::Kind::kMap)
    return MustBe(item, path, "a map with the key Name and limits");
  Quota quota;
  quota.where = item.where;
  RETURN_IF_ERROR(ReadKeys(item, QuotaKeys(&quota), path + ".", nullptr));
  RETURN_IF_ERROR(CheckQuota(quota, path));
  return quota;
}

// One behind another that speaks of every account is never in force.
Status CheckReach(const std::vector<Quota>& quotas) {
  for (size_t i = 0; i + 1 < quotas.size(); ++i) {
    if (quotas[i].tenants.empty() && quotas[i].nodes.empty()) {
      return InvalidArgument(quotas[i + 1].where + ": quota " + Quoted(quotas[i + 1].name) +
                             " is never in force: " + Quoted(quotas[i].name) + " at " +
                             quotas[i].where +
                             " speaks of every account already; put that one last");
    }
  }
  return {};
}

}  // namespace

Key QuotasKey(std::vector<Quota>* target) {
  Key key;
  key.path = "Quotas";
  key.takes = "a list of maps";
  key.doc =
      "How much each account may have and ask of the site at once. The first one that speaks of an "
      "account is in force for it; an account that none speaks of has no limit.";
  key.read = [target](const Value& value, const std::string& path) -> Status {
    RETURN_IF_ERROR(ReadNamedItems(value, path, ReadQuota, target));
    return CheckReach(*target);
  };
  key.item_keys = [defaults = std::make_shared<Quota>()] { return QuotaKeys(defaults.get()); };
  return key;
}

}  // namespace interlink::config
