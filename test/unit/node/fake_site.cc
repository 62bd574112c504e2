#include "fake_site.h"

namespace interlink::test {
namespace {

constexpr char kHandler[] = "test";

}  // namespace

FakeSite::FakeSite() {
  interlink::v1::ImageRecord image;
  image.mutable_image()->set_id("sha256:busybox");
  image.mutable_image()->add_repo_tags("docker.io/library/busybox:latest");
  image.set_epoch(1);
  images_["sha256:busybox"] = image;
}
FakeSite::~FakeSite() = default;

// --- the script

void FakeSite::Fail(const std::string& method, Status why) {
  MutexLock lock(mutex_);
  fail_[method] = std::move(why);
}
void FakeSite::LoseAnswer(const std::string& method) {
  MutexLock lock(mutex_);
  lose_.insert(method);
}
void FakeSite::SetDown(bool down) {
  MutexLock lock(mutex_);
  down_ = down;
  wake_.NotifyAll();
}
void FakeSite::SetSilent(bool silent) {
  MutexLock lock(mutex_);
  silent_ = silent;
}
void FakeSite::SetHanging(bool hanging) {
  MutexLock lock(mutex_);
  hanging_ = hanging;
}
void FakeSite::SetKubeletHost(bool yes) {
  MutexLock lock(mutex_);
  kubelet_host_ = yes;
}
void FakeSite::SetSecondHandler(const std::string& name) {
  MutexLock lock(mutex_);
  second_handler_ = name;
}
void FakeSite::SetNodeOptions(std::vector<std::string> keys) {
  MutexLock lock(mutex_);
  node_options_ = std::move(keys);
}
void FakeSite::SetUnavailable(const std::string& why) {
  MutexLock lock(mutex_);
  unavailable_ = why;
}
void FakeSite::SetRecovered(bool yes) {
  MutexLock lock(mutex_);
  recovered_ = yes;
}
void FakeSite::SetMetrics(std::function<Result<interlink::v1::PodMetricsResponse>()> answer) {
  MutexLock lock(mutex_);
  metrics_ = std::move(answer);
}
void FakeSite::SetUnmeasured(bool yes) {
  MutexLock lock(mutex_);
  unmeasured_ = yes;
}
void FakeSite::SetEpoch(uint64_t epoch) {
  MutexLock lock(mutex_);
  epoch_ = epoch;
}
void FakeSite::SetNodeRestored(bool yes) {
  MutexLock lock(mutex_);
  node_restored_ = yes;
}
void FakeSite::Tell(SandboxRecord record) {
  MutexLock lock(mutex_);
  Sandbox& sandbox = sandboxes_[SandboxId(record.id())];
  Stamp(record);
  sandbox.record = record;
}
void FakeSite::Tell(ContainerRecord record) {
  MutexLock lock(mutex_);
  Container& container = containers_[ContainerId(record.id())];
  Stamp(record);
  container.record = record;
}
void FakeSite::TellImage(const std::string& id, const std::string& tag, bool gone) {
  MutexLock lock(mutex_);
  interlink::v1::ImageRecord image;
  image.mutable_image()->set_id(id);
  if (!tag.empty()) image.mutable_image()->add_repo_tags(tag);
  image.set_gone(gone);
  image.set_epoch(epoch_);
  image.set_revision(++revision_);
  images_[id] = image;
  Event event;
  *event.mutable_record()->mutable_image() = image;
  Queue(event);
}
void FakeSite::Send(const Event& event) {
  MutexLock lock(mutex_);
  events_.push_back(event);
  wake_.NotifyAll();
}
void FakeSite::Forget(const std::string& id) {
  MutexLock lock(mutex_);
  sandboxes_.erase(SandboxId(id));
  containers_.erase(ContainerId(id));
}
void FakeSite::Put(const SandboxRecord& record, const std::string& body) {
  MutexLock lock(mutex_);
  sandboxes_[SandboxId(record.id())] = {record, body};
}
void FakeSite::Put(const ContainerRecord& record, const std::string& body) {
  MutexLock lock(mutex_);
  containers_[ContainerId(record.id())] = {record, body};
}
void FakeSite::LoseStore() {
  MutexLock lock(mutex_);
  ++stores_;
  sandboxes_.clear();
  containers_.clear();
  epoch_ = 1;
  link_ = 0;
  revision_ = 0;
  number_ = 0;
  wake_.NotifyAll();
}
void FakeSite::SetLog(const ContainerId& id, std::string text, bool end) {
  MutexLock lock(mutex_);
  logs_[id].text = std::move(text);
  logs_[id].end = end;
  wake_.NotifyAll();
}

void FakeSite::FailLog(const ContainerId& id, Status why) {
  MutexLock lock(mutex_);
  logs_[id].fail = std::move(why);
  wake_.NotifyAll();
}

// --- what happened

int FakeSite::Calls(const std::string& method) {
  MutexLock lock(mutex_);
  return calls_[method];
}
int FakeSite::Calls(const std::string& method, const std::string& id) {
  MutexLock lock(mutex_);
  return calls_[method + "/" + id];
}
std::vector<std::string> FakeSite::Bodies(const std::string& id) {
  MutexLock lock(mutex_);
  return bodies_[id];
}
Duration FakeSite::LastWait() {
  MutexLock lock(mutex_);
  return last_wait_;
}
Duration FakeSite::LastWait(const ContainerId& id) {
  MutexLock lock(mutex_);
  return end_waits_[id];
}
int FakeSite::Links() {
  MutexLock lock(mutex_);
  return links_;
}
int FakeSite::ListsTaken() {
  MutexLock lock(mutex_);
  return lists_taken_;
}
SandboxRecord FakeSite::RecordOf(const SandboxId& id) {
  MutexLock lock(mutex_);
  return sandboxes_[id].record;
}
ContainerRecord FakeSite::RecordOf(const ContainerId& id) {
  MutexLock lock(mutex_);
  return containers_[id].record;
}
std::set<std::string> FakeSite::Ids() {
  MutexLock lock(mutex_);
  std::set<std::string> ids;
  for (const auto& [id, sandbox] : sandboxes_) {
    if (sandbox.record.seen() != interlink::v1::SEEN_GONE) ids.insert(id.str());
  }
  for (const auto& [id, container] : containers_) {
    if (container.record.seen() != interlink::v1::SEEN_GONE) ids.insert(id.str());
  }
  return ids;
}
interlink::v1::LinkRequest FakeSite::LastLink() {
  MutexLock lock(mutex_);
  return last_link_;
}
uint64_t FakeSite::Acknowledged(const ContainerId& id) {
  MutexLock lock(mutex_);
  return logs_[id].acknowledged;
}
uint64_t FakeSite::Credited(const ContainerId& id) {
  MutexLock lock(mutex_);
  return logs_[id].credited;
}

// --- node::Site

Status FakeSite::Admit(const std::string& method, node::LinkNumber link, const std::string& id) {
  ++calls_[method];
  ++calls_[method + "/" + id];
  if (down_) return Unavailable("connection refused");
  if (const auto it = fail_.find(method); it != fail_.end() && !it->second.ok()) return it->second;
  if (link != link_) return Aborted("stale-link");
  return {};
}
Status FakeSite::Answered(const std::string& method) {
  return lose_.erase(method) > 0 ? Unavailable("the answer was lost") : Status::Ok();
}
void FakeSite::Stamp(SandboxRecord& record) {
  record.set_epoch(epoch_);
  record.set_revision(++revision_);
  Event event;
  *event.mutable_record()->mutable_sandbox() = record;
  Queue(event);
}
void FakeSite::Stamp(ContainerRecord& record) {
  record.set_epoch(epoch_);
  record.set_revision(++revision_);
  Event event;
  *event.mutable_record()->mutable_container() = record;
  Queue(event);
}
void FakeSite::Queue(Event event) {
  event.mutable_position()->set_epoch(epoch_);
  event.mutable_position()->set_number(++number_);
  events_.push_back(std::move(event));
  wake_.NotifyAll();
}

Result<interlink::v1::LinkResponse> FakeSite::Link(const Call& call,
                                                   const interlink::v1::LinkRequest& request) {
  MutexLock lock(mutex_);
  while (hold_links_ && !call.cancelled() && !call.expired())
    wake_.WaitFor(mutex_, std::chrono::milliseconds(20), [] { return false; });
  ++calls_["Link"];
  last_link_ = request;
  if (down_) return Unavailable("connection refused");
  if (const auto it = fail_.find("Link"); it != fail_.end() && !it->second.ok()) return it->second;
  ++links_;
  interlink::v1::LinkResponse response;
  response.set_link(++link_);
  response.set_node_lineage(request.node_lineage());
  response.set_site_lineage("site-" + std::to_string(stores_));
  response.set_epoch(epoch_);
  response.set_next_secret("secret-" + std::to_string(link_));
  response.set_node_restored(std::exchange(node_restored_, false));
  wake_.NotifyAll();
  return response;
}
Result<interlink::v1::InfoResponse> FakeSite::Info(const Call&) {
  MutexLock lock(mutex_);
  if (down_) return Unavailable("connection refused");
  interlink::v1::InfoResponse info;
  info.set_site("fake");
  info.set_default_handler(kHandler);
  auto* handler = info.add_handlers();
  handler->set_name(kHandler);
  handler->set_kubelet_host(kubelet_host_);
  handler->mutable_node_options()->Assign(node_options_.begin(), node_options_.end());
  handler->set_unavailable(unavailable_);
  handler->set_takes_contents(takes_contents_);
  handler->mutable_features()->set_user_namespaces(true);
  info.set_supplemental_groups_policy(true);
  info.set_images_on_this_host(kubelet_host_);
  info.set_image_root("/data/\"images\"");
  if (second_handler_.empty()) return info;
  info.add_handlers()->set_name(second_handler_);
  return info;
}
void FakeSite::HoldWaits(bool hold) {
  MutexLock lock(mutex_);
  hold_waits_ = hold;
}

void FakeSite::BreakLink() {
  MutexLock lock(mutex_);
  ++link_;
  wake_.NotifyAll();
}
void FakeSite::HoldLinks(bool hold) {
  MutexLock lock(mutex_);
  hold_links_ = hold;
}
void FakeSite::HoldList(bool hold) {
  MutexLock lock(mutex_);
  hold_list_ = hold;
  wake_.NotifyAll();
}

Result<SandboxRecord> FakeSite::RunSandbox(const Call& call, node::LinkNumber link,
                                           const SandboxId& id, const std::string& body,
                                           Duration wait) {
  MutexLock lock(mutex_);
  bodies_[id.str()].push_back(body);
  RETURN_IF_ERROR(Admit("RunSandbox", link, id.str()));
  last_wait_ = wait;
  while (hanging_ && !call.cancelled() && !call.expired())
    wake_.WaitFor(mutex_, std::chrono::milliseconds(20), [] { return false; });
  if (hanging_) return Unavailable("no answer");
  const auto it = sandboxes_.find(id);
  if (it != sandboxes_.end()) {
    if (it->second.record.wanted() > interlink::v1::WANTED_CREATE)
      return FailedPrecondition("removed");
    if (it->second.body != body) return AlreadyExists("another body");
    if (it->second.record.held()) {
      it->second.record.set_held(false);
      if (!silent_) it->second.record.set_seen(interlink::v1::SEEN_UP);
      Stamp(it->second.record);
    }
    RETURN_IF_ERROR(Answered("RunSandbox"));
    return it->second.record;
  }
  SandboxRecord record;
  record.set_id(id.str());
  record.set_handler(kHandler);
  record.set_wanted(interlink::v1::WANTED_CREATE);
  record.set_seen(silent_ ? interlink::v1::SEEN_PENDING : interlink::v1::SEEN_UP);
  if (!silent_) record.set_up_ns(5);
  Stamp(record);
  sandboxes_[id] = {record, body};
  while (hold_waits_ && wait > Duration::zero() && !call.cancelled() && !call.expired())
    wake_.WaitFor(mutex_, std::chrono::milliseconds(20), [] { return false; });
  RETURN_IF_ERROR(Answered("RunSandbox"));
  return record;
}
void FakeSite::EndAllOf(const SandboxId& id, interlink::v1::Seen seen) {
  for (auto& [part, container] : containers_) {
    if (container.record.sandbox_id() != id.str() || container.record.seen() >= seen) continue;
    if (container.record.seen() < interlink::v1::SEEN_DOWN) {
      container.record.set_exit_code(137);
      container.record.set_reason("Error");
      container.record.set_finished_ns(9);
    }
    container.record.set_seen(seen);
    Stamp(container.record);
  }
}
Result<SandboxRecord> FakeSite::EndSandbox(const std::string& method, node::LinkNumber link,
                                           const SandboxId& id, interlink::v1::Wanted wanted) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(Admit(method, link, id.str()));
  auto& record = sandboxes_[id].record;
  record.set_id(id.str());
  record.set_handler(kHandler);
  if (record.wanted() < wanted) record.set_wanted(wanted);
  if (!silent_) {
    const auto seen =
        wanted == interlink::v1::WANTED_STOP ? interlink::v1::SEEN_DOWN : interlink::v1::SEEN_GONE;
    EndAllOf(id, seen);
    if (record.seen() < seen) record.set_seen(seen);
  }
  Stamp(record);
  RETURN_IF_ERROR(Answered(method));
  return record;
}
Result<SandboxRecord> FakeSite::StopSandbox(const Call&, node::LinkNumber link, const SandboxId& id,
                                            const std::string&, Duration) {
  return EndSandbox("StopSandbox", link, id, interlink::v1::WANTED_STOP);
}
Result<SandboxRecord> FakeSite::RemoveSandbox(const Call&, node::LinkNumber link,
                                              const SandboxId& id, const std::string&) {
  return EndSandbox("RemoveSandbox", link, id, interlink::v1::WANTED_REMOVE);
}
Status FakeSite::UpdateSandbox(const Call&, node::LinkNumber link, const SandboxId& id,
                               const interlink::v1::UpdateSandboxRequest&) {
  MutexLock lock(mutex_);
  return Admit("UpdateSandbox", link, id.str());
}
Status FakeSite::PutVolume(const Call&, node::LinkNumber link, const std::string& digest,
                           const std::string& bytes) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(Admit("PutVolume", link, digest));
  volumes_[digest] = bytes;
  return Answered("PutVolume");
}
Result<interlink::v1::RefreshVolumesResponse> FakeSite::RefreshVolumes(
    const Call&, node::LinkNumber link, const SandboxId&, const ContainerId& id,
    const interlink::v1::RefreshVolumesRequest& request) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(Admit("RefreshVolumes", link, id.str()));
  if (!containers_.contains(id)) return NotFound("no such container");
  interlink::v1::RefreshVolumesResponse answer;
  auto& told = told_[id];
  for (const auto& [host_path, digest] : request.snapshots()) {
    if (told[host_path] != digest && !volumes_.contains(digest)) answer.add_missing(digest);
  }
  uint64_t& sequence = sequences_[{id, link}];
  if (answer.missing().empty() && request.sequence() > sequence) {
    for (const auto& [host_path, digest] : request.snapshots()) told[host_path] = digest;
    sequence = request.sequence();
  }
  RETURN_IF_ERROR(Answered("RefreshVolumes"));
  return answer;
}
std::map<std::string, std::string> FakeSite::Told(const ContainerId& id) {
  MutexLock lock(mutex_);
  return told_[id];
}
void FakeSite::ForgetVolumes() {
  MutexLock lock(mutex_);
  volumes_.clear();
  told_.clear();
}
void FakeSite::SetTakesContents(bool yes) {
  MutexLock lock(mutex_);
  takes_contents_ = yes;
}
std::map<std::string, std::string> FakeSite::Volumes() {
  MutexLock lock(mutex_);
  return volumes_;
}
Status FakeSite::OtherLife(const SandboxId& sandbox, const std::string& body) {
  const auto name_in = [](const std::string& bytes) {
    interlink::v1::CreateContainerRequest request;
    return request.ParseFromString(bytes) ? request.config().metadata().name() : "";
  };
  const std::string name = name_in(body);
  for (const auto& [id, other] : containers_) {
    if (other.record.sandbox_id() == sandbox.str() && name_in(other.body) == name &&
        other.record.seen() < interlink::v1::SEEN_DOWN)
      return Unavailable("container \"" + id.str() + "\" of the same name has not ended yet");
  }
  return {};
}
Result<ContainerRecord> FakeSite::CreateContainer(const Call&, node::LinkNumber link,
                                                  const SandboxId& sandbox, const ContainerId& id,
                                                  const std::string& body) {
  MutexLock lock(mutex_);
  bodies_[id.str()].push_back(body);
  RETURN_IF_ERROR(Admit("CreateContainer", link, id.str()));
  const auto it = containers_.find(id);
  if (it != containers_.end()) {
    if (it->second.record.wanted() > interlink::v1::WANTED_START)
      return FailedPrecondition("removed");
    RETURN_IF_ERROR(Answered("CreateContainer"));
    return it->second.record;
  }
  RETURN_IF_ERROR(OtherLife(sandbox, body));
  ContainerRecord record;
  record.set_id(id.str());
  record.set_sandbox_id(sandbox.str());
  record.set_handler(kHandler);
  record.set_wanted(interlink::v1::WANTED_CREATE);
  record.set_seen(silent_ ? interlink::v1::SEEN_NOTHING : interlink::v1::SEEN_CREATED);
  Stamp(record);
  containers_[id] = {record, body};
  RETURN_IF_ERROR(Answered("CreateContainer"));
  return record;
}
Result<ContainerRecord> FakeSite::StartContainer(const Call&, node::LinkNumber link,
                                                 const SandboxId&, const ContainerId& id,
                                                 const std::string&, Duration) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(Admit("StartContainer", link, id.str()));
  const auto it = containers_.find(id);
  if (it == containers_.end()) return NotFound("no such container");
  auto& record = it->second.record;
  if (record.wanted() > interlink::v1::WANTED_START) return FailedPrecondition("stopped");
  if (record.wanted() < interlink::v1::WANTED_START) {
    record.set_wanted(interlink::v1::WANTED_START);
    if (!silent_) {
      record.set_seen(interlink::v1::SEEN_UP);
      record.set_started_ns(6);
    }
    Stamp(record);
  }
  RETURN_IF_ERROR(Answered("StartContainer"));
  return record;
}
Result<ContainerRecord> FakeSite::EndContainer(const std::string& method, node::LinkNumber link,
                                               const SandboxId& sandbox, const ContainerId& id,
                                               Duration wait) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(Admit(method, link, id.str()));
  end_waits_[id] = wait;
  const auto wanted =
      method == "StopContainer" ? interlink::v1::WANTED_STOP : interlink::v1::WANTED_REMOVE;
  auto& record = containers_[id].record;
  const bool known = !record.id().empty();
  record.set_id(id.str());
  record.set_sandbox_id(sandbox.str());
  if (record.wanted() < wanted) record.set_wanted(wanted);
  if (!silent_) {
    if (record.seen() < interlink::v1::SEEN_DOWN) {
      record.set_seen(interlink::v1::SEEN_DOWN);
      record.set_exit_code(known ? 143 : 128);
      record.set_reason(known ? "Error" : "StartError");
      record.set_finished_ns(9);
      if (!known) record.mutable_failure()->set_message("stopped before it was created");
    }
    if (wanted == interlink::v1::WANTED_REMOVE) record.set_seen(interlink::v1::SEEN_GONE);
  }
  Stamp(record);
  RETURN_IF_ERROR(Answered(method));
  return record;
}
Result<ContainerRecord> FakeSite::StopContainer(const Call&, node::LinkNumber link,
                                                const SandboxId& sandbox, const ContainerId& id,
                                                const interlink::v1::StopContainerRequest&,
                                                Duration wait) {
  return EndContainer("StopContainer", link, sandbox, id, wait);
}
Result<ContainerRecord> FakeSite::RemoveContainer(const Call&, node::LinkNumber link,
                                                  const SandboxId& sandbox, const ContainerId& id,
                                                  const std::string&, Duration wait) {
  return EndContainer("RemoveContainer", link, sandbox, id, wait);
}
Result<ContainerRecord> FakeSite::UpdateContainer(
    const Call&, node::LinkNumber link, const SandboxId&, const ContainerId& id,
    const interlink::v1::UpdateContainerRequest& request) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(Admit("UpdateContainer", link, id.str()));
  auto& record = containers_[id].record;
  *record.mutable_resources() = request.linux();
  record.set_update_sequence(request.sequence());
  Stamp(record);
  return record;
}
Result<interlink::v1::InspectResponse> FakeSite::InspectSandbox(const Call&, const SandboxId&) {
  MutexLock lock(mutex_);
  if (down_) return Unavailable("connection refused");
  interlink::v1::InspectResponse response;
  response.set_info("{\"pid\":1}");
  return response;
}
Result<interlink::v1::InspectResponse> FakeSite::InspectContainer(const Call& call,
                                                                  const SandboxId& sandbox,
                                                                  const ContainerId&) {
  return InspectSandbox(call, sandbox);
}
Result<interlink::v1::PullRecord> FakeSite::PullImage(
    const Call&, node::LinkNumber link, const interlink::v1::PullImageRequest& request) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(Admit("PullImage", link, request.pull_id()));
  interlink::v1::PullRecord record;
  record.set_pull_id(request.pull_id());
  record.set_image_id("sha256:" + request.image().image());
  record.set_ended(!silent_);
  return record;
}
Status FakeSite::CancelPull(const Call&, node::LinkNumber link, const std::string& pull_id) {
  MutexLock lock(mutex_);
  return Admit("CancelPull", link, pull_id);
}
Status FakeSite::RemoveImage(const Call&, node::LinkNumber link, const std::string& image) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(Admit("RemoveImage", link, image));
  images_.erase(image);
  return {};
}
Result<interlink::v1::ImageFilesystemsResponse> FakeSite::ImageFilesystems(const Call&) {
  return interlink::v1::ImageFilesystemsResponse();
}
Result<interlink::v1::StatsResponse> FakeSite::Stats(const Call&) {
  MutexLock lock(mutex_);
  if (down_) return Unavailable("connection refused");
  ++calls_["Stats"];
  interlink::v1::StatsResponse response;
  if (unmeasured_) return response;
  for (const auto& [id, container] : containers_) {
    auto* stats = response.add_containers();
    stats->mutable_attributes()->set_id(id.str());
    stats->mutable_memory()->mutable_working_set_bytes()->set_value(4711);
  }
  return response;
}
Result<interlink::v1::PodMetricsResponse> FakeSite::PodMetrics(const Call&) {
  std::function<Result<interlink::v1::PodMetricsResponse>()> answer;
  {
    MutexLock lock(mutex_);
    if (down_) return Unavailable("connection refused");
    ++calls_["PodMetrics"];
    answer = metrics_;
  }
  return answer ? answer() : Unimplemented("no such route");
}
void FakeSite::ExecSync(const Call& call, node::LinkNumber link, const SandboxId&,
                        const ContainerId& id, const interlink::v1::ExecSyncRequest& request,
                        node::Reply<interlink::v1::ExecSyncResponse> reply) {
  Status why;
  {
    MutexLock lock(mutex_);
    why = Admit("ExecSync", link, id.str());
  }
  if (!why.ok()) return reply(why);
  if (request.cmd(0) == "endless") {
    timer_.At(call.deadline(), [reply = std::move(reply)] { reply(Unavailable("no answer")); });
    return;
  }
  interlink::v1::ExecSyncResponse response;
  response.set_stdout(request.cmd(0));
  response.set_timed_out(request.cmd(0) == "too-long");
  reply(response);
}
void FakeSite::SetReachable(Status) {}

