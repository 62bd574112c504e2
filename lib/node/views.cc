#include "node/views.h"

#include <algorithm>

namespace interlink::node {
namespace {

int64_t Clamp(int64_t value, int64_t low, int64_t high) {
  return std::max(low, std::min(value, std::max(low, high)));
}

template <typename Map>
bool LabelsMatch(const Map& wanted, const Map& labels) {
  return std::all_of(wanted.begin(), wanted.end(), [&labels](const auto& item) {
    const auto it = labels.find(item.first);
    return it != labels.end() && it->second == item.second;
  });
}

}  // namespace

runtime::v1::PodSandbox ListItem(const Sandbox& sandbox) {
  runtime::v1::PodSandbox item;
  item.set_id(sandbox.stored.id());
  *item.mutable_metadata() = sandbox.request->config().metadata();
  item.set_state(sandbox.shown.value_or(runtime::v1::SANDBOX_NOTREADY));
  item.set_created_at(sandbox.stored.created_ns());
  *item.mutable_labels() = sandbox.stored.labels();
  *item.mutable_annotations() = sandbox.stored.annotations();
  item.set_runtime_handler(sandbox.stored.runtime_handler());
  return item;
}

runtime::v1::Container ListItem(const Container& container) {
  const auto& config = container.request->config();
  runtime::v1::Container item;
  item.set_id(container.stored.id());
  item.set_pod_sandbox_id(container.stored.sandbox_id());
  *item.mutable_metadata() = config.metadata();
  *item.mutable_image() = config.image();
  item.set_image_ref(container.stored.image_ref());
  item.set_image_id(container.request->image_id());
  item.set_state(container.shown.value_or(runtime::v1::CONTAINER_EXITED));
  item.set_created_at(container.stored.created_ns());
  *item.mutable_labels() = config.labels();
  *item.mutable_annotations() = config.annotations();
  return item;
}

runtime::v1::PodSandboxStatus StatusOf(const Sandbox& sandbox) {
  runtime::v1::PodSandboxStatus status;
  const auto& config = sandbox.request->config();
  status.set_id(sandbox.stored.id());
  *status.mutable_metadata() = config.metadata();
  status.set_state(sandbox.shown.value_or(runtime::v1::SANDBOX_NOTREADY));
  status.set_created_at(sandbox.stored.created_ns());
  const auto& options = config.linux().security_context().namespace_options();
  // Asked for and echoed, whatever was built: kubelet compares them.
  *status.mutable_linux()->mutable_namespaces()->mutable_options() = options;
  const auto& ips = sandbox.stored.fact().ips();
  const bool own_network = options.network() != runtime::v1::NODE;
  // Absent without an address, never present and empty: kubelet would make the sandbox anew for
  // ever.
  if (!ips.empty() && own_network && status.state() == runtime::v1::SANDBOX_READY) {
    status.mutable_network()->set_ip(ips.Get(0));
    for (int i = 1; i < ips.size(); ++i)
      status.mutable_network()->add_additional_ips()->set_ip(ips.Get(i));
  }
  *status.mutable_labels() = sandbox.stored.labels();
  *status.mutable_annotations() = sandbox.stored.annotations();
  status.set_runtime_handler(sandbox.stored.runtime_handler());
  return status;
}

std::string TerminationFile(const runtime::v1::ContainerConfig& config) {
  std::string path = "/dev/termination-log";
  const auto named = config.annotations().find("io.kubernetes.container.terminationMessagePath");
  if (named != config.annotations().end()) path = named->second;
  std::string host_path;
  for (const auto& mount : config.mounts()) {
    if (mount.container_path() == path) host_path = mount.host_path();
  }
  return host_path;
}

std::string LogPath(const Sandbox& sandbox, const Container& container) {
  const std::string& folder = sandbox.request->config().log_directory();
  const std::string& path = container.request->config().log_path();
  if (folder.empty() || path.empty()) return "";
  return folder + (folder.back() == '/' ? "" : "/") + path;
}

// As asked for, and of an image volume what its name meant.
google::protobuf::RepeatedPtrField<runtime::v1::Mount> MountsOf(
    const interlink::v1::CreateContainerRequest& request) {
  auto mounts = request.config().mounts();
  for (auto& mount : mounts) {
    const auto id = request.volume_images().find(mount.image().image());
    if (id != request.volume_images().end()) mount.mutable_image()->set_image_ref(id->second);
  }
  return mounts;
}

// Never "now": a time that moves with each question is a change to kubelet, and its back-off, which
// counts from the end of a container, would never be over. One that never ran is shown as started
// when it ended, one whose start was not told yet as started when it was created.
int64_t StartedAt(const Container& container, int64_t now_ns) {
  const auto& fact = container.stored.fact();
  const int64_t started = fact.started_ns() != 0 ? fact.started_ns() : fact.finished_ns();
  return Clamp(started, container.stored.created_ns(), now_ns);
}

const runtime::v1::LinuxContainerResources& ResourcesOf(const Container& container) {
  const auto& fact = container.stored.fact();
  return fact.has_resources() ? fact.resources() : container.request->config().linux().resources();
}

runtime::v1::ContainerStatus StatusOf(const Container& container, const Sandbox& sandbox,
                                      int64_t now_ns) {
  const auto& config = container.request->config();
  const auto& fact = container.stored.fact();
  runtime::v1::ContainerStatus status;
  status.set_id(container.stored.id());
  *status.mutable_metadata() = config.metadata();
  status.set_state(container.shown.value_or(runtime::v1::CONTAINER_EXITED));
  status.set_created_at(container.stored.created_ns());
  *status.mutable_image() = config.image();
  status.set_image_ref(container.stored.image_ref());
  status.set_image_id(container.request->image_id());
  *status.mutable_labels() = config.labels();
  *status.mutable_annotations() = config.annotations();
  *status.mutable_mounts() = MountsOf(*container.request);
  status.set_log_path(LogPath(sandbox, container));
  status.set_stop_signal(fact.stop_signal() != 0 ? fact.stop_signal() : config.stop_signal());
  if (status.stop_signal() == runtime::v1::SIGNAL_RUNTIME_DEFAULT)
    status.set_stop_signal(runtime::v1::SIGNAL_SIGTERM);
  if (fact.has_user()) *status.mutable_user() = fact.user();
  *status.mutable_resources()->mutable_linux() = ResourcesOf(container);
  if (status.state() != runtime::v1::CONTAINER_CREATED)
    status.set_started_at(StartedAt(container, now_ns));
  if (status.state() == runtime::v1::CONTAINER_EXITED) {
    status.set_finished_at(Clamp(fact.finished_ns(), status.started_at(), now_ns));
    status.set_exit_code(fact.exit_code());
    status.set_reason(!fact.reason().empty()  ? fact.reason()
                      : fact.exit_code() == 0 ? "Completed"
                                              : "Error");
    // Kubelet appends what it reads from the file: told here as well it would stand there twice.
    const bool in_file = !TerminationFile(config).empty();
    status.set_message(!fact.message().empty() || in_file ? fact.message()
                                                          : fact.termination_message());
  } else {
    status.set_message(fact.message());
  }
  return status;
}

Status ForCaller(const Status& status) {
  return status.code() == Code::kAborted ? Unavailable(status.message()) : status;
}

bool Matches(const runtime::v1::PodSandboxFilter& filter, const Sandbox& sandbox) {
  if (!sandbox.stored.id().starts_with(filter.id())) return false;
  if (filter.has_state() && filter.state().state() != sandbox.shown) return false;
  return LabelsMatch(filter.label_selector(), sandbox.stored.labels());
}

bool Matches(const runtime::v1::ContainerFilter& filter, const Container& container) {
  if (!container.stored.id().starts_with(filter.id())) return false;
  if (!container.stored.sandbox_id().starts_with(filter.pod_sandbox_id())) return false;
  if (filter.has_state() && filter.state().state() != container.shown) return false;
  return LabelsMatch(filter.label_selector(), container.request->config().labels());
}

}  // namespace interlink::node
