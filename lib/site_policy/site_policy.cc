#include "site_policy/site_policy.h"

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

}  // namespace

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
  request.annotations.insert(pod.config().annotations().begin(), pod.config().annotations().end());
  return Decide(caller, request);
}

Status SitePolicy::MayCreate(const site::Caller& caller,
                             const interlink::v1::RunSandboxRequest& pod,
                             const interlink::v1::CreateContainerRequest& container,
                             const std::vector<runtime::v1::Image>& images) const {
  PolicyRequest request = RequestOf(Action::kCreate, caller, pod);
  AddMachine(container, request);
  for (const runtime::v1::Image& image : images) {
    request.images = NamesOf(image);
    RETURN_IF_ERROR(Decide(caller, request));
  }
  return {};
}

Status SitePolicy::MayUse(const site::Caller& caller, Use use,
                          const interlink::v1::RunSandboxRequest& pod) const {
  return Decide(caller, RequestOf(ActionOfUse(use), caller, pod));
}

Status SitePolicy::MayPull(const site::Caller& caller, const interlink::v1::RunSandboxRequest& pod,
                           const interlink::v1::PullImageRequest& pull) const {
  PolicyRequest request = RequestOf(Action::kPull, caller, pod);
  ASSIGN_OR_RETURN(std::string name, parts_.full_image_name(pull.image().image()));
  request.images = {std::move(name)};
  return Decide(caller, request);
}

}  // namespace interlink::site_policy
