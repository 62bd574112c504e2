// A node over a disk that outlives it and a site that the test scripts: Crash() is kill -9.
#ifndef INTERLINK_TEST_UNIT_NODE_NODE_LAB_H_
#define INTERLINK_TEST_UNIT_NODE_NODE_LAB_H_

#include <catch2/catch.hpp>
#include <future>

#include "fake_site.h"
#include "node/node.h"
#include "support/eventually.h"
#include "support/fake_kubelet_volumes.h"
#include "support/fake_streams.h"
#include "support/manual_clock.h"
#include "support/memory_log_files.h"
#include "support/memory_node_store.h"

namespace interlink::test {

struct NodeLab {
  explicit NodeLab(bool link = true) {
    Boot();
    if (link) WaitLinked();
  }
  ~NodeLab() {
    if (node != nullptr) node->Stop();
  }

  void Boot() {
    store = std::make_unique<MemoryNodeStore>(disk);
    logs = std::make_unique<MemoryLogFiles>();
    options.site_name = "fake:443";
    options.data_folder = "/tmp";
    options.version = "test";
    auto made = node::Node::Create(
        options, {*store, site, *logs, volumes, *told_to, metrics, clock, streams});
    REQUIRE(made.ok());
    node = *std::move(made);
    lists_before = site.ListsTaken();
    node->Start();
  }
  // Linked, and the list of this link is merged: only then absence at the site may mean something.
  void WaitLinked() {
    REQUIRE(Eventually([this] {
      return node->Summary().reachable.ok() && site.ListsTaken() > lists_before && ListsReady();
    }));
  }
  // Nothing that is not durable by now will be found again.
  void Crash() {
    store->Kill();
    node->Stop();
    node.reset();
    logs.reset();
    store.reset();
  }
  void Restart() {
    Crash();
    Boot();
    WaitLinked();
  }
  void Relink() {
    site.SetDown(true);
    REQUIRE(Eventually([this] { return !node->Summary().reachable.ok(); }));
    lists_before = site.ListsTaken();
    site.SetDown(false);
    WaitLinked();
  }
  bool ListsReady() { return node->sandboxes().List({}).ok(); }

