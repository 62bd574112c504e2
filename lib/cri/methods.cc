// The dispatch table: one entry per RPC that is served. What is not here answers UNIMPLEMENTED,
// which kubelet, crictl and critest take for "feature off".
#include <array>
#include <unordered_map>

#include "cri/method.h"
#include "runtime/v1/api.pb.h"

namespace interlink::cri {
namespace {

using node::Node;
using namespace runtime::v1;  // NOLINT(google-build-using-namespace): the table is about nothing
                              // else

#define RUNTIME(rpc) "/runtime.v1.RuntimeService/" rpc
#define IMAGE(rpc) "/runtime.v1.ImageService/" rpc

const Method kMethods[] = {
    // The runtime itself
    {RUNTIME("Version"), Now<VersionRequest>([](Node& n, const auto&) -> Result<VersionResponse> {
       return n.runtime().GetVersion();
     })},
    {RUNTIME("Status"), Now<StatusRequest>([](Node& n, const auto& r) -> Result<StatusResponse> {
       return n.runtime().GetStatus(r.verbose());
     })},
    {RUNTIME("RuntimeConfig"),
     Now<RuntimeConfigRequest>([](Node& n, const auto&) -> Result<RuntimeConfigResponse> {
       return n.runtime().GetConfig();
     })},
    {RUNTIME("UpdateRuntimeConfig"),
     Now<UpdateRuntimeConfigRequest>(
         [](Node& n, const auto& r) -> Result<UpdateRuntimeConfigResponse> {
           RETURN_IF_ERROR(n.runtime().UpdateConfig(r.runtime_config()));
           return UpdateRuntimeConfigResponse();
         })},

    // Sandboxes
    {RUNTIME("RunPodSandbox"), Later<RunPodSandboxRequest, RunPodSandboxResponse>(
                                   [](Node& n, const auto& c, const auto& r, auto reply) {
                                     n.sandboxes().Run(c, r, std::move(reply));
                                   })},
    {RUNTIME("StopPodSandbox"), Later<StopPodSandboxRequest, StopPodSandboxResponse>(
                                    [](Node& n, const auto& c, const auto& r, auto reply) {
                                      n.sandboxes().Stop(c, r, std::move(reply));
                                    })},
    {RUNTIME("RemovePodSandbox"), Later<RemovePodSandboxRequest, RemovePodSandboxResponse>(
                                      [](Node& n, const auto& c, const auto& r, auto reply) {
                                        n.sandboxes().Remove(c, r, std::move(reply));
                                      })},
    {RUNTIME("PodSandboxStatus"), Later<PodSandboxStatusRequest, PodSandboxStatusResponse>(
                                      [](Node& n, const auto& c, const auto& r, auto reply) {
                                        n.sandboxes().GetStatus(c, r, std::move(reply));
                                      })},
    {RUNTIME("ListPodSandbox"), Raw<ListPodSandboxRequest>([](Node& n, const auto& r) {
       return n.sandboxes().List(r.filter());
     })},
    {RUNTIME("UpdatePodSandboxResources"),
     Later<UpdatePodSandboxResourcesRequest, UpdatePodSandboxResourcesResponse>(
         [](Node& n, const auto& c, const auto& r, auto reply) {
           n.sandboxes().UpdateResources(c, r, std::move(reply));
         })},

    // Containers
    {RUNTIME("CreateContainer"), Later<CreateContainerRequest, CreateContainerResponse>(
                                     [](Node& n, const auto& c, const auto& r, auto reply) {
                                       n.containers().Create(c, r, std::move(reply));
                                     })},
    {RUNTIME("StartContainer"), Later<StartContainerRequest, StartContainerResponse>(
                                    [](Node& n, const auto& c, const auto& r, auto reply) {
                                      n.containers().Start(c, r, std::move(reply));
                                    })},
    {RUNTIME("StopContainer"), Later<StopContainerRequest, StopContainerResponse>(
                                   [](Node& n, const auto& c, const auto& r, auto reply) {
                                     n.containers().Stop(c, r, std::move(reply));
                                   })},
    {RUNTIME("RemoveContainer"), Later<RemoveContainerRequest, RemoveContainerResponse>(
                                     [](Node& n, const auto& c, const auto& r, auto reply) {
                                       n.containers().Remove(c, r, std::move(reply));
                                     })},
    {RUNTIME("ListContainers"), Raw<ListContainersRequest>([](Node& n, const auto& r) {
       return n.containers().List(r.filter());
     })},
    {RUNTIME("ContainerStatus"), Later<ContainerStatusRequest, ContainerStatusResponse>(
                                     [](Node& n, const auto& c, const auto& r, auto reply) {
                                       n.containers().GetStatus(c, r, std::move(reply));
                                     })},
    {RUNTIME("UpdateContainerResources"),
     Later<UpdateContainerResourcesRequest, UpdateContainerResourcesResponse>(
         [](Node& n, const auto& c, const auto& r, auto reply) {
           n.containers().UpdateResources(c, r, std::move(reply));
         })},
    {RUNTIME("ReopenContainerLog"), Later<ReopenContainerLogRequest, ReopenContainerLogResponse>(
                                        [](Node& n, const auto& c, const auto& r, auto reply) {
                                          n.containers().ReopenLog(c, r, std::move(reply));
                                        })},
    // Without a gRPC deadline only the command's own timeout ends it: exec hooks come without one.
    {RUNTIME("ExecSync"),
     Later<ExecSyncRequest, ExecSyncResponse>(
         [](Node& n, const auto& c, const auto& r, auto reply) {
           n.containers().ExecSync(c, r, std::move(reply));
         }),
     true},

    // Streams: only an address is answered; lib/streaming serves it
    {RUNTIME("Exec"),
     Now<ExecRequest>([](Node& n, const auto& r) { return n.sessions().Exec(r); })},
    {RUNTIME("Attach"),
     Now<AttachRequest>([](Node& n, const auto& r) { return n.sessions().Attach(r); })},
    {RUNTIME("PortForward"),
     Now<PortForwardRequest>([](Node& n, const auto& r) { return n.sessions().PortForward(r); })},

    // Statistics
    {RUNTIME("ContainerStats"),
     Now<ContainerStatsRequest>([](Node& n, const auto& r) { return n.stats().GetContainer(r); })},
    {RUNTIME("ListContainerStats"), Raw<ListContainerStatsRequest>([](Node& n, const auto& r) {
       return n.stats().ListContainers(r.filter());
     })},
    {RUNTIME("PodSandboxStats"),
     Now<PodSandboxStatsRequest>([](Node& n, const auto& r) { return n.stats().GetSandbox(r); })},
    {RUNTIME("ListPodSandboxStats"), Raw<ListPodSandboxStatsRequest>([](Node& n, const auto& r) {
       return n.stats().ListSandboxes(r.filter());
     })},
    {RUNTIME("ListMetricDescriptors"),
     Now<ListMetricDescriptorsRequest>(
         [](Node& n, const auto&) -> Result<ListMetricDescriptorsResponse> {
           return n.stats().DescribeMetrics();
         })},
    {RUNTIME("ListPodSandboxMetrics"),
     RawLater<ListPodSandboxMetricsRequest>(
         [](Node& n, const auto&, auto reply) { n.stats().ListMetrics(std::move(reply)); })},

    // The same as streams, and what never ends
    {.name = RUNTIME("StreamPodSandboxes"),
     .open = Streamed<StreamPodSandboxesRequest>(
         [](Node& n, const auto& r) { return n.sandboxes().List(r.filter()); })},
    {.name = RUNTIME("StreamContainers"),
     .open = Streamed<StreamContainersRequest>(
         [](Node& n, const auto& r) { return n.containers().List(r.filter()); })},
    {.name = RUNTIME("StreamContainerStats"),
     .open = Streamed<StreamContainerStatsRequest>(
         [](Node& n, const auto& r) { return n.stats().ListContainers(r.filter()); })},
    {.name = RUNTIME("StreamPodSandboxStats"),
     .open = Streamed<StreamPodSandboxStatsRequest>(
         [](Node& n, const auto& r) { return n.stats().ListSandboxes(r.filter()); })},
    {.name = RUNTIME("StreamPodSandboxMetrics"),
     .open = StreamedLater<StreamPodSandboxMetricsRequest>(
         [](Node& n, const auto&, auto reply) { n.stats().ListMetrics(std::move(reply)); })},
    {.name = IMAGE("StreamImages"),
     .open = Streamed<StreamImagesRequest>(
         [](Node& n, const auto& r) { return n.images().List(r.filter()); })},
    {.name = RUNTIME("GetContainerEvents"),
     .unbounded = true,
     .open = [](Node& n, std::string_view bytes) -> Result<node::FeedPtr> {
       RETURN_IF_ERROR(Parse<GetEventsRequest>(bytes).status());
       return n.events().Subscribe();
     }},

    // Images
    {IMAGE("ListImages"),
     Raw<ListImagesRequest>([](Node& n, const auto& r) { return n.images().List(r.filter()); })},
    {IMAGE("ImageStatus"),
     Now<ImageStatusRequest>([](Node& n, const auto& r) { return n.images().GetStatus(r); })},
    {IMAGE("PullImage"),
     Later<PullImageRequest, PullImageResponse>(
         [](Node& n, const auto& c, const auto& r, auto reply) {
           n.images().Pull(c, r, std::move(reply));
         }),
     true},
    {IMAGE("RemoveImage"), Later<RemoveImageRequest, RemoveImageResponse>(
                               [](Node& n, const auto& c, const auto& r, auto reply) {
                                 n.images().Remove(c, r, std::move(reply));
                               })},
    {IMAGE("ImageFsInfo"),
     Now<ImageFsInfoRequest>([](Node& n, const auto&) { return n.images().FsInfo(); })},
};

#undef RUNTIME
#undef IMAGE

}  // namespace

const Method* FindMethod(std::string_view name) {
  static const auto* const by_name = [] {
    auto* map = new std::unordered_map<std::string_view,
                                       const Method*>;  // NOLINT: lives as long as the table
    for (const Method& method : kMethods) map->emplace(method.name, &method);
    return map;
  }();
  const auto it = by_name->find(name);
  return it == by_name->end() ? nullptr : it->second;
}

}  // namespace interlink::cri
