#include "support/fake_backend/fake_backend.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/pod_metrics.h"
#include "runtime/v1/api.pb.h"
#include "sdk/merged_resources.h"
#include "shim/cri_log.h"

namespace interlink::fake {
namespace {

using State = sdk::Observation::State;

constexpr const char* kPrefix = "fake.interlink.io/";
constexpr auto kLookAgain = std::chrono::milliseconds(250);

std::string Annotation(const runtime::v1::PodSandboxConfig& config, const std::string& name) {
  const auto found = config.annotations().find(kPrefix + name);
  return found == config.annotations().end() ? "" : found->second;
}

std::string Word(const std::vector<std::string>& command, size_t index) {
  return index < command.size() ? command[index] : "";
}

// Everything is accepted: what a field means is not this backend's business.
sdk::FieldLists AllFields(const google::protobuf::Descriptor& type) {
  sdk::FieldLists lists;
  for (int i = 0; i < type.field_count(); ++i) lists.honoured.push_back(type.field(i)->name());
  return lists;
}

}  // namespace

Result<std::unique_ptr<sdk::Backend>> FakeBackend::Create(sdk::Host& host,
                                                          const sdk::PluginOptions& options) {
  int64_t up_after_ms = 0;
  for (const auto& option : options.options) {
    if (option.key != "UpAfterMs") {
      return InvalidArgument(option.where + ": unknown option \"" + option.key + "\"");
    }
    char* end = nullptr;
    up_after_ms = std::strtoll(option.value.c_str(), &end, 10);
    if (option.value.empty() || *end != '\0' || up_after_ms < 0) {
      return InvalidArgument(option.where + ": \"UpAfterMs\" must be a number of milliseconds");
    }
  }
  ASSIGN_OR_RETURN(FakeState state, FakeState::Load(host.data_folder() + "/state"));
  return std::unique_ptr<sdk::Backend>(
      new FakeBackend(host, options, up_after_ms, std::move(state)));
}

FakeBackend::FakeBackend(sdk::Host& host, const sdk::PluginOptions& options, int64_t up_after_ms,
                         FakeState state)
    : host_(host),
      path_(host.data_folder() + "/state"),
      up_after_ms_(up_after_ms),
      state_(std::move(state)) {
  description_.plugin = "fake";
  description_.version = "1";
  for (const std::string& name : options.handlers) {
    sdk::HandlerDescription handler;
    handler.name = name;
    description_.handlers.push_back(handler);
  }
  description_.sandbox = AllFields(*runtime::v1::PodSandboxConfig::descriptor());
  description_.container = AllFields(*runtime::v1::ContainerConfig::descriptor());
}

FakeBackend::~FakeBackend() { timer_.Stop(); }

FakeSandbox* FakeBackend::Find(const SandboxId& id) {
  const auto found = state_.sandboxes.find(id.str());
  return found == state_.sandboxes.end() ? nullptr : &found->second;
}

FakeContainer* FakeBackend::Find(const SandboxId& sandbox, const ContainerId& id) {
  FakeSandbox* owner = Find(sandbox);
  if (owner == nullptr) return nullptr;
  const auto found = owner->containers.find(id.str());
  return found == owner->containers.end() ? nullptr : &found->second;
}

Status FakeBackend::Move(sdk::Observation& fact, State state) {
  fact.state = state;
  fact.revision = ++revision_;
  RETURN_IF_ERROR(state_.Save(path_, fact.sandbox.str()));
  host_.Report({fact});
  return {};
}

Result<std::vector<sdk::Observation>> FakeBackend::Recover(const Call& call,
                                                           const std::vector<sdk::Observation>&) {
  ASSIGN_OR_RETURN(auto facts, Observe(call));
  for (const auto& fact : facts) {
    if (!fact.container.empty() || fact.state != State::kPending) continue;
    runtime::v1::PodSandboxConfig config;
    if (!config.ParseFromString(fact.config)) return DataLoss("\"" + path_ + "\": not a config");
    const std::string when = Annotation(config, "up-when");
    if (!when.empty()) {
      BringUpWhen(fact.sandbox, when);
    } else if (Annotation(config, "run") != "never") {
      BringUp(fact.sandbox);
    }
  }
  return facts;
}

Result<std::vector<sdk::Observation>> FakeBackend::Observe(const Call&) {
  MutexLock lock(mutex_);
  std::vector<sdk::Observation> facts;
  for (const auto& [id, sandbox] : state_.sandboxes) {
    facts.push_back(sandbox.fact);
    for (const auto& [name, container] : sandbox.containers) facts.push_back(container.fact);
  }
  return facts;
}

Status FakeBackend::RunSandbox(const Call&, const sdk::SandboxSpec& spec) {
  const std::string run = Annotation(spec.config, "run");
  const std::string delay = Annotation(spec.config, "up-after-ms");
  {
    MutexLock lock(mutex_);
    if (Find(spec.id) != nullptr) return {};
    if (run == "refuse") return InvalidArgument("the annotation says that it is refused");
    if (run == "unavailable" && refused_once_.insert(spec.id.str()).second) {
      return Unavailable("the annotation says that the first try fails");
    }
    FakeSandbox sandbox;
    sandbox.fact.node = spec.node;
    sandbox.fact.sandbox = spec.id;
    sandbox.fact.handler = spec.handler;
    sandbox.fact.config = spec.config.SerializeAsString();
    sandbox.fact.reason = "Pending";
    FakeSandbox& added = state_.sandboxes[spec.id.str()] = std::move(sandbox);
    RETURN_IF_ERROR(Move(added.fact, State::kPending));
  }
  if (run == "never") return {};
  if (!Annotation(spec.config, "up-when").empty()) {
    BringUpWhen(spec.id, Annotation(spec.config, "up-when"));
    return {};
  }
  const int64_t ms = delay.empty() ? up_after_ms_ : std::atoll(delay.c_str());
  timer_.After(std::chrono::milliseconds(ms), [this, id = spec.id] { BringUp(id); });
  return {};
}

void FakeBackend::BringUpWhen(const SandboxId& id, const std::string& path) {
  {
    MutexLock lock(mutex_);
    const FakeSandbox* sandbox = Find(id);
    if (sandbox == nullptr || sandbox->fact.state != State::kPending) return;
  }
  if (access(path.c_str(), F_OK) == 0) return BringUp(id);
  timer_.After(kLookAgain, [this, id, path] { BringUpWhen(id, path); });
}

void FakeBackend::BringUp(const SandboxId& id) {
  int64_t end_after = 0;
  {
    MutexLock lock(mutex_);
    FakeSandbox* sandbox = Find(id);
    if (sandbox == nullptr || sandbox->fact.state != State::kPending) return;
    runtime::v1::PodSandboxConfig config;
    const bool parsed = config.ParseFromString(sandbox->fact.config);
    const bool fails = !parsed || Annotation(config, "run") == "fail";
    sandbox->fact.reason = fails ? "Failed" : "";
    sandbox->fact.message = fails ? "the annotation says that it fails" : "";
    sandbox->fact.started_ns = fails ? 0 : host_.clock().WallNanos();
    if (!fails) sandbox->fact.ips = {"192.0.2.1"};
    const Status status = Move(sandbox->fact, fails ? State::kFailed : State::kUp);
    if (!status.ok()) host_.log().Error("fake: cannot store", {{"why", status.message()}});
    end_after = std::atoll(Annotation(config, "end-after-ms").c_str());
  }
  if (end_after > 0) EndLater(end_after, id, ContainerId(), 0);
}

void FakeBackend::EndLater(int64_t ms, const SandboxId& sandbox, const ContainerId& id, int code) {
  timer_.After(std::chrono::milliseconds(ms), [this, sandbox, id, code] {
    MutexLock lock(mutex_);
    Status status;
    if (id.empty()) {
      FakeSandbox* found = Find(sandbox);
      if (found != nullptr) status = EndSandbox(*found);
    } else if (FakeContainer* found = Find(sandbox, id)) {
      status = EndContainer(*found, code);
    }
    if (!status.ok()) host_.log().Error("fake: cannot store", {{"why", status.message()}});
  });
}

Status FakeBackend::EndContainer(FakeContainer& container, int code) {
  if (container.fact.state >= State::kDown) return {};
  container.fact.exit_code = code;
  container.fact.reason = code == 0 ? "Completed" : "Error";
  container.fact.finished_ns = host_.clock().WallNanos();
  container.fact.log_end = container.log.size();
  RETURN_IF_ERROR(Move(container.fact, State::kDown));
  sessions_.EndAttached(container.fact.container.str(), code);
  host_.LogGrew(container.fact.container);
  return {};
}

Status FakeBackend::EndSandbox(FakeSandbox& sandbox) {
  for (auto& [id, container] : sandbox.containers) RETURN_IF_ERROR(EndContainer(container, 137));
  if (sandbox.fact.state >= State::kDown) return {};
  sandbox.fact.ips.clear();
  sandbox.fact.finished_ns = host_.clock().WallNanos();
  return Move(sandbox.fact, State::kDown);
}

Status FakeBackend::StopSandbox(const Call&, const NodeId& node, const SandboxId& id) {
  MutexLock lock(mutex_);
  FakeSandbox* sandbox = Find(id);
  if (sandbox == nullptr || sandbox->fact.node != node) return {};
  return EndSandbox(*sandbox);
}

Status FakeBackend::RemoveSandbox(const Call&, const NodeId& node, const SandboxId& id) {
  MutexLock lock(mutex_);
  FakeSandbox* sandbox = Find(id);
  if (sandbox == nullptr || sandbox->fact.node != node) return {};
  for (const auto& [name, container] : sandbox->containers) host_.ReleaseImages(ContainerId(name));
  state_.sandboxes.erase(id.str());
  return state_.Save(path_, id.str());
}

Status FakeBackend::UpdateSandbox(const Call&, const NodeId&, const SandboxId& id,
                                  const runtime::v1::LinuxContainerResources&,
                                  const runtime::v1::LinuxContainerResources&) {
  MutexLock lock(mutex_);
  return Find(id) == nullptr ? NotFound("no sandbox \"" + id.str() + "\"") : Status::Ok();
}

Status FakeBackend::PrepareImage(const Call&, const SandboxId&, const std::string&) { return {}; }

Status FakeBackend::CreateContainer(const Call&, const sdk::ContainerSpec& spec) {
  MutexLock lock(mutex_);
  FakeSandbox* sandbox = Find(spec.sandbox);
  if (sandbox == nullptr || sandbox->fact.state != State::kUp) {
    return FailedPrecondition("sandbox \"" + spec.sandbox.str() + "\" is not up");
  }
  if (sandbox->containers.count(spec.id.str()) != 0) return {};
  if (const auto image = host_.HoldImage(spec.id, spec.image_id); !image.ok()) {
    return image.status();
  }
  for (const auto& [name, id] : spec.volume_images) {
    if (const auto image = host_.HoldImage(spec.id, id); !image.ok()) {
      host_.ReleaseImages(spec.id);
      return image.status();
    }
  }
  FakeContainer container;
  container.fact.node = spec.node;
  container.fact.sandbox = spec.sandbox;
  container.fact.container = spec.id;
  container.fact.image_id = spec.image_id;
  container.fact.volume_images = spec.volume_images;
  container.fact.handler = sandbox->fact.handler;
  container.fact.config = spec.config.SerializeAsString();
  container.command.assign(spec.config.command().begin(), spec.config.command().end());
  container.command.insert(container.command.end(), spec.config.args().begin(),
                           spec.config.args().end());
  FakeContainer& added = sandbox->containers[spec.id.str()] = std::move(container);
  return Move(added.fact, State::kCreated);
}

Status FakeBackend::StartContainer(const Call&, const SandboxId& sandbox, const ContainerId& id) {
  MutexLock lock(mutex_);
  FakeContainer* container = Find(sandbox, id);
  if (container == nullptr) return NotFound("no container \"" + id.str() + "\"");
  if (container->fact.state == State::kUp) return {};
  if (container->fact.state != State::kCreated) {
    return FailedPrecondition("container \"" + id.str() + "\" has ended");
  }
  const std::string verb = Word(container->command, 0);
  if (verb == "start-error") {
    container->fact.reason = "StartError";
    container->fact.message = "the command says that it cannot start";
    container->fact.exit_code = 128;
    container->fact.finished_ns = host_.clock().WallNanos();
    return Move(container->fact, State::kDown);
  }
  container->fact.started_ns = host_.clock().WallNanos();
  if (verb == "print") {
    std::string text;
    for (size_t i = 1; i < container->command.size(); ++i) {
      text += (i > 1 ? " " : "") + container->command[i];
    }
    char time[shim::kLogTime];
    shim::FormatLogTime(static_cast<uint64_t>(container->fact.started_ns), time);
    container->log = std::string(time, sizeof time) + " stdout F " + text + "\n";
  }
  RETURN_IF_ERROR(Move(container->fact, State::kUp));
  if (!container->log.empty()) host_.LogGrew(id);
  if (verb == "print") EndLater(0, sandbox, id, 0);
  if (verb == "exit") EndLater(0, sandbox, id, std::atoi(Word(container->command, 1).c_str()));
  if (verb == "exit-after") {
    EndLater(std::atoll(Word(container->command, 1).c_str()), sandbox, id,
             std::atoi(Word(container->command, 2).c_str()));
  }
  return {};
}

Status FakeBackend::StopContainer(const Call&, const SandboxId& sandbox, const ContainerId& id,
                                  std::chrono::seconds grace) {
  MutexLock lock(mutex_);
  FakeContainer* container = Find(sandbox, id);
  if (container == nullptr) return {};
  const bool stubborn = Word(container->command, 0) == "stubborn";
  if (stubborn && grace.count() > 0 && container->fact.state == State::kUp) {
    EndLater(grace.count() * 1000, sandbox, id, 137);
    return {};
  }
  return EndContainer(*container, grace.count() == 0 || stubborn ? 137 : 143);
}

Status FakeBackend::RemoveContainer(const Call&, const SandboxId& sandbox, const ContainerId& id) {
  MutexLock lock(mutex_);
  FakeSandbox* owner = Find(sandbox);
  if (owner == nullptr || owner->containers.erase(id.str()) == 0) return {};
  host_.ReleaseImages(id);
  return state_.Save(path_, sandbox.str());
}

Status FakeBackend::UpdateContainer(const Call&, const SandboxId& sandbox, const ContainerId& id,
                                    const runtime::v1::LinuxContainerResources& resources) {
  MutexLock lock(mutex_);
  FakeContainer* container = Find(sandbox, id);
  if (container == nullptr) return NotFound("no container \"" + id.str() + "\"");
  container->fact.config = sdk::ConfigWithResources(container->fact.config, resources);
  return state_.Save(path_, sandbox.str());
}

Result<UniqueFd> FakeBackend::OpenSession(const Call&, const sdk::SessionSpec& spec) {
  {
    MutexLock lock(mutex_);
    const FakeContainer* container = Find(spec.sandbox, spec.container);
    if (container == nullptr) return NotFound("no container \"" + spec.container.str() + "\"");
    if (container->fact.state != State::kUp) {
      return FailedPrecondition("container \"" + spec.container.str() + "\" is not running");
    }
  }
  return spec.attach ? sessions_.Attach(spec.container.str()) : sessions_.Exec(spec.argv);
}

Result<UniqueFd> FakeBackend::Dial(const Call&, const SandboxId& sandbox, uint16_t port) {
  MutexLock lock(mutex_);
  const FakeSandbox* found = Find(sandbox);
  if (found == nullptr) return NotFound("no sandbox \"" + sandbox.str() + "\"");
  if (found->fact.state != State::kUp) return FailedPrecondition("the sandbox is not up");
  if (port == 1) return FailedPrecondition("nothing listens on port 1");
  return sessions_.Echo();
}

Result<sdk::LogChunk> FakeBackend::ReadLog(const Call&, const SandboxId& sandbox,
                                           const ContainerId& id, uint64_t offset, size_t max) {
  MutexLock lock(mutex_);
  const FakeContainer* container = Find(sandbox, id);
  if (container == nullptr) return NotFound("no container \"" + id.str() + "\"");
  if (offset > container->log.size()) return OutOfRange("the log is shorter than that");
  sdk::LogChunk chunk;
  chunk.bytes = container->log.substr(offset, max);
  chunk.next = offset + chunk.bytes.size();
  chunk.end = container->fact.state >= State::kDown && chunk.next == container->log.size();
  return chunk;
}

Result<sdk::Usage> FakeBackend::Stats(const Call&) {
  MutexLock lock(mutex_);
  sdk::Usage usage;
  const int64_t now = host_.clock().WallNanos();
  for (const auto& [id, sandbox] : state_.sandboxes) {
    if (sandbox.fact.state != State::kUp) continue;
    auto& pod = usage.sandboxes.emplace_back();
    pod.mutable_attributes()->set_id(id);
    pod.mutable_linux()->mutable_memory()->set_timestamp(now);
    for (const auto& [name, container] : sandbox.containers) {
      if (container.fact.state != State::kUp) continue;
      auto& stats = usage.containers.emplace_back();
      stats.mutable_attributes()->set_id(name);
      stats.mutable_cpu()->set_timestamp(now);
      stats.mutable_cpu()->mutable_usage_core_nano_seconds()->set_value(
          static_cast<uint64_t>(now - container.fact.started_ns));
      stats.mutable_memory()->set_timestamp(now);
      stats.mutable_memory()->mutable_working_set_bytes()->set_value(1U << 20U);
    }
  }
  return usage;
}

Result<std::vector<runtime::v1::PodSandboxMetrics>> FakeBackend::Metrics(const Call&) {
  MutexLock lock(mutex_);
  std::vector<runtime::v1::PodSandboxMetrics> all;
  const int64_t now = host_.clock().WallNanos();
  const auto add = [now](auto& to, PodMetric which, int64_t value, const std::string& label) {
    auto* metric = to.add_metrics();
    metric->set_name(std::string(InfoOf(which).name));
    metric->set_timestamp(now);
    metric->set_metric_type(InfoOf(which).counter ? runtime::v1::COUNTER : runtime::v1::GAUGE);
    if (!label.empty()) metric->add_label_values(label);
    metric->mutable_value()->set_value(static_cast<uint64_t>(value));
  };
  for (const auto& [id, sandbox] : state_.sandboxes) {
    if (sandbox.fact.state != State::kUp) continue;
    auto& pod = all.emplace_back();
    pod.set_pod_sandbox_id(id);
    add(pod, PodMetric::kNetworkReceiveBytes, 0, "eth0");
    for (const auto& [name, container] : sandbox.containers) {
      if (container.fact.state != State::kUp) continue;
      auto& metrics = *pod.add_container_metrics();
      metrics.set_container_id(name);
      add(metrics, PodMetric::kCpuUsageSeconds, (now - container.fact.started_ns) / 1'000'000'000,
          "total");
      add(metrics, PodMetric::kMemoryWorkingSet, 1U << 20U, "");
    }
  }
  return all;
}

Result<std::string> FakeBackend::Inspect(const Call&, const SandboxId& sandbox,
                                         const ContainerId& container) {
  MutexLock lock(mutex_);
  if (container.empty() ? Find(sandbox) == nullptr : Find(sandbox, container) == nullptr) {
    return NotFound("no such sandbox or container");
  }
  return std::string(R"({"fake":true})");
}

}  // namespace interlink::fake
