#include "two_stores_lab.h"

#include <algorithm>
#include <future>

#include "interlink/v1/node_store.pb.h"
#include "interlink/v1/site_store.pb.h"

namespace interlink::test {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)
using State = World::State;

constexpr auto kPatience = 400ms;

std::string MetadataName(const std::string& config) {
  runtime::v1::PodSandboxConfig parsed;
  return parsed.ParseFromString(config) ? parsed.metadata().uid() : "";
}
std::string Short(const std::string& id) { return id.substr(0, 6); }
std::string UnitName(const std::string& config) {
  runtime::v1::ContainerConfig parsed;
  return parsed.ParseFromString(config) ? parsed.metadata().name() : "";
}

}  // namespace

TwoStoresLab::TwoStoresLab(uint32_t seed) : direct(seed), random_(seed) {
  BootSite();
  BootNode();
  WaitLinked();
  KeepBackups();
}

TwoStoresLab::~TwoStoresLab() {
  KillNode();
  KillSite();
}

void TwoStoresLab::BootSite() {
  process_ = std::make_shared<SiteProcess>(site_disk_, world);
  direct.Connect(process_);
}
void TwoStoresLab::KillSite() {
  if (process_ == nullptr) return;
  Tell("kill the site");
  process_->Kill();
  direct.Connect(nullptr);
  process_.reset();
}
void TwoStoresLab::BootNode() {
  store_ = std::make_unique<MemoryNodeStore>(node_disk_);
  logs_ = std::make_unique<MemoryLogFiles>();
  node::Options options;
  options.site_name = "lab:443";
  options.data_folder = "/tmp";
  auto made = node::Node::Create(
      options, {*store_, direct, *logs_, volumes_, log_, metrics_, clock_, streams_});
  REQUIRE(made.ok());
  node_ = *std::move(made);
  node_->Start();
}
void TwoStoresLab::KillNode() {
  if (node_ == nullptr) return;
  Tell("kill the node");
  store_->Kill();
  node_->Stop();
  node_.reset();
  logs_.reset();
  store_.reset();
}
void TwoStoresLab::CrashAmidCommits() {
  const bool site = Below(2) == 0;
  const int after = Below(6);
  const bool stored = Below(2) == 0;
  Tell((site ? "site" : "node") + std::string(" hangs after ") + std::to_string(after) +
       (stored ? " commits and one that is stored" : " commits"));
  site ? process_->store.HangAfter(after, stored) : store_->HangAfter(after, stored);
  RandomCall();
  RandomExit();
  if (Below(2) == 0) RandomCall();
  if (site ? process_->store.hung() : store_->hung()) ++hung_;
  if (site) {
    KillSite();
    BootSite();
  } else {
    KillNode();
    BootNode();
  }
}
void TwoStoresLab::KeepBackups() {
  Tell("backup " + std::to_string(node_backups_.size()));
  node_backups_.push_back(store_->Backup());
  site_backups_.push_back(process_->store.Backup());
}
// Nobody restores a site within the moment that a request is under way.
void TwoStoresLab::StartSite(const SiteDisk& disk) {
  KillSite();
  direct.DropLate();
  site_disk_ = disk;
  BootSite();
}
void TwoStoresLab::StartNode(const NodeDisk& disk) {
  KillNode();
  node_disk_ = disk;
  BootNode();
}
void TwoStoresLab::RestoreSite(int backup) {
  if (backup == kAny) backup = Below(static_cast<int>(site_backups_.size()));
  Tell("restore the site from " + std::to_string(backup));
  StartSite(site_backups_.at(static_cast<size_t>(backup)));
}
void TwoStoresLab::RestoreNode(int backup) {
  if (backup == kAny) backup = Below(static_cast<int>(node_backups_.size()));
  Tell("restore the node from " + std::to_string(backup));
  node_restored_ = true;
  StartNode(node_backups_.at(static_cast<size_t>(backup)));
}
void TwoStoresLab::RestoreBoth(int backup) {
  AllowOneMoreStart();
  KillNode();  // else it would tell the restored site what it remembers
  RestoreSite(backup);
  RestoreNode(backup);
}
void TwoStoresLab::LoseSite() {
  Tell("lose the site's store");
  StartSite(SiteDisk());
}
void TwoStoresLab::LoseNode() {
  Tell("lose the node's store");
  StartNode(NodeDisk());
}
void TwoStoresLab::WaitLinked() {
  REQUIRE(Eventually([this] {
    return TakeOverWhereAsked() && process_->site->Ready() && ListPods().has_value();
  }));
}
bool TwoStoresLab::TakeOverWhereAsked() {
  const auto summary = node_->Summary();
  if (summary.reachable.message().find("copied-node") != std::string::npos) {
    const auto word = Ask<std::string>([this](auto reply) {
      process_->site->Takeover(Call::WithTimeout(1s), DirectSite::Node(), reply);
    });
    if (!word.ok()) return false;  // asked again
  }
  return summary.reachable.ok();
}

