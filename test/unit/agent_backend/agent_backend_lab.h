// An AgentBackend between a provisioner and agents that do what a test says.
#ifndef INTERLINK_TEST_UNIT_AGENT_BACKEND_AGENT_BACKEND_LAB_H_
#define INTERLINK_TEST_UNIT_AGENT_BACKEND_AGENT_BACKEND_LAB_H_

#include <catch2/catch.hpp>

#include "agent_backend/agent_backend.h"
#include "base/file.h"
#include "interlink/agent/v1/agent.pb.h"
#include "interlink/v1/volume.pb.h"
#include "runtime/v1/api.pb.h"
#include "support/eventually.h"
#include "support/recording_host/recording_host.h"
#include "support/temporary_folder.h"

namespace interlink::test {

using State = sdk::Observation::State;
using sdk::AllocationFact;

// What the provisioner and the agents are, beyond a restart of the site.
struct Outside {
  Mutex mutex;
  std::map<std::string, Status> fail GUARDED_BY(mutex);  // method -> its answer
  std::vector<std::string> asked GUARDED_BY(mutex);      // "Submit", "agent Leave", ... in order
  std::vector<AllocationFact> recovered GUARDED_BY(mutex);
  // What an agent makes of a layer that is put; empty: it has it.
  std::function<Result<UniqueFd>(const std::string&)> take_layer GUARDED_BY(mutex);
  // Method -> what happens before its answer.
  std::map<std::string, std::shared_ptr<std::function<void()>>> meanwhile GUARDED_BY(mutex);

  Status Ask(const std::string& method) {
    std::shared_ptr<std::function<void()>> first;
    {
      MutexLock lock(mutex);
      if (const auto found = meanwhile.find(method); found != meanwhile.end())
        first = found->second;
    }
    if (first) (*first)();
    MutexLock lock(mutex);
    asked.push_back(method);
    const auto found = fail.find(method);
    return found == fail.end() ? Status() : found->second;
  }
  void Fail(const std::string& method, Status status) {
    MutexLock lock(mutex);
    fail[method] = std::move(status);
  }
  void Meanwhile(const std::string& method, std::function<void()> what) {
    MutexLock lock(mutex);
    meanwhile[method] = std::make_shared<std::function<void()>>(std::move(what));
  }
  int Count(const std::string& method) {
    MutexLock lock(mutex);
    return static_cast<int>(std::count(asked.begin(), asked.end(), method));
  }
};

class ScriptedProvisioner final : public sdk::Provisioner {
 public:
  explicit ScriptedProvisioner(Outside& outside, bool shared = true)
      : shared_layers(shared), outside_(outside) {
    description_.plugin = "scripted";
    description_.handlers.resize(2);
    description_.handlers[0].name = "slurm";
    description_.handlers[1].name = "later";
    description_.handlers[1].queue_at_start = true;
  }
  const sdk::Description& Describe() const override { return description_; }
  Result<std::vector<AllocationFact>> Recover(const Call&) override {
    RETURN_IF_ERROR(outside_.Ask("Recover"));
    MutexLock lock(outside_.mutex);
    return outside_.recovered;
  }
  Status Check(const sdk::AllocationSpec&) override { return outside_.Ask("Check"); }
  Status Submit(const Call&, const sdk::AllocationSpec&) override { return outside_.Ask("Submit"); }
  Status Release(const Call&, const SandboxId&) override { return outside_.Ask("Release"); }
  Status Remove(const Call&, const SandboxId&) override { return outside_.Ask("Remove"); }
  Status PrepareImage(const Call&, const std::string&, const sdk::UnpackedImage&) override {
    return outside_.Ask("PrepareImage");
  }
  Result<sdk::UnpackedImage> HoldImage(const std::string&, const ContainerId&,
                                       const sdk::UnpackedImage& image) override {
    RETURN_IF_ERROR(outside_.Ask("HoldImage"));
    sdk::UnpackedImage copy = image;
    if (shared_layers) copy.layers = {"/jobs/layer"};
    return copy;
  }
  bool SharesLayers() const override { return shared_layers; }
  void ReleaseImages(const ContainerId&) override { outside_.Ask("ReleaseImages").ok(); }
  Result<std::string> Inspect(const Call&, const SandboxId&) override {
    RETURN_IF_ERROR(outside_.Ask("Inspect"));
    return std::string("{\"job\":1}");
  }

  // Else HoldImage answers the site's own.
  const bool shared_layers;

