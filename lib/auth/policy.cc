#include "auth/policy.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "auth/of_caller.h"
#include "auth/pattern.h"

namespace interlink::auth {
namespace {

constexpr std::array<std::pair<Action, std::string_view>, 8> kActions = {
    {{Action::kRun, "run"},
     {Action::kCreate, "create"},
     {Action::kUpdate, "update"},
     {Action::kExec, "exec"},
     {Action::kExecSync, "exec-sync"},
     {Action::kAttach, "attach"},
     {Action::kPortForward, "port-forward"},
     {Action::kPull, "pull"}}};
// `path` is `folder` or below it. A path with ".." is below nothing.
bool IsBelow(std::string_view folder, std::string_view path) {
  while (folder.size() > 1 && folder.back() == '/') folder.remove_suffix(1);
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    if (path.substr(at, end - at) == "..") return false;
    at = end + 1;
  }
  if (folder == "/") return path.starts_with('/');
  return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}

std::string WhyNotImage(const PolicyRule& rule, const PolicyRequest& request) {
  if (!rule.images.empty() && !MatchesOneOf(rule.images, request.images))
    return "image " + AllOfCaller(request.images) + " is none of its Images";
  if (rule.require_digest && request.action == Action::kPull) {
    const auto has_digest = [](const std::string& name) {
      return name.find("@sha256:") != std::string::npos;
    };
    if (!std::any_of(request.images.begin(), request.images.end(), has_digest))
      return "an image must be named with its digest (NAME@sha256:...), this one is " +
             AllOfCaller(request.images);
  }
  return "";
}

std::string WhyNotUser(const PolicyRule& rule, const PolicyRequest& request) {
  if (!rule.run_as_user) return "";
  const std::string range =
      std::to_string(rule.run_as_user->first) + "-" + std::to_string(rule.run_as_user->last);
  if (!request.run_as_user)
    return "the container must say by number as whom it runs (runAsUser), one of " + range;
  if (*request.run_as_user < rule.run_as_user->first ||
      *request.run_as_user > rule.run_as_user->last)
    return "user " + std::to_string(*request.run_as_user) + " is not one of " + range;
  return "";
}

// Of a limit that has no end.
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

std::string WhyNotLimit(const std::optional<int64_t>& most, const std::optional<int64_t>& asked,
                        Action action, const std::string& what, std::string (*shown)(int64_t)) {
  if (!most || (!asked && action == Action::kUpdate)) return "";
  if (!asked || *asked == kNoLimit)
    return "the container must have a limit of " + what + ", of at most " + shown(*most);
  if (*asked <= *most) return "";
  return "its limit of " + what + " is " + shown(*asked) + ", it may be " + shown(*most);
}

std::string ShownCpus(int64_t milli) {
  std::string text = std::to_string(milli / 1000);
  if (milli % 1000 == 0) return text;
  const std::string rest = std::to_string(1000 + milli % 1000).substr(1);
  return text + "." + rest.substr(0, rest.find_last_not_of('0') + 1);
}

std::string ShownBytes(int64_t bytes) {
  constexpr int64_t kMib = 1 << 20;
  return bytes % kMib == 0 ? std::to_string(bytes / kMib) + " MiB"
                           : std::to_string(bytes) + " bytes";
}

std::string WhyNotResources(const PolicyRule& rule, const PolicyRequest& request) {
  std::string why =
      WhyNotLimit(rule.milli_cpus, request.milli_cpus, request.action, "CPUs", ShownCpus);
  if (why.empty())
    why = WhyNotLimit(rule.memory, request.memory, request.action, "memory", ShownBytes);
  return why;
}

// What reaches the machine itself.
std::string WhyNotMachine(const PolicyRule& rule, const PolicyRequest& request) {
  if (request.privileged && !rule.privileged) return "it lets nothing run privileged";
  if (request.host_namespaces && !rule.host_namespaces)
    return "it lets nothing into the machine's own namespaces (hostNetwork, hostPID, hostIPC)";
  for (const std::string& path : request.host_paths) {
    const bool below =
        std::any_of(rule.host_paths.begin(), rule.host_paths.end(),
                    [&path](const std::string& folder) { return IsBelow(folder, path); });
    if (!below) return "host path " + OfCaller(path) + " is not below one of its HostPaths";
  }
  for (const std::string& device : request.devices) {
    if (!MatchesOneOf(rule.devices, device))
      return "device " + OfCaller(device) + " is none of its Devices";
  }
  return "";
}

std::string WhyNotAnnotations(const PolicyRule& rule, const PolicyRequest& request) {
  if (!rule.annotations.empty() && !request.annotations_unclear.empty())
    return "it names annotations, and the pod's cannot be read: " +
           OfCaller(request.annotations_unclear);
  for (const auto& [key, patterns] : rule.annotations) {
    const auto set = request.annotations.find(key);
    if (set == request.annotations.end() || MatchesOneOf(patterns, set->second)) continue;
    return "annotation " + OfCaller(key) + " must not be " + OfCaller(set->second);
  }
  return "";
}

std::string WhyNotWhat(const PolicyRule& rule, const PolicyRequest& request) {
  // A pull is of no handler.
  if (request.action != Action::kPull && !rule.handlers.empty() &&
      !MatchesOneOf(rule.handlers, request.handler))
    return "it does not name handler " + OfCaller(request.handler);
  std::string why;
  const bool has_image = request.action == Action::kCreate || request.action == Action::kPull;
  if (has_image) why = WhyNotImage(rule, request);
  if (why.empty() && request.action == Action::kCreate) why = WhyNotUser(rule, request);
  if (why.empty() && (request.action == Action::kCreate || request.action == Action::kUpdate))
    why = WhyNotResources(rule, request);
  if (why.empty()) why = WhyNotMachine(rule, request);
  if (why.empty()) why = WhyNotAnnotations(rule, request);
  return why;
}

std::string Asks(const PolicyRequest& request) {
  std::string text = "node " + OfCaller(request.node);
  if (!request.subject.empty()) text += " (token of " + OfCaller(request.subject) + ")";
  text += " may not " + std::string(NameOf(request.action));
  if (!request.pod_namespace.empty()) text += " in namespace " + OfCaller(request.pod_namespace);
  if (!request.service_account.empty())
    text += " as service account " + OfCaller(request.service_account);
  if (!request.handler.empty()) text += " with handler " + OfCaller(request.handler);
  return text;
}

}  // namespace

