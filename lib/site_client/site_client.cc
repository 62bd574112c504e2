#include "site_client/site_client.h"

#include "runtime/v1/api.pb.h"
#include "site_client/log_stream.h"
#include "site_client/requests.h"
#include "site_client/sessions.h"
#include "wire/position.h"
#include "wire/stream.h"

namespace interlink::site_client {
namespace {

using interlink::v1::ContainerRecord;
using interlink::v1::SandboxRecord;
using node::LinkNumber;
using wire::Route;

constexpr auto kHeartbeatSilence = std::chrono::seconds(15);  // DESIGN 5

class SiteClient final : public node::Site {
 public:
  SiteClient(net::Io& io, Options options, Log& log)
      : io_(io), log_(log), requests_(std::make_shared<Requests>(io, std::move(options))) {}

  Result<interlink::v1::LinkResponse> Link(const Call& call,
                                           const interlink::v1::LinkRequest& request) override {
    return Ask1<interlink::v1::LinkResponse>(
        call, {.route = Route::kLink, .body = request.SerializeAsString()}, true);
  }
  Result<interlink::v1::InfoResponse> Info(const Call& call) override {
    return Ask1<interlink::v1::InfoResponse>(call, {.route = Route::kInfo}, true);
  }

  Result<SandboxRecord> RunSandbox(const Call& call, LinkNumber link, const SandboxId& id,
                                   const std::string& body, Duration wait) override {
    return Ask1<SandboxRecord>(call, {.route = Route::kRunSandbox,
                                      .path = {.sandbox = id},
                                      .body = body,
                                      .link = link,
                                      .wait = wait});
  }
  Result<SandboxRecord> StopSandbox(const Call& call, LinkNumber link, const SandboxId& id,
                                    const std::string& handler, Duration wait) override {
    interlink::v1::StopSandboxRequest request;
    request.set_handler(handler);
    return Ask1<SandboxRecord>(call, {.route = Route::kStopSandbox,
                                      .path = {.sandbox = id},
                                      .body = request.SerializeAsString(),
                                      .link = link,
                                      .wait = wait});
  }
  Result<SandboxRecord> RemoveSandbox(const Call& call, LinkNumber link, const SandboxId& id,
                                      const std::string& handler) override {
    return Ask1<SandboxRecord>(call, {.route = Route::kRemoveSandbox,
                                      .path = {.sandbox = id},
                                      .query = {{"handler", handler}},
                                      .link = link,
                                      .wait = kEndWait});
  }
  Status UpdateSandbox(const Call& call, LinkNumber link, const SandboxId& id,
                       const interlink::v1::UpdateSandboxRequest& request) override {
    SandboxRecord record;
    return requests_->Send(call,
                           {.route = Route::kUpdateSandbox,
                            .path = {.sandbox = id},
                            .body = request.SerializeAsString(),
                            .link = link},
                           &record);
  }

  Status PutVolume(const Call& call, LinkNumber link, const std::string& digest,
                   const std::string& bytes) override {
    interlink::v1::Empty nothing;
    return requests_->Send(
        call, {.route = Route::kPutVolume, .path = {.digest = digest}, .body = bytes, .link = link},
        &nothing);
  }
  Result<ContainerRecord> CreateContainer(const Call& call, LinkNumber link,
                                          const SandboxId& sandbox, const ContainerId& id,
                                          const std::string& body) override {
    return Ask1<ContainerRecord>(call, {.route = Route::kCreateContainer,
                                        .path = {.sandbox = sandbox, .container = id},
                                        .body = body,
                                        .link = link,
                                        .wait = kEndWait});
  }
  Result<ContainerRecord> StartContainer(const Call& call, LinkNumber link,
                                         const SandboxId& sandbox, const ContainerId& id,
                                         const std::string& handler, Duration wait) override {
    interlink::v1::StartContainerRequest request;
    request.set_handler(handler);
    return Ask1<ContainerRecord>(call, {.route = Route::kStartContainer,
                                        .path = {.sandbox = sandbox, .container = id},
                                        .body = request.SerializeAsString(),
                                        .link = link,
                                        .wait = wait});
  }
  Result<ContainerRecord> StopContainer(const Call& call, LinkNumber link, const SandboxId& sandbox,
                                        const ContainerId& id,
                                        const interlink::v1::StopContainerRequest& request,
                                        Duration wait) override {
    return Ask1<ContainerRecord>(call, {.route = Route::kStopContainer,
                                        .path = {.sandbox = sandbox, .container = id},
                                        .body = request.SerializeAsString(),
                                        .link = link,
                                        .wait = wait});
  }
  Result<ContainerRecord> RemoveContainer(const Call& call, LinkNumber link,
                                          const SandboxId& sandbox, const ContainerId& id,
                                          const std::string& handler, Duration wait) override {
    return Ask1<ContainerRecord>(call, {.route = Route::kRemoveContainer,
                                        .path = {.sandbox = sandbox, .container = id},
                                        .query = {{"handler", handler}},
                                        .link = link,
                                        .wait = wait});
  }
  Result<ContainerRecord> UpdateContainer(
      const Call& call, LinkNumber link, const SandboxId& sandbox, const ContainerId& id,
      const interlink::v1::UpdateContainerRequest& request) override {
    return Ask1<ContainerRecord>(call, {.route = Route::kUpdateContainer,
                                        .path = {.sandbox = sandbox, .container = id},
                                        .body = request.SerializeAsString(),
                                        .link = link});
  }

