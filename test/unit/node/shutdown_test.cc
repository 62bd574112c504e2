// The end of the daemon: whoever asks is answered, and nothing holds it up for long.
#include "node_lab.h"

namespace interlink::test {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

TEST_CASE("Whoever asks after the shutdown has begun is answered") {
  // gRPC waits for every call that it has given out: one without an answer held the daemon up until
  // it was killed.
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId created = lab.Created(pod, "created");
  const ContainerId running = lab.Running(pod, "running");
  lab.node->Stop();

  CHECK(lab.Run(NodeLab::Pod("b")).status().code() == Code::kUnavailable);
  CHECK(lab.Create(NodeLab::Unit(pod, "d")).status().code() == Code::kUnavailable);
  CHECK(lab.StartUnit(created).code() == Code::kUnavailable);
  CHECK(lab.StopUnit(running).code() == Code::kUnavailable);
  CHECK(lab.RemoveUnit(running).code() == Code::kUnavailable);
  CHECK(lab.StopPod(pod).code() == Code::kUnavailable);
  CHECK(lab.RemovePod(pod).code() == Code::kUnavailable);
  CHECK(lab.node->runtime().UpdateConfig({}).code() == Code::kUnavailable);
  runtime::v1::UpdatePodSandboxResourcesRequest pod_update;
  pod_update.set_pod_sandbox_id(pod.str());
  CHECK(NodeLab::Get(lab.Begin<runtime::v1::UpdatePodSandboxResourcesResponse>([&](auto reply) {
          lab.node->sandboxes().UpdateResources(NodeLab::call(), pod_update, reply);
        }))
            .status()
            .code() == Code::kUnavailable);
  runtime::v1::UpdateContainerResourcesRequest unit_update;
  unit_update.set_container_id(running.str());
  CHECK(NodeLab::Get(lab.Begin<runtime::v1::UpdateContainerResourcesResponse>([&](auto reply) {
          lab.node->containers().UpdateResources(NodeLab::call(), unit_update, reply);
        }))
            .status()
            .code() == Code::kUnavailable);
  runtime::v1::ContainerStatusRequest verbose;
  verbose.set_container_id(running.str());
  verbose.set_verbose(true);
  CHECK(NodeLab::Get(lab.Begin<runtime::v1::ContainerStatusResponse>([&](auto reply) {
          lab.node->containers().GetStatus(NodeLab::call(), verbose, reply);
        }))
            .status()
            .code() == Code::kUnavailable);
  CHECK(NodeLab::Get(
            lab.Begin<std::string>([&](auto reply) { lab.node->Wipe(NodeLab::call(), "", reply); }))
            .status()
            .code() == Code::kUnavailable);
}

TEST_CASE("A command that runs for ever is answered at the shutdown") {
  NodeLab lab;
  const ContainerId id = lab.Running(lab.Ready("a"), "c");
  runtime::v1::ExecSyncRequest request;
  request.set_container_id(id.str());
  request.add_cmd("endless");
  auto exec = lab.Begin<runtime::v1::ExecSyncResponse>(
      [&](auto reply) { lab.node->containers().ExecSync(NodeLab::call(1h), request, reply); });

  lab.node->Stop();

  CHECK(exec.wait_for(0s) == std::future_status::ready);
  CHECK(NodeLab::Get(std::move(exec)).status().code() == Code::kUnavailable);
}

TEST_CASE("A site that does not answer holds the shutdown up for less than eight seconds") {
  NodeLab lab;
  lab.site.SetHanging(true);
  auto first = lab.BeginRun(NodeLab::Pod("a"));
  auto second = lab.BeginRun(NodeLab::Pod("b"));
  REQUIRE(Eventually([&] { return lab.site.Calls("RunSandbox") == 2; }));

  const auto begun = std::chrono::steady_clock::now();
  lab.node->Stop();

  CHECK(std::chrono::steady_clock::now() - begun < 8s);
  CHECK_FALSE(NodeLab::Get(std::move(first)).ok());
  CHECK_FALSE(NodeLab::Get(std::move(second)).ok());
}

TEST_CASE("An answer is given once, and a dropped one says that the daemon ends") {
  std::vector<Status> told;
  {
    node::Answer<int> answer([&](const Result<int>& result) { told.push_back(result.status()); });
    answer.Give(1);
    answer.Give(InternalError("too late"));
  }
  {
    const node::Answer<int> dropped([&](const Result<int>& r) { told.push_back(r.status()); });
  }

  REQUIRE(told.size() == 2);
  CHECK(told[0].ok());
  CHECK(told[1].code() == Code::kUnavailable);
}

}  // namespace
}  // namespace interlink::test