template <typename T, typename Start>
Result<T> TwoStoresLab::Ask(Start start) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  auto future = promise->get_future();
  start([promise](Result<T> result) { promise->set_value(std::move(result)); });
  REQUIRE(future.wait_for(30s) == std::future_status::ready);
  return future.get();
}

void TwoStoresLab::RandomCall() {
  const int dice = Below(100);
  if (dice < 25) return RunPod();
  if (dice < 45) return CreateUnit();
  if (dice < 65) return StartUnit();
  if (dice < 72) return EndUnit(false);
  if (dice < 82) return EndUnit(true);
  if (dice < 91) return EndPod(false);
  return EndPod(true);
}

void TwoStoresLab::SetBackendAway(bool away) {
  Tell(away ? "the backend is away" : "the backend is there");
  for (const char* method : {"RunSandbox", "CreateContainer", "StartContainer"})
    world.Fail(method, away ? Unavailable("away") : Status());
}

void TwoStoresLab::RandomCallOnFullDisk() {
  const bool site = Below(2) == 0;
  Tell(site ? "full disk at the site" : "full disk at the node");
  site ? process_->store.SetFull(true) : store_->SetFull(true);
  RandomCall();
  site ? process_->store.SetFull(false) : store_->SetFull(false);
}

Result<std::string> TwoStoresLab::RunPod(const std::string& name, uint32_t attempt) {
  runtime::v1::RunPodSandboxRequest request;
  auto* metadata = request.mutable_config()->mutable_metadata();
  metadata->set_name(name);
  metadata->set_namespace_("default");
  metadata->set_uid("uid-" + name);
  metadata->set_attempt(attempt);
  const auto answer = Ask<runtime::v1::RunPodSandboxResponse>(
      [&](auto reply) { node_->sandboxes().Run(Call::WithTimeout(kPatience), request, reply); });
  Tell("run " + name + "." + std::to_string(attempt) + " = " +
       (answer.ok() ? Short(answer->pod_sandbox_id()) : answer.status().ToString()));
  if (!answer.ok()) return answer.status();
  pods_.try_emplace(SandboxId(answer->pod_sandbox_id()), Pod{name});
  return answer->pod_sandbox_id();
}

Result<std::string> TwoStoresLab::CreateUnit(const SandboxId& pod, const std::string& name,
                                             uint32_t attempt) {
  runtime::v1::CreateContainerRequest request;
  request.set_pod_sandbox_id(pod.str());
  request.mutable_config()->mutable_metadata()->set_name(name);
  request.mutable_config()->mutable_metadata()->set_attempt(attempt);
  request.mutable_config()->mutable_image()->set_image("busybox");
  ReplaceEarlierAttempts(pod, name, attempt);
  const auto answer = Ask<runtime::v1::CreateContainerResponse>([&](auto reply) {
    node_->containers().Create(Call::WithTimeout(kPatience), request, reply);
  });
  Tell("create " + Short(pod.str()) + " " + name + "." + std::to_string(attempt) + " = " +
       (answer.ok() ? Short(answer->container_id()) : answer.status().ToString()));
  if (!answer.ok()) return answer.status();
  Unit unit;
  unit.pod = pod;
  unit.name = name;
  unit.attempt = attempt;
  unit.ended = pods_.at(pod).ended;
  units_.try_emplace(ContainerId(answer->container_id()), unit);
  return answer->container_id();
}

SandboxId TwoStoresLab::RunPodUp(const std::string& name, uint32_t attempt) {
  std::string id;
  REQUIRE(Eventually([&] {
    const auto run = RunPod(name, attempt);
    if (run.ok()) id = *run;
    return run.ok();
  }));
  return SandboxId(id);
}