void FakeSite::Open(const std::string& method, node::LinkNumber link, const SessionId& id,
                    const node::StreamRequest& request, node::Reply<node::SessionPtr> reply) {
  const auto state = std::make_shared<FakeSessionState>();
  Status why;
  {
    MutexLock lock(mutex_);
    why = Admit(method, link, id.str());
    if (why.ok()) sessions_.push_back({id, request, state});
    if (why.ok() && hold_openings_) {
      openings_.emplace_back(
          [state, reply] { reply(node::SessionPtr(std::make_shared<FakeSession>(state))); });
      return;
    }
  }
  if (!why.ok()) return reply(why);
  reply(node::SessionPtr(std::make_shared<FakeSession>(state)));
}
void FakeSite::OpenSession(const Call&, node::LinkNumber link, const SessionId& id,
                           const node::StreamRequest& request,
                           node::Reply<node::SessionPtr> reply) {
  Open("OpenSession", link, id, request, std::move(reply));
}
void FakeSite::Dial(const Call&, node::LinkNumber link, const SessionId& id,
                    const SandboxId& sandbox, uint16_t port, node::Reply<node::SessionPtr> reply) {
  node::StreamRequest request;
  request.kind = node::StreamRequest::Kind::kPortForward;
  request.sandbox = sandbox;
  request.ports = {port};
  Open("Dial", link, id, request, std::move(reply));
}
std::vector<FakeSite::Opened> FakeSite::Sessions() {
  MutexLock lock(mutex_);
  return sessions_;
}
void FakeSite::HoldOpenings(bool hold) {
  MutexLock lock(mutex_);
  hold_openings_ = hold;
}
void FakeSite::AnswerOpenings() {
  std::vector<std::function<void()>> held;
  {
    MutexLock lock(mutex_);
    held.swap(openings_);
  }
  for (const auto& answer : held) answer();
}

