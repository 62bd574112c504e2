// Sessions of containers and sandboxes: exec, attach and port-forward, as descriptors.
#include "site/limits.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

Status CheckStreams(bool in, bool out, bool err, bool tty) {
  if (!in && !out && !err)
    return InvalidArgument("a session needs at least one of \"stdin\", \"stdout\" and \"stderr\"");
  if (tty && err) return InvalidArgument("\"stderr\" with \"tty\": a terminal's output is stdout");
  return {};
}

// What exec and attach have in common.
template <typename Request>
sdk::SessionSpec SpecOf(const ContainerKey& key, const Request& request) {
  sdk::SessionSpec spec;
  spec.session = SessionId(request.session_id());
  spec.sandbox = key.sandbox;
  spec.container = key.id;
  spec.in = request.stdin();
  spec.out = request.stdout();
  spec.err = request.stderr();
  return spec;
}

}  // namespace

// The request of a pod as the policy wants it: the handler is always told.
interlink::v1::RunSandboxRequest LiveSite::PodOf(const Sandbox& sandbox) {
  interlink::v1::RunSandboxRequest pod;
  if (!pod.ParseFromString(sandbox.body)) pod.Clear();
  pod.set_handler(sandbox.record.handler());
  return pod;
}

Status LiveSite::MayUseLocked(const Caller& caller, Admission::Use use, const SandboxKey& key,
                              const runtime::v1::LinuxContainerResources* resources) const {
  if (ports_.admission == nullptr) return {};
  const Sandbox* sandbox = tables_.Find(key);
  if (sandbox == nullptr) return NotFound("no sandbox \"" + key.id.str() + "\" of this node");
  return ports_.admission->MayUse(caller, use, PodOf(*sandbox), resources);
}

Result<LiveSite::Admitted> LiveSite::AdmitSessionLocked(const Caller& caller, Admission::Use use,
                                                        const SandboxKey& sandbox,
                                                        const std::string& handler,
                                                        const std::string& session_id) {
  RETURN_IF_ERROR(MayUseLocked(caller, use, sandbox));
  ASSIGN_OR_RETURN(Plugin * plugin, PluginForChange(handler));
  const Sandbox* pod = tables_.Find(sandbox);
  if (pod == nullptr) return NotFound("no sandbox \"" + sandbox.id.str() + "\" of this node");
  const Account account = Tables::AccountOf(*pod);
  if (ports_.admission != nullptr) {
    RETURN_IF_ERROR(ports_.admission->MayHold(account, {.sessions = session_counts_->Of(account)},
                                              {.sessions = 1}));
  }
  Admitted admitted;
  admitted.backend = plugin->backend.get();
  ASSIGN_OR_RETURN(admitted.counted,
                   session_counts_->Take(caller.node, options_.max_sessions_per_node, account));
  RETURN_IF_ERROR(RunOnceLocked(session_id));
  return admitted;
}

Result<LiveSite::Admitted> LiveSite::AdmitSession(const Caller& caller, Admission::Use use,
                                                  const ContainerKey& key,
                                                  const std::string& session_id) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(CheckLink(caller));
  const Container* container = tables_.Find(key);
  if (container == nullptr)
    return NotFound("no container \"" + key.id.str() + "\" in this sandbox");
  if (container->record.seen() != interlink::v1::SEEN_UP)
    return FailedPrecondition("container \"" + key.id.str() + "\" is not running");
  return AdmitSessionLocked(caller, use, key.Sandbox(), container->record.handler(), session_id);
}

Result<LiveSite::Admitted> LiveSite::AdmitSession(const Caller& caller, Admission::Use use,
                                                  const SandboxKey& key,
                                                  const std::string& session_id) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(CheckLink(caller));
  const Sandbox* sandbox = tables_.Find(key);
  if (sandbox == nullptr) return NotFound("no sandbox \"" + key.id.str() + "\"");
  if (sandbox->record.seen() != interlink::v1::SEEN_UP)
    return FailedPrecondition("sandbox \"" + key.id.str() + "\" is not up");
  return AdmitSessionLocked(caller, use, key, sandbox->record.handler(), session_id);
}

void LiveSite::OpenStep(const std::string& session_id, const Call& call, Result<Admitted> admitted,
                        std::function<Result<UniqueFd>(const Call&, sdk::Backend&)> open,
                        Reply<Session> reply) {
  if (!admitted.ok()) return reply(admitted.status());
  PostOrFail<Session>("session/" + session_id, std::move(reply),
                      [call = call.Capped(kStep), admitted = *std::move(admitted),
                       open = std::move(open)](Reply<Session> answer) {
                        if (const Status status = call.Check("open the session"); !status.ok())
                          return answer(status);
                        auto fd = open(call, *admitted.backend);
                        if (!fd.ok()) return answer(fd.status());
                        answer(Session{*std::move(fd), admitted.counted});
                      });
}

void LiveSite::OpenExec(const Call& call, const Caller& caller, const SandboxId& sandbox,
                        const ContainerId& id, const interlink::v1::OpenExec& request,
                        Reply<Session> reply) {
  const ContainerKey key{caller.node, sandbox, id};
  Status why = CheckStreams(request.stdin(), request.stdout(), request.stderr(), request.tty());
  if (why.ok() && request.cmd().empty())
    why = InvalidArgument("\"cmd\" is empty: which command is to be run?");
  if (!why.ok()) return reply(why);
  OpenStep(
      request.session_id(), call,
      AdmitSession(caller, Admission::Use::kExec, key, request.session_id()),
      [key, request](const Call& bounded, sdk::Backend& backend) {
        sdk::SessionSpec spec = SpecOf(key, request);
        spec.argv.assign(request.cmd().begin(), request.cmd().end());
        spec.tty = request.tty();
        return backend.OpenSession(bounded, spec);
      },
      std::move(reply));
}

void LiveSite::OpenAttach(const Call& call, const Caller& caller, const SandboxId& sandbox,
                          const ContainerId& id, const interlink::v1::OpenAttach& request,
                          Reply<Session> reply) {
  const ContainerKey key{caller.node, sandbox, id};
  const Status why = CheckStreams(request.stdin(), request.stdout(), request.stderr(), false);
  if (!why.ok()) return reply(why);
  OpenStep(
      request.session_id(), call,
      AdmitSession(caller, Admission::Use::kAttach, key, request.session_id()),
      [key, request](const Call& bounded, sdk::Backend& backend) {
        sdk::SessionSpec spec = SpecOf(key, request);
        spec.attach = true;
        return backend.OpenSession(bounded, spec);
      },
      std::move(reply));
}

void LiveSite::OpenPort(const Call& call, const Caller& caller, const SandboxId& sandbox,
                        const interlink::v1::OpenPortForward& request, Reply<Session> reply) {
  constexpr uint32_t kMaxPort = 65535;
  if (request.port() < 1 || request.port() > kMaxPort)
    return reply(InvalidArgument("\"port\" must be between 1 and 65535"));
  const auto port = static_cast<uint16_t>(request.port());
  OpenStep(
      request.session_id(), call,
      AdmitSession(caller, Admission::Use::kPortForward, SandboxKey{caller.node, sandbox},
                   request.session_id()),
      [sandbox, port](const Call& bounded, sdk::Backend& backend) {
        return backend.Dial(bounded, sandbox, port);
      },
      std::move(reply));
}

}  // namespace interlink::site
