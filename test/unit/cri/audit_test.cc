// What the audit log gets of calls on the CRI socket.
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "cri/audited.h"
#include "cri_lab.h"
#include "runtime/v1/api.pb.h"
#include "support/memory_audit.h"

namespace interlink::test {
namespace {

using namespace runtime::v1;  // NOLINT(google-build-using-namespace): messages only

constexpr const char* kStop = "/runtime.v1.RuntimeService/StopPodSandbox";
constexpr const char* kRun = "/runtime.v1.RuntimeService/RunPodSandbox";
constexpr const char* kVersion = "/runtime.v1.RuntimeService/Version";

// Sandboxes that answer at once, and a version.
class SmallNode final : public NoNode, public node::Sandboxes, public node::Runtime {
 public:
  node::Sandboxes& sandboxes() override { return *this; }
  node::Runtime& runtime() override { return *this; }

  void Run(const Call&, const RunPodSandboxRequest&,
           node::Reply<RunPodSandboxResponse> reply) override {
    ++runs;
    reply(PermissionDenied("the site's policy: no rule lets it through"));
  }
  void Stop(const Call&, const StopPodSandboxRequest&,
            node::Reply<StopPodSandboxResponse> reply) override {
    reply(StopPodSandboxResponse());
  }
  void Stop() override {}
  void Remove(const Call&, const RemovePodSandboxRequest&,
              node::Reply<RemovePodSandboxResponse> reply) override {
    reply(RemovePodSandboxResponse());
  }
  void GetStatus(const Call&, const PodSandboxStatusRequest&,
                 node::Reply<PodSandboxStatusResponse> reply) override {
    reply(PodSandboxStatusResponse());
  }
  Result<node::Slices> List(const PodSandboxFilter&) const override { return node::Slices(); }
  void UpdateResources(const Call&, const UpdatePodSandboxResourcesRequest&,
                       node::Reply<UpdatePodSandboxResourcesResponse> reply) override {
    reply(UpdatePodSandboxResourcesResponse());
  }

  VersionResponse GetVersion() const override { return {}; }
  StatusResponse GetStatus(bool) const override { return {}; }
  RuntimeConfigResponse GetConfig() const override { return {}; }
  Status UpdateConfig(const RuntimeConfig&) override { return {}; }

