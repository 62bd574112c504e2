#include "site_policy/site_policy.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

#include "slurm_wishes/wishes.h"

namespace interlink::site_policy {
namespace {

using auth::Action;
using auth::PolicyRequest;

PolicyRequest RequestOf(Action action, const site::Caller& caller,
                        const interlink::v1::RunSandboxRequest& pod) {
  PolicyRequest request;
  request.action = action;
  request.node = caller.node.str();
  if (caller.token) {
    request.issuer = caller.token->issuer;
    request.subject = caller.token->subject;
    request.tenant = caller.token->tenant;
    request.groups = caller.token->groups;
  }
  request.pod_namespace = pod.config().metadata().namespace_();
  request.service_account = pod.service_account();
  request.handler = pod.handler();
  return request;
}

bool OfTheMachine(const runtime::v1::NamespaceOption& options) {
  return options.network() == runtime::v1::NODE || options.pid() == runtime::v1::NODE ||
         options.ipc() == runtime::v1::NODE;
}

std::vector<std::string> NamesOf(const runtime::v1::Image& image) {
  std::vector<std::string> names(image.repo_tags().begin(), image.repo_tags().end());
  names.insert(names.end(), image.repo_digests().begin(), image.repo_digests().end());
  return names;
}

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// CRI: 0 is not said, below it is no limit.
std::optional<int64_t> LimitOf(int64_t number) {
  if (number == 0) return std::nullopt;
  return number < 0 ? kNoLimit : number;
}

// Of the kernel, in microseconds, as those of CRI.
constexpr int64_t kShortestPeriod = 1000;
constexpr int64_t kUsualPeriod = 100'000;
constexpr int64_t kLongestPeriod = 1'000'000;

// Rounded up; a quota that large is more than any machine has. REQUIRES: quota >= 0, period > 0.
int64_t MilliCpus(int64_t quota, int64_t period) {
  constexpr int64_t kMilli = 1000;
  quota = std::min(quota, kNoLimit / kMilli / 2);
  period = std::min(period, kLongestPeriod);
  return (quota * kMilli + period - 1) / period;
}

// Digits only.
std::optional<int64_t> NumberIn(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.starts_with('-') || error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

// A file "cpu.max" of cgroup v2: "QUOTA PERIOD". The rest ("max", a quota of a period that is not
// said, what cannot be read) is no limit.
int64_t MilliCpusOfFile(std::string_view text) {
  const size_t space = std::min(text.find(' '), text.size());
  const auto quota = NumberIn(text.substr(0, space));
  const auto period = NumberIn(text.substr(std::min(space + 1, text.size())));
  if (!quota || !period || *period < kShortestPeriod || *period > kLongestPeriod) return kNoLimit;
  return MilliCpus(*quota, *period);
}

void AddLimits(const runtime::v1::LinuxContainerResources& resources, PolicyRequest& request) {
  request.memory = LimitOf(resources.memory_limit_in_bytes());
  request.milli_cpus = LimitOf(resources.cpu_quota());
  if (resources.cpu_quota() > 0) {
    const int64_t period = resources.cpu_period() > 0 ? resources.cpu_period() : kUsualPeriod;
    request.milli_cpus = MilliCpus(resources.cpu_quota(), period);
  }
  // The engine writes these files too: the larger limit counts.
  const auto raise = [](std::optional<int64_t>& limit, int64_t other) {
    limit = std::max(limit.value_or(other), other);
  };
  const auto& files = resources.unified();
  if (const auto file = files.find("memory.max"); file != files.end())
    raise(request.memory, NumberIn(file->second).value_or(kNoLimit));
  if (const auto file = files.find("cpu.max"); file != files.end())
    raise(request.milli_cpus, MilliCpusOfFile(file->second));
}

// What of the machine itself a container is to have.
void AddMachine(const interlink::v1::CreateContainerRequest& container, PolicyRequest& request) {
  const auto& security = container.config().linux().security_context();
  request.privileged = security.privileged();
  request.host_namespaces = OfTheMachine(security.namespace_options());
  if (security.has_run_as_user()) request.run_as_user = security.run_as_user().value();
  for (const auto& mount : container.config().mounts()) {
    const bool of_image = !mount.image().image().empty();
    if (!of_image && !container.sources().contains(mount.host_path()))
      request.host_paths.push_back(mount.host_path());
  }
  for (const auto& device : container.config().devices())
    request.devices.push_back(device.host_path());
  for (const auto& device : container.config().cdi_devices())
    request.devices.push_back(device.name());
}

Action ActionOfUse(site::Admission::Use use) {
  switch (use) {
    case site::Admission::Use::kUpdate:
      return Action::kUpdate;
    case site::Admission::Use::kExec:
      return Action::kExec;
    case site::Admission::Use::kExecSync:
      return Action::kExecSync;
    case site::Admission::Use::kAttach:
      return Action::kAttach;
    case site::Admission::Use::kPortForward:
      return Action::kPortForward;
  }
  return Action::kUpdate;
}

const Clock& SystemTime() {
  static const SystemClock clock;
  return clock;
}

// One number of a quota. "": it is kept.
std::string Exceeds(const std::optional<uint64_t>& limit, uint64_t has, uint64_t more,
                    const char* what) {
  if (!limit || more == 0 || has + more <= *limit) return "";
  std::string text = "has " + std::to_string(has) + " of " + std::to_string(*limit) + " " + what;
  if (more > 1) text += " and asks for " + std::to_string(more) + " more";
  return text;
}

std::string Among(const auth::Quota& quota, const site::Account& account) {
  return "the site's quota \"" + quota.name + "\": " + account.Text() + " ";
}

}  // namespace

void JudgeAnnotations(const std::map<std::string, std::string>& node, PolicyRequest& request) {
  auto judged = slurm_wishes::AnnotationsInForce(node, request.annotations);
  if (judged.ok()) {
    request.annotations = *std::move(judged);
  } else {
    request.annotations_unclear = judged.status().message();
  }
}

SitePolicy::SitePolicy(Parts parts)
    : parts_(std::move(parts)),
      requests_(parts_.clock != nullptr ? *parts_.clock : SystemTime()),
      bytes_(parts_.clock != nullptr ? *parts_.clock : SystemTime()) {}

Status SitePolicy::MayHold(const site::Account& account, const site::Holdings& has,
                           const site::Holdings& more) const {
  const auto policy = parts_.policy();
  const auth::Quota* quota = auth::FindQuota(policy->quotas(), account.tenant, account.node.str());
  if (quota == nullptr) return {};
  std::string why = Exceeds(quota->sandboxes, has.sandboxes, more.sandboxes, "sandboxes");
  if (why.empty()) why = Exceeds(quota->containers, has.containers, more.containers, "containers");
  if (why.empty()) why = Exceeds(quota->gpus, has.gpus, more.gpus, "GPUs");
  if (why.empty()) why = Exceeds(quota->sessions, has.sessions, more.sessions, "sessions");
  if (why.empty()) return {};
  return ResourceExhausted(Among(*quota, account) + why +
                           ": end some, or ask the site's administrator for more");
}

std::optional<TooSoon> SitePolicy::Throttle(const site::Caller& caller, size_t bytes) {
  const auto policy = parts_.policy();
  const site::Account account = site::AccountOf(caller);
  const auth::Quota* quota = auth::FindQuota(policy->quotas(), account.tenant, account.node.str());
  if (quota == nullptr) return std::nullopt;
  const auto too_soon = [&](auth::RateLimiter& limiter, const std::optional<uint64_t>& rate,
                            uint64_t cost, const char* what) -> std::optional<TooSoon> {
    if (!rate) return std::nullopt;
    const Duration wait = limiter.Take(account.Text(), *rate, cost);
    if (wait == Duration::zero()) return std::nullopt;
    return TooSoon{Among(*quota, account) + "may send " + std::to_string(*rate) + " " + what +
                       " a second and has sent more: ask again later",
                   wait};
  };
  auto refusal =
      too_soon(requests_, quota->requests_per_second, 1, "requests that begin something");
  if (!refusal) refusal = too_soon(bytes_, quota->bytes_per_second, bytes, "bytes");
  return refusal;
}

Status SitePolicy::Decide(const site::Caller& caller, const PolicyRequest& request) const {
  const auth::Decision decision = parts_.policy()->Decide(request);
  if (decision.allowed) {
    if (caller.ruling != nullptr) caller.ruling->Add(decision.rule);
    return {};
  }
  return PermissionDenied("the site's policy: " + decision.why);
}

Status SitePolicy::MayRun(const site::Caller& caller,
                          const interlink::v1::RunSandboxRequest& pod) const {
  PolicyRequest request = RequestOf(Action::kRun, caller, pod);
  const auto& security = pod.config().linux().security_context();
  request.privileged = security.privileged();
  request.host_namespaces = OfTheMachine(security.namespace_options());
  const auto& node = pod.plugin_config();
  const auto& annotations = pod.config().annotations();
  request.annotations = {annotations.begin(), annotations.end()};
  JudgeAnnotations({node.begin(), node.end()}, request);
  return Decide(caller, request);
}

std::string SitePolicy::UserOf(const site::Caller& caller,
                               const interlink::v1::RunSandboxRequest& pod) const {
  const auto policy = parts_.policy();
  const auth::MappedUser* user =
      auth::FindUser(policy->users(), RequestOf(Action::kRun, caller, pod));
  if (user == nullptr) return "";
  if (caller.ruling != nullptr) caller.ruling->Add(user->name + " (user " + user->user + ")");
  return user->user;
}

Status SitePolicy::MayCreate(const site::Caller& caller,
                             const interlink::v1::RunSandboxRequest& pod,
                             const interlink::v1::CreateContainerRequest& container,
                             const std::vector<runtime::v1::Image>& images) const {
  PolicyRequest request = RequestOf(Action::kCreate, caller, pod);
  AddMachine(container, request);
  AddLimits(container.config().linux().resources(), request);
  for (const runtime::v1::Image& image : images) {
    request.images = NamesOf(image);
    RETURN_IF_ERROR(Decide(caller, request));
  }
  return {};
}

Status SitePolicy::MayUse(const site::Caller& caller, Use use,
                          const interlink::v1::RunSandboxRequest& pod,
                          const runtime::v1::LinuxContainerResources* resources) const {
  PolicyRequest request = RequestOf(ActionOfUse(use), caller, pod);
  if (resources != nullptr) AddLimits(*resources, request);
  return Decide(caller, request);
}

Status SitePolicy::MayPull(const site::Caller& caller, const interlink::v1::RunSandboxRequest& pod,
                           const interlink::v1::PullImageRequest& pull) const {
  PolicyRequest request = RequestOf(Action::kPull, caller, pod);
  ASSIGN_OR_RETURN(std::string name, parts_.full_image_name(pull.image().image()));
  request.images = {std::move(name)};
  return Decide(caller, request);
}

}  // namespace interlink::site_policy