  Result<interlink::v1::RefreshVolumesResponse> RefreshVolumes(
      const Call& call, LinkNumber link, const SandboxId& sandbox, const ContainerId& id,
      const interlink::v1::RefreshVolumesRequest& request) override {
    return Ask1<interlink::v1::RefreshVolumesResponse>(
        call, {.route = Route::kRefreshVolumes,
               .path = {.sandbox = sandbox, .container = id},
               .body = request.SerializeAsString(),
               .link = link});
  }

  Result<interlink::v1::InspectResponse> InspectSandbox(const Call& call,
                                                        const SandboxId& id) override {
    return Ask1<interlink::v1::InspectResponse>(
        call,
        {.route = Route::kGetSandbox, .path = {.sandbox = id}, .query = {{"verbose", "true"}}});
  }
  Result<interlink::v1::InspectResponse> InspectContainer(const Call& call,
                                                          const SandboxId& sandbox,
                                                          const ContainerId& id) override {
    return Ask1<interlink::v1::InspectResponse>(call,
                                                {.route = Route::kGetContainer,
                                                 .path = {.sandbox = sandbox, .container = id},
                                                 .query = {{"verbose", "true"}}});
  }

  Result<interlink::v1::PullRecord> PullImage(
      const Call& call, LinkNumber link, const interlink::v1::PullImageRequest& request) override {
    return Ask1<interlink::v1::PullRecord>(call, {.route = Route::kPullImage,
                                                  .body = request.SerializeAsString(),
                                                  .link = link,
                                                  .wait = kEndWait});
  }
  Status CancelPull(const Call& call, LinkNumber link, const std::string& pull_id) override {
    return requests_->Send(
        call, {.route = Route::kCancelPull, .path = {.pull = pull_id}, .link = link}, nullptr);
  }
  Status RemoveImage(const Call& call, LinkNumber link, const std::string& image) override {
    return requests_->Send(
        call, {.route = Route::kRemoveImage, .query = {{"image", image}}, .link = link}, nullptr);
  }
  Result<interlink::v1::ImageFilesystemsResponse> ImageFilesystems(const Call& call) override {
    return Ask1<interlink::v1::ImageFilesystemsResponse>(call, {.route = Route::kImageFilesystems});
  }
  Result<interlink::v1::StatsResponse> Stats(const Call& call) override {
    return Ask1<interlink::v1::StatsResponse>(call, {.route = Route::kStats});
  }
  Result<interlink::v1::PodMetricsResponse> PodMetrics(const Call& call) override {
    return Ask1<interlink::v1::PodMetricsResponse>(call, {.route = Route::kPodMetrics});
  }

  void ExecSync(const Call& call, LinkNumber link, const SandboxId& sandbox, const ContainerId& id,
                const interlink::v1::ExecSyncRequest& request,
                node::Reply<interlink::v1::ExecSyncResponse> reply) override {
    const Ask ask{.route = Route::kExecSync,
                  .path = {.sandbox = sandbox, .container = id},
                  .body = request.SerializeAsString(),
                  .link = link};
    requests_->SendAsync(
        call, ask,
        [requests = requests_, reply = std::move(reply)](Result<net::HttpResponse> response) {
          if (!response.ok()) {
            if (response.status().code() == Code::kCancelled) return reply(response.status());
            return reply(Unavailable("connection lost, the command may still run: " +
                                     response.status().message()));
          }
          interlink::v1::ExecSyncResponse answer;
          Status status = requests->Understand(*response, &answer);
          // A probe takes DeadlineExceeded for a failed one: only the command's own time-out is
          // that (DESIGN 6.13).
          if (status.code() == Code::kDeadlineExceeded) status = Unavailable(status.message());
          if (!status.ok()) return reply(status);
          if (answer.timed_out())
            return reply(DeadlineExceeded("the command overran its timeout and was killed"));
          reply(std::move(answer));
        });
  }