std::vector<Event> FakeSite::List() {
  std::vector<Event> list(1);
  list.back().mutable_resync()->set_reason("no position");
  uint64_t count = 0;
  for (const auto& [id, sandbox] : sandboxes_) {
    auto* record = list.emplace_back().mutable_record()->mutable_sandbox();
    *record = sandbox.record;
    if (sandbox.body.empty() || !record->mutable_request()->ParseFromString(sandbox.body))
      record->clear_request();
    ++count;
  }
  for (const auto& [id, container] : containers_) {
    auto* record = list.emplace_back().mutable_record()->mutable_container();
    *record = container.record;
    if (container.body.empty() || !record->mutable_request()->ParseFromString(container.body))
      record->clear_request();
    ++count;
  }
  for (const auto& [id, image] : images_) {
    *list.emplace_back().mutable_record()->mutable_image() = image;
    ++count;
  }
  Event& end = list.emplace_back();
  end.mutable_end()->set_count(count);
  recovered_ ? end.mutable_end()->add_handlers_recovered(kHandler)
             : end.mutable_end()->add_handlers_not_recovered(kHandler);
  end.mutable_position()->set_epoch(epoch_);
  end.mutable_position()->set_number(++number_);
  return list;
}

Status FakeSite::ReadEvents(const Call& call, node::LinkNumber link, const interlink::v1::Position&,
                            node::EventSink& sink) {
  const auto cancelled = call.OnCancel([this] {
    MutexLock lock(mutex_);
    wake_.NotifyAll();
  });
  std::vector<Event> next;
  {
    MutexLock lock(mutex_);
    wake_.WaitFor(mutex_, std::chrono::seconds(60),
                  [&]() NO_LOCK_ANALYSIS { return !hold_list_ || down_ || call.cancelled(); });
    if (down_) return Unavailable("connection refused");
    if (link != link_) return Aborted("stale-link");
    events_.clear();
    next = List();
  }
  while (true) {
    bool listed = false;
    for (const Event& event : next) {
      sink.OnEvent(event);
      listed = listed || event.has_end();
    }
    next.clear();
    MutexLock lock(mutex_);
    if (listed) ++lists_taken_;
    wake_.WaitFor(mutex_, std::chrono::seconds(60), [&]() NO_LOCK_ANALYSIS {
      return down_ || link != link_ || call.cancelled() || !events_.empty();
    });
    if (call.cancelled()) return CancelledError("the caller has gone");
    if (down_) return Unavailable("the stream broke");
    if (link != link_) return Aborted("stale-link");
    next.assign(events_.begin(), events_.end());
    events_.clear();
  }
}

}  // namespace interlink::test
