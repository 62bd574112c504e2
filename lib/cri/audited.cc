#include "cri/audited.h"

#include <algorithm>

#include "auth/audit_record.h"
#include "runtime/v1/api.pb.h"

namespace interlink::cri {
namespace {

using About = std::vector<std::pair<std::string, std::string>>;
using namespace runtime::v1;  // NOLINT(google-build-using-namespace): the table is about nothing
                              // else

template <typename Request, About (*kDescribe)(const Request&)>
About Of(std::string_view bytes) {
  Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return {};
  return kDescribe(request);
}

template <typename Request>
About Sandbox(const Request& request) {
  return {{"sandbox", request.pod_sandbox_id()}};
}
template <typename Request>
About Container(const Request& request) {
  return {{"container", request.container_id()}};
}
// The program without its arguments: they may hold secrets.
template <typename Request>
About Command(const Request& request) {
  return {{"container", request.container_id()},
          {"program", request.cmd().empty() ? std::string() : request.cmd(0)}};
}
template <typename Request>
About Image(const Request& request) {
  return {{"image", request.image().image()}};
}
About Run(const RunPodSandboxRequest& request) {
  const auto& metadata = request.config().metadata();
  return {{"pod", metadata.namespace_() + "/" + metadata.name()},
          {"pod-uid", metadata.uid()},
          {"handler", request.runtime_handler()}};
}
About Create(const CreateContainerRequest& request) {
  return {{"sandbox", request.pod_sandbox_id()},
          {"name", request.config().metadata().name()},
          {"image", request.config().image().image()}};
}
About Ports(const PortForwardRequest& request) {
  std::string ports;
  for (const int port : request.port()) {
    if (ports.size() > auth::kMaxAuditText) break;  // the record cuts it, and shows that it did
    ports += (ports.empty() ? "" : ",") + std::to_string(port);
  }
  return {{"sandbox", request.pod_sandbox_id()}, {"ports", ports}};
}
About Configuration(const UpdateRuntimeConfigRequest& /*request*/) { return {}; }

constexpr Audited kAudited[] = {
    {"RunPodSandbox", true, Of<RunPodSandboxRequest, Run>},
    {"StopPodSandbox", false, Of<StopPodSandboxRequest, Sandbox>},
    {"RemovePodSandbox", false, Of<RemovePodSandboxRequest, Sandbox>},
    {"UpdatePodSandboxResources", true, Of<UpdatePodSandboxResourcesRequest, Sandbox>},
    {"CreateContainer", true, Of<CreateContainerRequest, Create>},
    {"StartContainer", true, Of<StartContainerRequest, Container>},
    {"StopContainer", false, Of<StopContainerRequest, Container>},
    {"RemoveContainer", false, Of<RemoveContainerRequest, Container>},
    {"UpdateContainerResources", true, Of<UpdateContainerResourcesRequest, Container>},
    {"ReopenContainerLog", false, Of<ReopenContainerLogRequest, Container>},
    {"ExecSync", true, Of<ExecSyncRequest, Command>},
    {"Exec", true, Of<ExecRequest, Command>},
    {"Attach", true, Of<AttachRequest, Container>},
    {"PortForward", true, Of<PortForwardRequest, Ports>},
    {"PullImage", true, Of<PullImageRequest, Image>},
    {"RemoveImage", false, Of<RemoveImageRequest, Image>},
    {"UpdateRuntimeConfig", false, Of<UpdateRuntimeConfigRequest, Configuration>},
};

}  // namespace

const Audited* FindAudited(std::string_view method) {
  const std::string_view rpc = method.substr(method.rfind('/') + 1);
  const auto* it = std::find_if(std::begin(kAudited), std::end(kAudited),
                                [rpc](const Audited& one) { return one.rpc == rpc; });
  return it == std::end(kAudited) ? nullptr : it;
}

}  // namespace interlink::cri