  void OpenSession(const Call& call, LinkNumber link, const SessionId& id,
                   const node::StreamRequest& request,
                   node::Reply<node::SessionPtr> reply) override {
    const bool exec = request.kind == node::StreamRequest::Kind::kExec;
    interlink::v1::SessionRequest message;
    if (exec) {
      auto* open = message.mutable_exec();
      open->set_session_id(id.str());
      open->mutable_cmd()->Assign(request.cmd.begin(), request.cmd.end());
      open->set_tty(request.tty);
      open->set_stdin(request.in);
      open->set_stdout(request.out);
      open->set_stderr(request.err);
    } else {
      auto* open = message.mutable_attach();
      open->set_session_id(id.str());
      open->set_stdin(request.in);
      open->set_stdout(request.out);
      open->set_stderr(request.err);
    }
    site_client::OpenSession(io_, requests_, call,
                             {.route = exec ? Route::kExec : Route::kAttach,
                              .path = {.sandbox = request.sandbox, .container = request.container},
                              .link = link},
                             message, std::move(reply));
  }
  void Dial(const Call& call, LinkNumber link, const SessionId& id, const SandboxId& sandbox,
            uint16_t port, node::Reply<node::SessionPtr> reply) override {
    interlink::v1::SessionRequest message;
    message.mutable_port_forward()->set_session_id(id.str());
    message.mutable_port_forward()->set_port(port);
    site_client::OpenSession(
        io_, requests_, call,
        {.route = Route::kPortForward, .path = {.sandbox = sandbox}, .link = link}, message,
        std::move(reply));
  }

  Status ReadEvents(const Call& call, LinkNumber link, const interlink::v1::Position& after,
                    node::EventSink& sink) override {
    ASSIGN_OR_RETURN(net::HttpRequest request,
                     requests_->Build(call, {.route = Route::kEvents,
                                             .query = {{"after", wire::FormatPosition(after)}},
                                             .link = link}));
    wire::StreamReader reader(wire::Encoding::kProtobuf);
    Status refused;
    const auto on_head = [&](const net::HttpResponse& head) -> Status {
      if (head.status != 200) refused = requests_->Understand(head, nullptr);
      return refused;
    };
    const auto on_bytes = [&](std::string_view bytes) -> Status {
      reader.Feed(bytes);
      while (true) {
        interlink::v1::Event event;
        ASSIGN_OR_RETURN(const bool more, reader.Next(&event));
        if (!more) return {};
        sink.OnEvent(event);
      }
    };
    const Status status =
        requests_->http().Stream(call, std::move(request), kHeartbeatSilence, on_head, on_bytes);
    if (!refused.ok()) return refused;
    if (status.ok())
      return Unavailable("site " + requests_->name() + " has ended the event stream");
    if (status.code() == Code::kDeadlineExceeded)
      return Unavailable("site " + requests_->name() + " is silent for 15 s");
    return status.WithContext("event stream of site " + requests_->name());
  }

  std::unique_ptr<LogStream> OpenLogs(node::LogSink& sink) override {
    return OpenLogStream(io_, requests_, sink, log_);
  }
  void SetReachable(Status why_not) override { requests_->SetReachable(std::move(why_not)); }

 private:
  static constexpr Duration kEndWait = std::chrono::seconds(2);

  template <typename Answer>
  Result<Answer> Ask1(const Call& call, const Ask& ask, bool always = false) {
    Answer answer;
    RETURN_IF_ERROR(requests_->Send(call, ask, &answer, always));
    return answer;
  }

  net::Io& io_;
  Log& log_;
  const std::shared_ptr<Requests> requests_;  // owners: this and answers in flight
};

}  // namespace

std::unique_ptr<node::Site> Create(net::Io& io, Options options, Log& log) {
  return std::make_unique<SiteClient>(io, std::move(options), log);
}

}  // namespace interlink::site_client