  std::atomic<int> runs = 0;
};

TEST_CASE("very many ports are one text of bounded length") {
  PortForwardRequest request;
  request.set_pod_sandbox_id("abc");
  for (int i = 0; i < 100'000; ++i) request.add_port(8080);

  const auto about = cri::FindAudited("/runtime.v1.RuntimeService/PortForward")
                         ->describe(request.SerializeAsString());

  REQUIRE(about.size() == 2);
  CHECK(about[1].first == "ports");
  CHECK(about[1].second.starts_with("8080,8080,"));
  CHECK(about[1].second.size() < 2 * auth::kMaxAuditText);
}

TEST_CASE("a changing call is one record, with the process that has made it") {
  SmallNode node;
  MemoryAudit audit;
  const Lab lab(node, &audit);
  StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id("abc");

  CHECK(lab.Ask(kStop, stop.SerializeAsString()).ok());
  CHECK(lab.Ask(kVersion, VersionRequest().SerializeAsString()).ok());

  const auto records = audit.records();
  REQUIRE(records.size() == 1);
  CHECK(audit.Lines()[0] == "StopPodSandbox ok sandbox=abc");
  REQUIRE(records[0].process);
  CHECK(records[0].process->pid == getpid());
  CHECK(records[0].process->uid == geteuid());
  CHECK(records[0].process->executable.ends_with("cri_test"));
  CHECK(records[0].code == "OK");
}

TEST_CASE("a denied call is recorded with the reason") {
  SmallNode node;
  MemoryAudit audit;
  const Lab lab(node, &audit);
  RunPodSandboxRequest run;
  run.set_runtime_handler("hpc");
  run.mutable_config()->mutable_metadata()->set_name("p");
  run.mutable_config()->mutable_metadata()->set_namespace_("default");
  run.mutable_config()->mutable_metadata()->set_uid("u");
  (*run.mutable_config()->mutable_annotations())["secret"] = "canary";

  CHECK(lab.Ask(kRun, run.SerializeAsString()).error_code() == grpc::StatusCode::PERMISSION_DENIED);

  REQUIRE(audit.records().size() == 1);
  CHECK(audit.Lines()[0] == "RunPodSandbox denied pod=default/p pod-uid=u handler=hpc");
  CHECK(audit.records()[0].why == "the site's policy: no rule lets it through");
  CHECK(auth::EncodeAuditRecord(audit.records()[0]).find("canary") == std::string::npos);
}

TEST_CASE("while records cannot be written a pod is not run, and one is stopped") {
  SmallNode node;
  MemoryAudit audit;
  audit.Refuse(Unavailable("the audit log cannot be written"));
  const Lab lab(node, &audit);

  const auto refused = lab.Ask(kRun, RunPodSandboxRequest().SerializeAsString());
  CHECK(refused.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(refused.error_message() == "the audit log cannot be written");
  CHECK(node.runs == 0);
  CHECK(lab.Ask(kStop, StopPodSandboxRequest().SerializeAsString()).ok());
}

TEST_CASE("many clients at once, each of them known, and large messages pass whole") {
  SmallNode node;
  MemoryAudit audit;
  const Lab lab(node, &audit);
  StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id(std::string(3U << 20U, 'x'));
  const std::string bytes = stop.SerializeAsString();

  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 8; ++i) {
      clients.emplace_back([&lab, &bytes] {
        const auto channel =
            grpc::CreateCustomChannel("unix:" + lab.path, grpc::InsecureChannelCredentials(), [] {
              grpc::ChannelArguments own;  // a connection of its own
              own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
              return own;
            }());
        for (int k = 0; k < 5; ++k) {
          grpc::ClientContext context;
          context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
          const grpc::Slice slice(bytes);
          const grpc::ByteBuffer request(&slice, 1);
          grpc::ByteBuffer response;
          const auto status = grpc::internal::BlockingUnaryCall(
              channel.get(),
              grpc::internal::RpcMethod(kStop, grpc::internal::RpcMethod::NORMAL_RPC), &context,
              request, &response);
          if (!status.ok()) throw std::runtime_error(status.error_message());
        }
      });
    }
  }

  const auto records = audit.records();
  REQUIRE(records.size() == 40);
  for (const auto& record : records) {
    REQUIRE(record.process);
    CHECK(record.process->pid == getpid());
    CHECK(record.about[0].second.size() == 3U << 20U);
  }
}

TEST_CASE("every RPC that changes something is in the table of the audit log") {
  // What is left only answers what is there.
  const std::set<std::string> looks = {"Version",
                                       "ListPodSandbox",
                                       "PodSandboxStatus",
                                       "ListContainers",
                                       "ContainerStatus",
                                       "ContainerStats",
                                       "ListContainerStats",
                                       "PodSandboxStats",
                                       "ListPodSandboxStats",
                                       "Status",
                                       "GetContainerEvents",
                                       "ListMetricDescriptors",
                                       "ListPodSandboxMetrics",
                                       "RuntimeConfig",
                                       "ListImages",
                                       "ImageStatus",
                                       "ImageFsInfo",
                                       "StreamPodSandboxes",
                                       "StreamContainers",
                                       "StreamContainerStats",
                                       "StreamPodSandboxStats",
                                       "StreamPodSandboxMetrics",
                                       "StreamImages"};
  const std::set<std::string> not_built = {"CheckpointContainer", "CheckpointPod", "RestorePod"};
  const auto* file = RunPodSandboxRequest::descriptor()->file();
  REQUIRE(file->service_count() == 2);
  for (int s = 0; s < file->service_count(); ++s) {
    for (int m = 0; m < file->service(s)->method_count(); ++m) {
      const std::string rpc = file->service(s)->method(m)->name();
      INFO(rpc);
      CHECK((cri::FindAudited("/x/" + rpc) != nullptr) !=
            (looks.contains(rpc) || not_built.contains(rpc)));
    }
  }
}

}  // namespace
}  // namespace interlink::test