ContainerId TwoStoresLab::CreateUnitUp(const SandboxId& pod, const std::string& name,
                                       uint32_t attempt) {
  std::string id;
  REQUIRE(Eventually([&] {
    const auto made = CreateUnit(pod, name, attempt);
    if (made.ok()) id = *made;
    return made.ok();
  }));
  return ContainerId(id);
}

// The next attempt takes the place of one that was not started. Where it was not even begun, a
// start of the earlier one may still come.
void TwoStoresLab::ReplaceEarlierAttempts(const SandboxId& pod, const std::string& name,
                                          uint32_t attempt) {
  for (auto& [id, unit] : units_) {
    if (unit.pod == pod && unit.name == name && unit.attempt < attempt && !unit.started)
      unit.may_be_replaced = true;
  }
}

Status TwoStoresLab::RemovePod(const SandboxId& id) {
  pods_.at(id).ended = true;
  for (auto& [unit_id, unit] : units_) unit.ended = unit.ended || unit.pod == id;
  Tell("remove pod " + Short(id.str()));
  runtime::v1::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(id.str());
  return Ask<runtime::v1::RemovePodSandboxResponse>([&](auto reply) {
           node_->sandboxes().Remove(Call::WithTimeout(kPatience), request, reply);
         })
      .status();
}

Status TwoStoresLab::RemoveUnit(const ContainerId& id) {
  units_.at(id).ended = true;
  Tell("remove " + Short(id.str()));
  runtime::v1::RemoveContainerRequest request;
  request.set_container_id(id.str());
  return Ask<runtime::v1::RemoveContainerResponse>([&](auto reply) {
           node_->containers().Remove(Call::WithTimeout(kPatience), request, reply);
         })
      .status();
}

void TwoStoresLab::RunPod() {
  const std::string name = "p" + std::to_string(Below(4));
  // The same attempt again (a repeat), or the next one.
  if (Below(3) == 0) ++attempts_[name];
  if (RunPod(name, attempts_[name]).ok()) return;  // remembered there
}

void TwoStoresLab::EndPod(bool remove) {
  if (pods_.empty()) return;
  auto it = std::next(pods_.begin(), Below(static_cast<int>(pods_.size())));
  if (remove) {
    if (!RemovePod(it->first).ok() || MayAnswerTooEarly()) return;
    // OK is proof: nothing of it is alive.
    MutexLock lock(world.mutex);
    REQUIRE_FALSE(world.pods.contains(it->first));
    return;
  }
  it->second.ended = true;
  for (auto& [id, unit] : units_) unit.ended = unit.ended || unit.pod == it->first;
  Tell("stop pod " + Short(it->first.str()));
  runtime::v1::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(it->first.str());
  const auto answer = Ask<runtime::v1::StopPodSandboxResponse>(
      [&](auto reply) { node_->sandboxes().Stop(Call::WithTimeout(kPatience), request, reply); });
  if (!answer.ok() || MayAnswerTooEarly()) return;
  MutexLock lock(world.mutex);
  const auto pod = world.pods.find(it->first);
  REQUIRE((pod == world.pods.end() || pod->second.state == State::kDown));
}

void TwoStoresLab::CreateUnit() {
  if (pods_.empty()) return;
  const auto it = std::next(pods_.begin(), Below(static_cast<int>(pods_.size())));
  const std::string name = "c" + std::to_string(Below(2));
  const std::string key = it->first.str() + name;
  if (Below(3) == 0) ++unit_attempts_[key];
  if (CreateUnit(it->first, name, unit_attempts_[key]).ok()) return;  // remembered there
}

void TwoStoresLab::StartUnit() {
  if (units_.empty()) return;
  const auto it = std::next(units_.begin(), Below(static_cast<int>(units_.size())));
  runtime::v1::StartContainerRequest request;
  request.set_container_id(it->first.str());
  const auto answer = Ask<runtime::v1::StartContainerResponse>(
      [&](auto reply) { node_->containers().Start(Call::WithTimeout(kPatience), request, reply); });
  Tell("start " + Short(it->first.str()) + (answer.ok() ? "" : " failed"));
  if (!answer.ok()) return;
  it->second.started = true;
  it->second.may_be_replaced = false;
}

