#include "config/policy_rules.h"

#include <algorithm>
#include <charconv>
#include <memory>

#include "config/policy_keys.h"
#include "config/policy_quotas.h"
#include "config/policy_users.h"
#include "config/print.h"

namespace interlink::config {
namespace {

using auth::Action;
using auth::PolicyRequest;
using auth::PolicyRule;

constexpr int64_t kMaxUser = 4294967294;  // (uid_t)-1 is nobody's

// "1000-1999" or "1000".
std::optional<PolicyRule::Range> ParseRange(const std::string& text) {
  const auto number = [](std::string_view part) -> std::optional<int64_t> {
    int64_t value = 0;
    const char* end = part.data() + part.size();
    const auto [rest, error] = std::from_chars(part.data(), end, value);
    if (error != std::errc() || rest != end || value < 0 || value > kMaxUser) return std::nullopt;
    return value;
  };
  const size_t dash = std::min(text.find('-'), text.size());
  const auto first = number(std::string_view(text).substr(0, dash));
  const auto last = dash == text.size() ? first : number(std::string_view(text).substr(dash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return PolicyRule::Range{*first, *last};
}

Key RangeKey(std::string path, std::optional<PolicyRule::Range>* target, std::string doc) {
  Key key;
  key.path = std::move(path);
  key.takes = "a user number or a range such as 1000-65534";
  key.doc = std::move(doc);
  key.read = [target, takes = key.takes](const Value& value, const std::string& where) -> Status {
    ASSIGN_OR_RETURN(const std::string text, ReadText(value, where));
    *target = ParseRange(text);
    return *target ? Status() : MustBe(value, where, takes);
  };
  return key;
}

// "2", "0.5": at most three digits behind the point. In thousandths.
std::optional<int64_t> ParseMilliCpus(const std::string& text) {
  constexpr size_t kMostDigits = 6;
  const size_t point = std::min(text.find('.'), text.size());
  std::string digits = text.substr(0, point);
  const std::string rest = point == text.size() ? "" : text.substr(point + 1);
  if (digits.empty() || digits.size() > kMostDigits || rest.size() > 3 ||
      (rest.empty() && point != text.size()))
    return std::nullopt;
  digits += rest + std::string(3 - rest.size(), '0');
  if (digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  const int64_t milli = std::stoll(digits);
  if (milli == 0) return std::nullopt;
  return milli;
}

Key CpusKey(std::string path, std::optional<int64_t>* target, std::string doc) {
  Key key;
  key.path = std::move(path);
  key.takes = "a number of processors such as 2 or 0.5";
  key.doc = std::move(doc);
  key.read = [target, takes = key.takes](const Value& value, const std::string& where) -> Status {
    ASSIGN_OR_RETURN(const std::string text, ReadText(value, where));
    *target = ParseMilliCpus(text);
    return *target ? Status() : MustBe(value, where, takes);
  };
  return key;
}

Key MemoryKey(std::string path, std::optional<int64_t>* target, std::string doc) {
  auto bytes = std::make_shared<uint64_t>(0);  // owner: the key
  Key key = SizeKey(std::move(path), bytes.get(), 1, 1ULL << 50U, std::move(doc));
  key.read = [target, bytes, read = key.read](const Value& value,
                                              const std::string& where) -> Status {
    RETURN_IF_ERROR(read(value, where));
    *target = static_cast<int64_t>(*bytes);
    return {};
  };
  key.show = [] { return std::string(); };
  return key;
}

Key ActionsKey(std::string path, std::set<Action>* target, std::string doc) {
  Key key;
  key.path = std::move(path);
  key.takes = "a list of " + auth::ActionNames();
  key.doc = std::move(doc);
  key.read = [target, takes = key.takes](const Value& value, const std::string& where) -> Status {
    if (value.kind != Value::Kind::kList || value.items.empty()) return MustBe(value, where, takes);
    for (const Value& item : value.items) {
      ASSIGN_OR_RETURN(const std::string name, ReadText(item, where));
      const auto action = auth::ActionOf(name);
      if (!action) return MustBe(item, where, "one of " + auth::ActionNames());
      target->insert(*action);
    }
    return {};
  };
  return key;
}

Keys RuleKeys(PolicyRule* r) {
  return NameAndWho(
      &r->name, r,
      {
          ActionsKey(
              "May", &r->may,
              "run: a pod; create: a container; update: resources of what runs; exec: a command "
              "with a stream; exec-sync: one without (probes); attach; port-forward; pull: an "
              "image. Must be set."),
          PatternsKey("Handlers", &r->handlers, "Handlers of this site. Default: any."),
          PatternsKey(
              "Images", &r->images,
              "Of create and pull: names with registry, as registry.example.org/team/*. Default: "
              "any."),
          BooleanKey("RequireDigest", &r->require_digest,
                     "A pull must name a digest (NAME@sha256:...)."),
          RangeKey(
              "RunAsUser", &r->run_as_user,
              "As whom a container may run, inside. It must say so by number (runAsUser). Default: "
              "any."),
          CpusKey(
              "CPUs", &r->milli_cpus,
              "The most processors that a container may have as its limit, which it must have; "
              "also after an update, whatever part of it that names. cpu.max among its files of "
              "cgroup v2 (unified) counts where it is more. Default: any, or no limit."),
          MemoryKey("Memory", &r->memory,
                    "The same for memory, and memory.max. What a scheduler gives to a whole pod is "
                    "limited by its "
                    "plugin's Allowed... keys (docs/slurm.md)."),
          TextListMapKey("Annotations", &r->annotations,
                         "Values that these annotations of a pod may have. slurm.interlink.io/KEY "
                         "is what holds of all spellings of docs/slurm.md, the node's PluginConfig "
                         "too; GPUs are under gpus, also those that gres names. A pod with an "
                         "annotation of these that cannot be read is let through by no rule "
                         "that has this key. "
                         "Default: any."),
          BooleanKey("Privileged", &r->privileged, "Privileged pods and containers too."),
          BooleanKey("HostNamespaces", &r->host_namespaces,
                     "Pods in the machine's own namespaces too (hostNetwork, hostPID, hostIPC)."),
          PathListKey(
              "HostPaths", &r->host_paths,
              "Paths of the machine that may be mounted, with all below; \"/var/lib/kubelet\" "
              "for the volumes of a kubelet on the site's machine. Default: none."),
          TextListKey("Devices", &r->devices, "Devices by path or by CDI name. Default: none."),
      });
}

// A condition of what the rule does not let anyway was meant for something.
Status CheckReach(const PolicyRule& rule, const Sources& sources, const std::string& path) {
  const auto has = [&rule](std::initializer_list<Action> actions) {
    return std::any_of(actions.begin(), actions.end(),
                       [&rule](Action action) { return rule.may.contains(action); });
  };
  const auto refuse = [&](const std::string& key, const std::string& text) {
    return InvalidArgument(sources.at(key) + ": " + path + "." + key + " " + text);
  };
  const auto set = [&sources](const char* key) { return sources.contains(key); };
  if (set("Images") && !has({Action::kCreate, Action::kPull}))
    return refuse("Images", "needs create or pull in May");
  if (set("RequireDigest") && !has({Action::kPull}))
    return refuse("RequireDigest", "needs pull in May");
  if (set("RunAsUser") && !has({Action::kCreate}))
    return refuse("RunAsUser", "needs create in May");
  for (const char* key : {"CPUs", "Memory"}) {
    if (set(key) && !has({Action::kCreate, Action::kUpdate}))
      return refuse(key, "needs create or update in May");
  }
  if (set("Annotations") && !has({Action::kRun})) return refuse("Annotations", "needs run in May");
  for (const char* key : {"Privileged", "HostNamespaces", "HostPaths", "Devices"}) {
    if (set(key) && !has({Action::kRun, Action::kCreate}))
      return refuse(key, "needs run or create in May");
  }
  return {};
}

Result<PolicyRule> ReadRule(const Value& item, const std::string& path) {
  if (item.kind != Value::Kind::kMap) return MustBe(item, path, "a map with the keys Name and May");
  PolicyRule rule;
  rule.where = item.where;
  Sources sources;
  RETURN_IF_ERROR(ReadKeys(item, RuleKeys(&rule), path + ".", &sources));
  if (rule.name.empty()) return InvalidArgument(item.where + ": " + path + ".Name must be set");
  if (rule.may.empty())
    return InvalidArgument(item.where + ": " + path + ".May must be set: a list of " +
                           auth::ActionNames());
  RETURN_IF_ERROR(CheckReach(rule, sources, path));
  return rule;
}

Key RulesKey(std::vector<PolicyRule>* target) {
  Key key;
  key.path = "Rules";
  key.takes = "a list of maps";
  key.doc = "What is let through; everything else is refused. An empty list refuses everybody.";
  key.read = [target](const Value& value, const std::string& path) -> Status {
    return ReadNamedItems(value, path, ReadRule, target);
  };
  key.item_keys = [defaults = std::make_shared<PolicyRule>()] { return RuleKeys(defaults.get()); };
  return key;
}

Key ActionKey(Action* target) {
  Key key;
  key.path = "Action";
  key.takes = "one of " + auth::ActionNames();
  key.doc = "What is asked for. Must be set.";
  key.read = [target](const Value& value, const std::string& where) -> Status {
    ASSIGN_OR_RETURN(const std::string name, ReadText(value, where));
    const auto action = auth::ActionOf(name);
    if (!action) return MustBe(value, where, "one of " + auth::ActionNames());
    *target = *action;
    return {};
  };
  return key;
}

Key UserKey(std::optional<int64_t>* target) {
  Key key;
  key.path = "RunAsUser";
  key.takes = "a user number";
  key.doc = "As whom the container runs. Default: it does not say.";
  key.read = [target, takes = key.takes](const Value& value, const std::string& where) -> Status {
    ASSIGN_OR_RETURN(const std::string text, ReadText(value, where));
    const auto range = ParseRange(text);
    if (!range || range->first != range->last) return MustBe(value, where, takes);
    *target = range->first;
    return {};
  };
  return key;
}

Key AnnotationsKey(std::map<std::string, std::string>* target) {
  Key key;
  key.path = "Annotations";
  key.takes = "a map of texts";
  key.doc =
      "The pod's; what the node's PluginConfig says as SLURM_KEY is slurm.interlink.io/KEY here.";
  key.read = [target, takes = key.takes](const Value& value, const std::string& where) -> Status {
    if (value.kind != Value::Kind::kMap) return MustBe(value, where, takes);
    for (const Member& member : value.members) {
      ASSIGN_OR_RETURN((*target)[member.key], ReadText(member.value, where + "." + member.key));
    }
    return {};
  };
  return key;
}

Keys RequestKeys(PolicyRequest* r) {
  return {
      ActionKey(&r->action),
      TextKey("Node", &r->node, "The node's verified identity."),
      TextKey("Issuer", &r->issuer, "Of its token."),
      TextKey("Subject", &r->subject, "Of its token."),
      TextKey("Tenant", &r->tenant, "Of its token."),
      TextListKey("Groups", &r->groups, "Of its token."),
      TextKey("Namespace", &r->pod_namespace, "Of the pod."),
      TextKey("ServiceAccount", &r->service_account, "Of the pod."),
      TextKey("Handler", &r->handler, "The handler that runs it."),
      AnnotationsKey(&r->annotations),
      TextListKey("Images", &r->images, "Names of the image."),
      UserKey(&r->run_as_user),
      CpusKey("CPUs", &r->milli_cpus, "Its limit of processors. Default: it has none."),
      MemoryKey("Memory", &r->memory, "Its limit of memory. Default: it has none."),
      BooleanKey("Privileged", &r->privileged, "It wants to."),
      BooleanKey("HostNamespaces", &r->host_namespaces, "It wants one of the machine's."),
      TextListKey("HostPaths", &r->host_paths, "It mounts these of the machine."),
      TextListKey("Devices", &r->devices, "It wants these."),
  };
}

}  // namespace

Result<auth::Policy> ParsePolicy(const std::string& text, const std::string& file) {
  ASSIGN_OR_RETURN(const Value document, ParseDocument(text, file));
  std::vector<PolicyRule> rules;
  std::vector<auth::Quota> quotas;
  std::vector<auth::MappedUser> users;
  Sources sources;
  RETURN_IF_ERROR(
      ReadKeys(document, {RulesKey(&rules), QuotasKey(&quotas), UsersKey(&users)}, "", &sources));
  // A file that was cut short, or another one, must not pass for a policy.
  if (!sources.contains("Rules"))
    return InvalidArgument(file + ": Rules must be set; an empty list refuses everybody");
  return auth::Policy(std::move(rules), std::move(quotas), std::move(users));
}

Result<PolicyRequest> ParsePolicyRequest(const std::string& text, const std::string& file) {
  ASSIGN_OR_RETURN(const Value document, ParseDocument(text, file));
  PolicyRequest request;
  Sources sources;
  RETURN_IF_ERROR(ReadKeys(document, RequestKeys(&request), "", &sources));
  if (!sources.contains("Action"))
    return InvalidArgument(file + ": Action must be set: one of " + auth::ActionNames());
  return request;
}

std::string PolicyReference() {
  std::vector<PolicyRule> rules;
  std::vector<auth::Quota> quotas;
  std::vector<auth::MappedUser> users;
  PolicyRequest request;
  return PrintReference({RulesKey(&rules), QuotasKey(&quotas), UsersKey(&users)},
                        "The file of Policy.File of interlink-api") +
         "\nLists hold patterns: `*` is any run of characters (`/` too), `?` one character, `[ab]` "
         "one of them; HostPaths are paths, compared by their components.\n\n" +
         PrintReference(RequestKeys(&request), "A request of `interlink-api policy explain`") +
         "\nMade by `interlink-api policy reference`; a unit test compares this page with it.\n";
}

}  // namespace interlink::config