std::string_view NameOf(Action action) { return kActions.at(static_cast<size_t>(action)).second; }

std::optional<Action> ActionOf(std::string_view name) {
  for (const auto& [action, known] : kActions) {
    if (known == name) return action;
  }
  return std::nullopt;
}

std::string ActionNames() {
  std::string names;
  for (const auto& [action, name] : kActions)
    names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

Decision Policy::Decide(const PolicyRequest& request) const {
  std::string nearest;  // a rule for whoever asks that does not go far enough
  for (const PolicyRule& rule : rules_) {
    if (!rule.may.contains(request.action) || !WhyNotWho(rule, request).empty()) continue;
    std::string why = WhyNotWhat(rule, request);
    if (why.empty()) return {true, rule.name, ""};
    if (nearest.empty()) nearest = ": rule " + OfCaller(rule.name) + " does not let it: " + why;
  }
  if (nearest.empty()) nearest = ": no rule of this site's policy lets it";
  return {false, "", Asks(request) + nearest};
}

std::vector<Policy::Verdict> Policy::Explain(const PolicyRequest& request) const {
  std::vector<Verdict> verdicts;
  for (const PolicyRule& rule : rules_) {
    std::string why;
    if (!rule.may.contains(request.action))
      why = "its May has no " + std::string(NameOf(request.action));
    if (why.empty()) why = WhyNotWho(rule, request);
    if (why.empty()) why = WhyNotWhat(rule, request);
    verdicts.push_back({rule.name, std::move(why)});
  }
  return verdicts;
}

}  // namespace interlink::auth