void TwoStoresLab::EndUnit(bool remove) {
  if (units_.empty()) return;
  const auto it = std::next(units_.begin(), Below(static_cast<int>(units_.size())));
  if (remove) {
    if (!RemoveUnit(it->first).ok() || MayAnswerTooEarly()) return;
    MutexLock lock(world.mutex);
    REQUIRE_FALSE(world.units.contains(it->first));
    return;
  }
  it->second.ended = true;
  Tell("stop " + Short(it->first.str()));
  runtime::v1::StopContainerRequest request;
  request.set_container_id(it->first.str());
  const auto answer = Ask<runtime::v1::StopContainerResponse>(
      [&](auto reply) { node_->containers().Stop(Call::WithTimeout(kPatience), request, reply); });
  if (!answer.ok() || MayAnswerTooEarly()) return;
  MutexLock lock(world.mutex);
  const auto unit = world.units.find(it->first);
  REQUIRE((unit == world.units.end() || unit->second.state != State::kUp));
}

void TwoStoresLab::RandomExit() {
  if (units_.empty() || process_ == nullptr) return;
  const auto it = std::next(units_.begin(), Below(static_cast<int>(units_.size())));
  const int code = 1 + Below(100);
  {
    MutexLock lock(world.mutex);
    const auto unit = world.units.find(it->first);
    if (unit == world.units.end() || unit->second.state != State::kUp) return;
  }
  if (it->second.ended) return;  // which end comes first is not known
  Tell("exit " + Short(it->first.str()) + " " + std::to_string(code));
  it->second.exit_code = code;
  REQUIRE(process_->backend->End(it->first, code).ok());
}

void TwoStoresLab::CheckNoDuplicate() {
  MutexLock lock(world.mutex);
  for (const auto& [id, count] : world.starts) {
    INFO("started " << count << " times: " << id);
    REQUIRE(count <= allowed_starts_);
  }
  std::set<std::string> pods;
  for (const auto& [id, pod] : world.pods) {
    if (pod.state == State::kDown) continue;
    INFO("a pod lives twice: " << MetadataName(pod.config));
    REQUIRE(pods.insert(MetadataName(pod.config)).second);
  }
  std::set<std::string> units;
  for (const auto& [id, unit] : world.units) {
    if (unit.state != State::kUp) continue;
    INFO("a container lives twice: " << unit.sandbox.str() << " " << UnitName(unit.config));
    REQUIRE(units.insert(unit.sandbox.str() + UnitName(unit.config)).second);
  }
}

std::optional<runtime::v1::ListPodSandboxResponse> TwoStoresLab::ListPods() {
  const auto slices = node_->sandboxes().List({});
  if (!slices.ok()) return std::nullopt;
  runtime::v1::ListPodSandboxResponse list;
  for (const auto& slice : *slices) REQUIRE(list.MergeFromString(*slice));
  return list;
}
std::optional<runtime::v1::ListContainersResponse> TwoStoresLab::ListUnits() {
  const auto slices = node_->containers().List({});
  if (!slices.ok()) return std::nullopt;
  runtime::v1::ListContainersResponse list;
  for (const auto& slice : *slices) REQUIRE(list.MergeFromString(*slice));
  return list;
}