  template <typename T, typename Start>
  std::future<Result<T>> Begin(Start start) {
    auto promise = std::make_shared<std::promise<Result<T>>>();
    auto future = promise->get_future();
    start([promise](Result<T> result) { promise->set_value(std::move(result)); });
    return future;
  }
  template <typename T>
  static Result<T> Get(std::future<Result<T>> future) {
    REQUIRE(future.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
    return future.get();
  }
  static Call call(Duration timeout = std::chrono::seconds(20)) {
    return Call::WithTimeout(timeout);
  }

  static runtime::v1::RunPodSandboxRequest Pod(const std::string& name, uint32_t attempt = 0) {
    runtime::v1::RunPodSandboxRequest request;
    auto* metadata = request.mutable_config()->mutable_metadata();
    metadata->set_name(name);
    metadata->set_namespace_("default");
    metadata->set_uid("uid-" + name);
    metadata->set_attempt(attempt);
    request.mutable_config()->set_log_directory("/logs/" + name);
    (*request.mutable_config()->mutable_labels())["app"] = name;
    return request;
  }
  static runtime::v1::CreateContainerRequest Unit(const SandboxId& pod, const std::string& name,
                                                  uint32_t attempt = 0) {
    runtime::v1::CreateContainerRequest request;
    request.set_pod_sandbox_id(pod.str());
    request.mutable_config()->mutable_metadata()->set_name(name);
    request.mutable_config()->mutable_metadata()->set_attempt(attempt);
    request.mutable_config()->mutable_image()->set_image("busybox");
    request.mutable_config()->set_log_path(name + ".log");
    return request;
  }

  auto BeginRun(const runtime::v1::RunPodSandboxRequest& request, const Call& c = call()) {
    return Begin<runtime::v1::RunPodSandboxResponse>(
        [&](auto reply) { node->sandboxes().Run(c, request, reply); });
  }
  Result<SandboxId> Run(const runtime::v1::RunPodSandboxRequest& request, const Call& c = call()) {
    auto answer = Get(BeginRun(request, c));
    if (!answer.ok()) return answer.status();
    return SandboxId(answer->pod_sandbox_id());
  }
  auto BeginStopPod(const SandboxId& id, const Call& c = call()) {
    runtime::v1::StopPodSandboxRequest request;
    request.set_pod_sandbox_id(id.str());
    return Begin<runtime::v1::StopPodSandboxResponse>(
        [&](auto reply) { node->sandboxes().Stop(c, request, reply); });
  }
  Status StopPod(const SandboxId& id, const Call& c = call()) {
    return Get(BeginStopPod(id, c)).status();
  }
  auto BeginRemovePod(const SandboxId& id, const Call& c = call()) {
    runtime::v1::RemovePodSandboxRequest request;
    request.set_pod_sandbox_id(id.str());
    return Begin<runtime::v1::RemovePodSandboxResponse>(
        [&](auto reply) { node->sandboxes().Remove(c, request, reply); });
  }
  Status RemovePod(const SandboxId& id, const Call& c = call()) {
    return Get(BeginRemovePod(id, c)).status();
  }
  auto BeginCreate(const runtime::v1::CreateContainerRequest& request, const Call& c = call()) {
    return Begin<runtime::v1::CreateContainerResponse>(
        [&](auto reply) { node->containers().Create(c, request, reply); });
  }
  Result<ContainerId> Create(const runtime::v1::CreateContainerRequest& request,
                             const Call& c = call()) {
    auto answer = Get(BeginCreate(request, c));
    if (!answer.ok()) return answer.status();
    return ContainerId(answer->container_id());
  }
  auto BeginStart(const ContainerId& id, const Call& c = call()) {
    runtime::v1::StartContainerRequest request;
    request.set_container_id(id.str());
    return Begin<runtime::v1::StartContainerResponse>(
        [&](auto reply) { node->containers().Start(c, request, reply); });
  }
  Status StartUnit(const ContainerId& id, const Call& c = call()) {
    return Get(BeginStart(id, c)).status();
  }
  auto BeginExec(const ContainerId& id, const std::string& command, const Call& c = call(),
                 int64_t timeout_s = 0) {
    runtime::v1::ExecSyncRequest request;
    request.set_container_id(id.str());
    request.add_cmd(command);
    request.set_timeout(timeout_s);
    return Begin<runtime::v1::ExecSyncResponse>(
        [&](auto reply) { node->containers().ExecSync(c, request, reply); });
  }
  auto BeginStopUnit(const ContainerId& id, const Call& c = call()) {
    runtime::v1::StopContainerRequest request;
    request.set_container_id(id.str());
    return Begin<runtime::v1::StopContainerResponse>(
        [&](auto reply) { node->containers().Stop(c, request, reply); });
  }
  Status StopUnit(const ContainerId& id, const Call& c = call()) {
    return Get(BeginStopUnit(id, c)).status();
  }
  Status RemoveUnit(const ContainerId& id, const Call& c = call()) {
    runtime::v1::RemoveContainerRequest request;
    request.set_container_id(id.str());
    return Get(Begin<runtime::v1::RemoveContainerResponse>(
                   [&](auto reply) { node->containers().Remove(c, request, reply); }))
        .status();
  }
  runtime::v1::ContainerStatus StatusOf(const ContainerId& id) {
    runtime::v1::ContainerStatusRequest request;
    request.set_container_id(id.str());
    auto answer = Get(Begin<runtime::v1::ContainerStatusResponse>(
        [&](auto reply) { node->containers().GetStatus(call(), request, reply); }));
    REQUIRE(answer.ok());
    return answer->status();
  }

  // The state that a list shows; nothing: not listed.
  std::optional<runtime::v1::PodSandboxState> Shown(const SandboxId& id) {
    const auto slices = node->sandboxes().List({});
    if (!slices.ok()) return std::nullopt;
    runtime::v1::ListPodSandboxResponse list;
    for (const auto& slice : *slices) REQUIRE(list.MergeFromString(*slice));
    for (const auto& item : list.items()) {
      if (item.id() == id.str()) return item.state();
    }
    return std::nullopt;
  }
  std::optional<runtime::v1::ContainerState> Shown(const ContainerId& id) {
    const auto slices = node->containers().List({});
    if (!slices.ok()) return std::nullopt;
    runtime::v1::ListContainersResponse list;
    for (const auto& slice : *slices) REQUIRE(list.MergeFromString(*slice));
    for (const auto& item : list.containers()) {
      if (item.id() == id.str()) return item.state();
    }
    return std::nullopt;
  }

  SandboxId Ready(const std::string& name) {
    auto id = Run(Pod(name));
    REQUIRE(id.ok());
    return *id;
  }
  ContainerId Created(const SandboxId& pod, const std::string& name) {
    auto id = Create(Unit(pod, name));
    REQUIRE(id.ok());
    return *id;
  }
  ContainerId Running(const SandboxId& pod, const std::string& name) {
    const ContainerId id = Created(pod, name);
    REQUIRE(StartUnit(id).ok());
    return id;
  }

  NodeDisk disk;
  FakeSite site;
  int lists_before = 0;
  node::Options options;
  NullLog log;
  Log* told_to = &log;  // of the next Boot
  NullMetrics metrics;
  ManualClock clock;
  FakeStreams streams;
  std::unique_ptr<MemoryNodeStore> store;
  std::unique_ptr<MemoryLogFiles> logs;
  FakeKubeletVolumes volumes;
  std::unique_ptr<node::Node> node;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_UNIT_NODE_NODE_LAB_H_
