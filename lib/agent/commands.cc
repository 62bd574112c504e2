#include "agent/commands.h"

#include <algorithm>

#include "agent/facts.h"

namespace interlink::agent {
namespace {

constexpr size_t kMaxLogChunk = 1U << 20U;

template <typename Words>
std::vector<std::string> WordsOf(const Words& words) {
  return {words.begin(), words.end()};
}

template <typename Contents>
sdk::MountContents ContentsOf(const Contents& from) {
  sdk::MountContents contents;
  for (const auto& [host_path, content] : from) {
    contents[host_path] = std::make_shared<const interlink::v1::MountContent>(content);
  }
  return contents;
}

}  // namespace

bool IsChange(const v1::Command& command) {
  switch (command.what_case()) {
    case v1::Command::kObserve:
    case v1::Command::kReadLog:
    case v1::Command::kStats:
    case v1::Command::kInspect:
    case v1::Command::kOpenStream:
      return false;
    default:
      return true;
  }
}

v1::Answer Commands::Carry(const Call& call, const v1::Command& command) {
  v1::Answer answer;
  answer.set_number(command.number());
  const Status status = IsChange(command) ? Change(call, command) : Look(call, command, answer);
  answer.set_code(static_cast<int>(status.code()));
  answer.set_message(status.message());
  return answer;
}

Status Commands::Change(const Call& call, const v1::Command& command) {
  switch (command.what_case()) {
    case v1::Command::kRunSandbox:
      return Run(call, command.run_sandbox());
    case v1::Command::kStopSandbox:
      RETURN_IF_ERROR(folder_.MarkGone(sandbox_.str()));
      return backend_.StopSandbox(call, NodeId(command.stop_sandbox().node_id()), sandbox_);
    case v1::Command::kRemoveSandbox:
      RETURN_IF_ERROR(folder_.MarkGone(sandbox_.str()));
      return backend_.RemoveSandbox(call, NodeId(command.remove_sandbox().node_id()), sandbox_);
    case v1::Command::kUpdateSandbox: {
      const auto& what = command.update_sandbox();
      return backend_.UpdateSandbox(call, NodeId(what.node_id()), sandbox_, what.resources(),
                                    what.overhead());
    }
    case v1::Command::kCreateContainer:
      return Create(call, command.create_container());
    case v1::Command::kStartContainer:
      return Start(call, command.start_container());
    case v1::Command::kStopContainer: {
      const auto& what = command.stop_container();
      RETURN_IF_ERROR(folder_.MarkGone(what.container_id()));
      const auto grace = std::chrono::seconds(std::max<int64_t>(0, what.grace_seconds()));
      return backend_.StopContainer(call, sandbox_, ContainerId(what.container_id()), grace);
    }
    case v1::Command::kRemoveContainer: {
      const std::string& id = command.remove_container().container_id();
      RETURN_IF_ERROR(folder_.MarkGone(id));
      return backend_.RemoveContainer(call, sandbox_, ContainerId(id));
    }
    case v1::Command::kUpdateContainer: {
      const auto& what = command.update_container();
      return backend_.UpdateContainer(call, sandbox_, ContainerId(what.container_id()),
                                      what.resources());
    }
    case v1::Command::kUpdateContents:
      return UpdateContents(call, command.update_contents());
    default:
      return Unimplemented("this agent does not know the command");
  }
}

Status Commands::RefuseGone(const std::string& id) {
  if (!IsFullId(id)) return InvalidArgument("the id is not 64 hex digits");
  if (folder_.IsRefused(sandbox_.str())) return FailedPrecondition("the sandbox was stopped");
  if (!folder_.IsRefused(id)) return {};
  return FailedPrecondition("container \"" + id + "\" was stopped or removed");
}

Status Commands::Run(const Call& call, const v1::RunSandbox& what) {
  RETURN_IF_ERROR(RefuseGone(sandbox_.str()));
  return backend_.RunSandbox(call,
                             {sandbox_, NodeId(what.node_id()), what.handler(), what.config()});
}

Status Commands::Create(const Call& call, const v1::CreateContainer& what) {
  RETURN_IF_ERROR(RefuseGone(what.container_id()));
  RETURN_IF_ERROR(TakeImage(what.image()));
  RETURN_IF_ERROR(backend_.PrepareImage(call, sandbox_, what.image().id()));
  std::map<std::string, std::string> volume_images;
  for (const auto& [name, image] : what.volume_images()) {
    RETURN_IF_ERROR(TakeImage(image));
    RETURN_IF_ERROR(backend_.PrepareImage(call, sandbox_, image.id()));
    volume_images[name] = image.id();
  }
  const sdk::ContainerSpec spec{ContainerId(what.container_id()),
                                sandbox_,
                                NodeId(what.node_id()),
                                what.image().id(),
                                what.config(),
                                what.sandbox_config(),
                                std::move(volume_images),
                                ContentsOf(what.contents())};
  return backend_.CreateContainer(call, spec);
}

Status Commands::TakeImage(v1::Image image) {
  for (std::string& layer : *image.mutable_layers()) {
    if (layer.starts_with('/')) continue;
    if (layers_ == nullptr) return Unimplemented("this agent takes no layers from the site");
    ASSIGN_OR_RETURN(layer, layers_->PathOf(layer));
  }
  host_.SetImage(image);
  return {};
}

Status Commands::Start(const Call& call, const v1::StartContainer& what) {
  RETURN_IF_ERROR(RefuseGone(what.container_id()));
  return backend_.StartContainer(call, sandbox_, ContainerId(what.container_id()));
}

Status Commands::UpdateContents(const Call& call, const v1::UpdateContents& what) {
  RETURN_IF_ERROR(RefuseGone(what.container_id()));
  return backend_.UpdateContents(call, sandbox_, ContainerId(what.container_id()),
                                 ContentsOf(what.contents()));
}

Status Commands::Look(const Call& call, const v1::Command& command, v1::Answer& answer) {
  switch (command.what_case()) {
    case v1::Command::kObserve: {
      ASSIGN_OR_RETURN(const auto seen, backend_.Observe(call));
      auto* observed = answer.mutable_observed();
      for (const auto& fact : seen) *observed->add_facts() = ToFact(fact);
      return {};
    }
    case v1::Command::kReadLog: {
      const auto& what = command.read_log();
      const size_t max = std::min<size_t>(what.max(), kMaxLogChunk);
      ASSIGN_OR_RETURN(
          auto chunk,
          backend_.ReadLog(call, sandbox_, ContainerId(what.container_id()), what.offset(), max));
      answer.mutable_log()->set_bytes(std::move(chunk.bytes));
      answer.mutable_log()->set_next(chunk.next);
      answer.mutable_log()->set_end(chunk.end);
      return {};
    }
    case v1::Command::kStats: {
      ASSIGN_OR_RETURN(const auto usage, backend_.Stats(call));
      auto* taken = answer.mutable_stats();
      for (const auto& one : usage.containers) *taken->add_containers() = one;
      for (const auto& one : usage.sandboxes) *taken->add_sandboxes() = one;
      return {};
    }
    case v1::Command::kInspect: {
      const ContainerId id(command.inspect().container_id());
      ASSIGN_OR_RETURN(std::string json, backend_.Inspect(call, sandbox_, id));
      answer.mutable_inspected()->set_json(std::move(json));
      return {};
    }
    default:
      return Unimplemented("this agent does not know the command");
  }
}

Result<UniqueFd> Commands::Open(const Call& call, const v1::OpenStream& request) {
  if (!IsFullId(request.stream_id())) {
    return InvalidArgument("the stream id is not 64 hex digits");
  }
  if (request.has_dial()) {
    const uint32_t port = request.dial().port();
    if (port == 0 || port > 65535) return InvalidArgument("the port is not in 1..65535");
    return backend_.Dial(call, sandbox_, static_cast<uint16_t>(port));
  }
  if (request.has_put_layer()) {
    if (layers_ == nullptr) return Unimplemented("this agent takes no layers from the site");
    RETURN_IF_ERROR(RefuseGone(sandbox_.str()));
    return layers_->Put(request.put_layer().name());
  }
  sdk::SessionSpec spec;
  spec.sandbox = sandbox_;
  if (request.has_exec()) {
    const auto& what = request.exec();
    spec.session = SessionId(what.session_id());
    spec.container = ContainerId(what.container_id());
    spec.argv = WordsOf(what.argv());
    spec.tty = what.tty();
    spec.in = what.in();
    spec.out = what.out();
    spec.err = what.err();
    spec.kill_on_close = what.kill_on_close();
  } else if (request.has_attach()) {
    const auto& what = request.attach();
    spec.session = SessionId(what.session_id());
    spec.container = ContainerId(what.container_id());
    spec.attach = true;
    spec.tty = what.tty();
    spec.in = what.in();
    spec.out = what.out();
    spec.err = what.err();
  } else {
    return Unimplemented("this agent does not know the kind of stream");
  }
  return backend_.OpenSession(call, spec);
}

}  // namespace interlink::agent