 private:
  Outside& outside_;
  sdk::Description description_;
};

class ScriptedAgents final : public agent_backend::Agents {
 public:
  explicit ScriptedAgents(Outside& outside) : outside_(outside) {}
  std::string TokenOf(const SandboxId& id) const override { return "token of " + id.str(); }
  Result<std::string> Close(const SandboxId&) override { return std::string("-"); }
  Result<std::string> BoundTo(const SandboxId&) override { return std::string(); }
  Result<bool> HasLeft(const SandboxId&) override { return false; }
  Status Forget(const SandboxId&) override { return outside_.Ask("Forget"); }
  std::optional<Duration> Silence(const SandboxId&) override { return std::nullopt; }
  Status Carry(UniqueFd, std::function<void()>) override { return Unavailable("no hub"); }
  Status RunSandbox(const Call&, const sdk::SandboxSpec&) override {
    return outside_.Ask("agent RunSandbox");
  }
  Status StopSandbox(const Call&, const NodeId&, const SandboxId&) override {
    return outside_.Ask("agent StopSandbox");
  }
  Status UpdateSandbox(const Call&, const NodeId&, const SandboxId&,
                       const runtime::v1::LinuxContainerResources&,
                       const runtime::v1::LinuxContainerResources&) override {
    return outside_.Ask("agent UpdateSandbox");
  }
  Status CreateContainer(const Call&, const sdk::ContainerSpec& spec,
                         const agent_hub::AgentImages& images) override {
    for (const auto& [path, content] : spec.contents) outside_.Ask("content " + path).ok();
    for (const auto& [name, id] : spec.volume_images) {
      outside_.Ask("volume " + name + " " + Words(images.volumes.at(id).layers)).ok();
    }
    outside_.Ask("layers " + Words(images.own.layers)).ok();
    return outside_.Ask("agent CreateContainer");
  }
  Status StartContainer(const Call&, const SandboxId&, const ContainerId&) override {
    return outside_.Ask("agent StartContainer");
  }
  Status StopContainer(const Call&, const SandboxId&, const ContainerId&,
                       std::chrono::seconds) override {
    return outside_.Ask("agent StopContainer");
  }
  Status RemoveContainer(const Call&, const SandboxId&, const ContainerId&) override {
    return outside_.Ask("agent RemoveContainer");
  }
  Status UpdateContainer(const Call&, const SandboxId&, const ContainerId&,
                         const runtime::v1::LinuxContainerResources&) override {
    return outside_.Ask("agent UpdateContainer");
  }
  Status UpdateContents(const Call&, const SandboxId&, const ContainerId&,
                        const sdk::MountContents& contents) override {
    for (const auto& [path, content] : contents) {
      outside_.Ask("update " + path + " " + content->snapshot().entries(0).file()).ok();
    }
    return outside_.Ask("agent UpdateContents");
  }
  Result<UniqueFd> OpenSession(const Call&, const sdk::SessionSpec&) override {
    RETURN_IF_ERROR(outside_.Ask("agent OpenSession"));
    return UniqueFd();
  }
  Result<UniqueFd> Dial(const Call&, const SandboxId&, uint16_t) override {
    RETURN_IF_ERROR(outside_.Ask("agent Dial"));
    return UniqueFd();
  }
  Result<UniqueFd> PutLayer(const Call&, const SandboxId&, const std::string& name) override {
    RETURN_IF_ERROR(outside_.Ask("agent PutLayer " + name));
    std::function<Result<UniqueFd>(const std::string&)> take;
    {
      MutexLock lock(outside_.mutex);
      take = outside_.take_layer;
    }
    return take ? take(name) : AlreadyExists("the agent has the layer");
  }
  Result<sdk::LogChunk> ReadLog(const Call&, const SandboxId&, const ContainerId&, uint64_t offset,
                                size_t) override {
    RETURN_IF_ERROR(outside_.Ask("agent ReadLog"));
    return sdk::LogChunk{"line\n", offset + 5, false};
  }
  Result<sdk::Usage> Stats(const Call&, const SandboxId& id) override {
    RETURN_IF_ERROR(outside_.Ask("agent Stats"));
    sdk::Usage usage;
    usage.sandboxes.emplace_back().mutable_attributes()->set_id(id.str());
    return usage;
  }
  Result<std::string> Inspect(const Call&, const SandboxId&, const ContainerId&) override {
    RETURN_IF_ERROR(outside_.Ask("agent Inspect"));
    return std::string("{\"pid\":2}");
  }
  Status Leave(const Call&, const SandboxId&) override { return outside_.Ask("agent Leave"); }

 private:
  static std::string Words(const std::vector<std::string>& layers) {
    std::string words;
    for (const std::string& layer : layers) words += (words.empty() ? "" : " ") + layer;
    return words;
  }