void TwoStoresLab::CheckSettled() {
  std::string wrong;
  const bool settled = Eventually([&] {
    wrong.clear();
    const auto pods = ListPods();
    const auto units = ListUnits();
    if (!pods || !units) return false;
    std::map<std::string, runtime::v1::PodSandboxState> pod_states;
    for (const auto& item : pods->items()) pod_states[item.id()] = item.state();
    std::map<std::string, runtime::v1::ContainerState> unit_states;
    for (const auto& item : units->containers()) unit_states[item.id()] = item.state();
    MutexLock lock(world.mutex);
    for (const auto& [id, pod] : world.pods) {
      if (pod.state == State::kUp && !pod_states.contains(id.str()))
        wrong += "pod lives and is not listed: " + id.str() + "\n";
    }
    for (const auto& [id, unit] : world.units) {
      if (unit.state == State::kUp && (!unit_states.contains(id.str()) ||
                                       unit_states[id.str()] != runtime::v1::CONTAINER_RUNNING))
        wrong += "container runs and is not shown running: " + id.str() + "\n";
    }
    for (const auto& [id, pod] : pods_) {
      if (pod.ended) continue;
      const auto it = world.pods.find(id);
      if (it == world.pods.end() || it->second.state != State::kUp)
        wrong += "pod was told READY, not asked to end, and is dead: " + id.str() + "\n";
    }
    for (const auto& [id, unit] : units_) {
      if (unit.ended || (unit.may_be_replaced && !unit.exit_code)) continue;
      const auto it = world.units.find(id);
      if (it == world.units.end()) {
        wrong += "container was told and is gone: " + id.str() + "\n";
      } else if (unit.exit_code) {
        if (it->second.exit_code != *unit.exit_code)
          wrong += "exit code changed: " + id.str() + "\n";
        if (!unit_states.contains(id.str()) ||
            unit_states[id.str()] != runtime::v1::CONTAINER_EXITED)
          wrong += "exit is not told: " + id.str() + "\n";
      } else if (unit.started && it->second.state != State::kUp) {
        wrong += "container was told started, not asked to end, and is dead: " + id.str() + "\n";
      }
    }
    return wrong.empty();
  });
  INFO(wrong);
  REQUIRE(settled);
  for (const auto& [id, unit] : units_) {
    if (unit.ended || !unit.exit_code) continue;
    runtime::v1::ContainerStatusRequest request;
    request.set_container_id(id.str());
    const auto status = Ask<runtime::v1::ContainerStatusResponse>(
        [&](auto reply) { node_->containers().GetStatus(Call::WithTimeout(1s), request, reply); });
    REQUIRE(status.ok());
    REQUIRE(status->status().exit_code() == *unit.exit_code);
  }
}

std::string TwoStoresLab::Describe() {
  std::string text;
  for (const auto& [key, bytes] : store_->Backup().records) {
    if (key.first != node::RecordKind::kSandbox) continue;
    interlink::v1::StoredNodeSandbox stored;
    REQUIRE(stored.ParseFromString(bytes));
    stored.clear_body();
    text += "node: " + stored.ShortDebugString() + "\n";
  }
  for (const auto& [key, bytes] : process_->store.Backup().records) {
    if (key.kind != site::RecordKind::kSandbox) continue;
    interlink::v1::StoredSandbox stored;
    REQUIRE(stored.ParseFromString(bytes));
    text += "site: " + stored.record().ShortDebugString() +
            (stored.body().empty() ? "" : " with a body") + "\n";
  }
  return text;
}

// A failure that came when its caller had gone is kept for minutes, for whoever asks again.
void TwoStoresLab::HearFailures() {
  for (const auto& [key, bytes] : store_->Backup().records) {
    interlink::v1::StoredNodeSandbox stored;
    interlink::v1::RunSandboxRequest request;
    if (key.first != node::RecordKind::kSandbox) continue;
    REQUIRE((stored.ParseFromString(bytes) && request.ParseFromString(stored.body())));
    const auto& metadata = request.config().metadata();
    if (stored.has_untold()) RunPod(metadata.name(), metadata.attempt()).status().ok();
  }
}

void TwoStoresLab::CheckRemovesAll() {
  const bool empty = Eventually([this] {
    HearFailures();
    const auto pods = ListPods();
    if (!pods) return false;
    for (const auto& item : pods->items()) {
      runtime::v1::RemovePodSandboxRequest request;
      request.set_pod_sandbox_id(item.id());
      Ask<runtime::v1::RemovePodSandboxResponse>(
          [&](auto reply) { node_->sandboxes().Remove(Call::WithTimeout(2s), request, reply); })
          .status()
          .ok();
    }
    const auto summary = node_->Summary();
    MutexLock lock(world.mutex);
    return summary.sandboxes == 0 && summary.containers == 0 && world.pods.empty() &&
           world.units.empty();
  });
  const auto summary = node_->Summary();
  INFO("records left: " << summary.sandboxes << " sandboxes, " << summary.containers
                        << " containers, link " << summary.link << "\n"
                        << Describe());
  REQUIRE(empty);
  REQUIRE(Eventually([this] {
    const auto nodes = process_->site->ListNodes();
    return std::all_of(nodes.nodes().begin(), nodes.nodes().end(), [](const auto& node) {
      return node.sandboxes() == 0 && node.containers() == 0;
    });
  }));
  const auto units = ListUnits();
  REQUIRE(units.has_value());
  REQUIRE(units->containers().empty());
  pods_.clear();
  units_.clear();
}

}  // namespace interlink::test