  Outside& outside_;
};

struct AgentBackendLab {
  explicit AgentBackendLab(Duration idle = Duration::zero(), bool shared = true)
      : idle_timeout(idle), shared_layers(shared) {
    REQUIRE(MakeDirectories(folder.File("data"), 0700).ok());
    host.AddImage({"sha256:i", {"/site/layer"}, {}});
    config.mutable_metadata()->set_name("p");
    config.mutable_metadata()->set_uid("u");
    unit_config.mutable_metadata()->set_name("c");
    Boot();
  }
  void Boot() {
    auto made = agent_backend::AgentBackend::Create(host, std::make_shared<ScriptedAgents>(outside),
                                                    directory,
                                                    {.hub = "site:1",
                                                     .server_name = "site",
                                                     .ca_pem = [] { return std::string("ca"); },
                                                     .idle_timeout = idle_timeout,
                                                     .threads = 2,
                                                     .try_again = std::chrono::milliseconds(5),
                                                     .layers = layer_options});
    INFO(made.status().ToString());
    REQUIRE(made.ok());
    backend = *std::move(made);
    backend->SetProvisioner(std::make_unique<ScriptedProvisioner>(outside, shared_layers));
    auto found = backend->Recover(call(), {});
    REQUIRE(found.ok());
    inventory = *std::move(found);
  }
  // kill -9 of the site, and its next start.
  void Restart(std::vector<AllocationFact> recovered = {}) {
    backend.reset();
    {
      MutexLock lock(outside.mutex);
      outside.recovered = std::move(recovered);
    }
    host.Forget();
    Boot();
  }
  static Call call() { return Call::WithTimeout(std::chrono::seconds(10)); }

  Status Run() { return backend->RunSandbox(call(), {pod, node, "slurm", config}); }
  Status Create() {
    return backend->CreateContainer(call(), {unit, pod, node, "sha256:i", unit_config, config});
  }
  AllocationFact Fact(AllocationFact::State state) const {
    AllocationFact fact;
    fact.sandbox = pod;
    fact.state = state;
    fact.allocation = "4711";
    return fact;
  }
  void Tell(AllocationFact fact) { backend->Report({std::move(fact)}); }
  void TellEnd(const std::string& message = "the job has ended") {
    AllocationFact fact = Fact(AllocationFact::State::kEnded);
    fact.message = message;
    fact.pod_folder = folder.File("pod");
    Tell(std::move(fact));
  }
  sdk::Observation Seen(State state, const ContainerId& container = ContainerId()) const {
    sdk::Observation seen;
    seen.sandbox = pod;
    seen.container = container;
    seen.state = state;
    return seen;
  }
  // The agent calls in and says what there is.
  void Come(std::vector<sdk::Observation> facts = {}) {
    REQUIRE(directory.MayCome(pod, {}).ok());
    directory.CameIn(pod, {});
    REQUIRE(directory.Reported(pod, std::move(facts), true).ok());
  }
  void Say(sdk::Observation seen) {
    REQUIRE(directory.Reported(pod, {std::move(seen)}, false).ok());
  }
  bool Is(State state, const ContainerId& container = ContainerId()) {
    return Eventually([&] { return host.Latest(pod, container).state == state; });
  }
  void MakeUp() {
    REQUIRE(Run().ok());
    Come();
    REQUIRE(Eventually([&] { return outside.Count("agent RunSandbox") == 1; }));
    Say(Seen(State::kUp));
    REQUIRE(Is(State::kUp));
  }
  void MakeRunning() {
    MakeUp();
    REQUIRE(Create().ok());
    Say(Seen(State::kCreated, unit));
    REQUIRE(backend->StartContainer(call(), pod, unit).ok());
    Say(Seen(State::kUp, unit));
    REQUIRE(Is(State::kUp, unit));
  }
  // As the agent leaves it in the pod's folder.
  void LeaveExit(int code, const SandboxId& of) const {
    agent::v1::ExitFile exit;
    exit.set_version(1);
    exit.set_sandbox_id(of.str());
    exit.mutable_fact()->set_container_id(unit.str());
    exit.mutable_fact()->set_state(agent::v1::Fact::DOWN);
    exit.mutable_fact()->set_exit_code(code);
    exit.mutable_fact()->set_reason(code == 0 ? "Completed" : "Error");
    exit.mutable_fact()->set_finished_ns(5);
    REQUIRE(MakeDirectories(folder.File("pod/exits"), 0700).ok());
    REQUIRE(
        WriteFileAtomically(folder.File("pod/exits/" + unit.str()), exit.SerializeAsString(), 0600)
            .ok());
  }

  const Duration idle_timeout;
  const bool shared_layers;
  agent_backend::LayerSenderOptions layer_options{.wait = std::chrono::milliseconds(20),
                                                  .quiet = std::chrono::seconds(30),
                                                  .shortest_pause = std::chrono::milliseconds(5)};
  const NodeId node{"n1"};
  const SandboxId pod{std::string(64, 'a')};
  const ContainerId unit{std::string(64, 'b')};
  runtime::v1::PodSandboxConfig config;
  runtime::v1::ContainerConfig unit_config;
  TemporaryFolder folder;
  RecordingHost host{folder.File("data")};
  Outside outside;
  agent_backend::AgentDirectory directory;
  std::unique_ptr<agent_backend::AgentBackend> backend;
  std::vector<sdk::Observation> inventory;  // of the last Recover
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_UNIT_AGENT_BACKEND_AGENT_BACKEND_LAB_H_
