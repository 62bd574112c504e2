#include "sessions_lab.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "site_client/site_client.h"

namespace interlink::test {
namespace {

constexpr auto kLong = std::chrono::seconds(60);

// Asserts nothing: it is called by threads of tests too.
template <typename T>
T Wait(std::future<T> future) {
  if (future.wait_for(kLong) != std::future_status::ready)
    return T(InternalError("the test has waited for too long"));
  return future.get();
}

}  // namespace

Result<node::SessionOutput> Talk::Read() {
  auto promise = std::make_shared<std::promise<Result<node::SessionOutput>>>();
  auto future = promise->get_future();
  session_->Read(
      [promise](Result<node::SessionOutput> result) { promise->set_value(std::move(result)); });
  return Wait(std::move(future));
}

Status Talk::Write(node::SessionInput input) {
  auto promise = std::make_shared<std::promise<Status>>();
  auto future = promise->get_future();
  session_->Write(std::move(input), [promise](Status status) { promise->set_value(status); });
  return Wait(std::move(future));
}

Status Talk::Send(std::string bytes) {
  node::SessionInput input;
  input.bytes = std::move(bytes);
  return Write(std::move(input));
}

Status Talk::EndInput() {
  node::SessionInput input;
  input.kind = node::SessionInput::Kind::kEnd;
  return Write(std::move(input));
}

SessionStory Talk::ReadAll(size_t limit) {
  SessionStory story;
  while (story.out.size() < limit) {
    auto next = Read();
    if (!next.ok()) {
      story.end = next.status();
      break;
    }
    if (next->kind == node::SessionOutput::Kind::kExit) {
      story.exit_code = next->exit_code;
      break;
    }
    if (next->kind == node::SessionOutput::Kind::kEnd) {
      story.out_ended = true;
      break;
    }
    const bool err = next->channel == node::SessionOutput::Channel::kStderr;
    (err ? story.err : story.out) += next->bytes;
  }
  return story;
}

SessionsLab::SessionsLab(Duration silence) {
  const auto pass = [gate = gate_, openings = openings_] {
    ++*openings;
    MutexLock lock(gate->mutex);
    gate->opened.WaitFor(gate->mutex, kLong, [&gate]() NO_LOCK_ANALYSIS { return !gate->closed; });
  };
  site.world.open_session = [this, pass](const sdk::SessionSpec& spec) -> Result<UniqueFd> {
    pass();
    if (!spec.attach && spec.argv[0] == "no-such-program")
      return InvalidArgument("exec failed: no-such-program: No such file or directory");
    return sessions.Exec(spec.attach ? std::vector<std::string>{"cat"} : spec.argv);
  };
  site.world.dial = [this, pass](uint16_t port) -> Result<UniqueFd> {
    pass();
    if (port == 1) return FailedPrecondition("nothing listens on port 1");
    return sessions.Echo();
  };
  site.WaitReady();
  REQUIRE(site.LinkNode("n1").ok());
  site.RunAll(pod, unit);

  CertificateAuthority ca(folder_.path(), "ca");
  const CertificateFiles server =
      ca.Issue("server", {.common_name = "site", .alternative_names = "IP:127.0.0.1"});
  const CertificateFiles client = ca.Issue("client", {.common_name = "n1"});
  const auto server_tls =
      net::TlsContext::Server({server.cert, server.key, ca.ca_file()}, net::ClientAuth::kRequire);
  const auto client_tls = net::TlsContext::Client({client.cert, client.key, ca.ca_file()});
  REQUIRE(server_tls.ok());
  REQUIRE(client_tls.ok());
  auto authenticator = auth::Authenticator::Create({}, nullptr);
  REQUIRE(authenticator.ok());
  authenticator_ = std::make_unique<auth::Authenticator>(*authenticator);
  auto listener = net::Listener::Tcp(site_io_, "127.0.0.1", 0, *server_tls);
  REQUIRE(listener.ok());
  port_ = (*listener)->port();
  rest::Options options;
  options.site = "lab";
  edge_ = std::make_unique<rest::Edge>(
      options, rest::Ports{*site.site, *authenticator_, site_io_, site.log, site.metrics,
                           [] { return std::string(); }});
  edge_->Serve(*std::move(listener), rest::Face::kSite);
  site_client::Options client_options;
  client_options.endpoint = {"127.0.0.1", port_, "", *client_tls};
  client_options.session_silence = silence;
  client_ = site_client::Create(node_io_, std::move(client_options), site.log);
  client_->SetReachable({});
}

SessionsLab::~SessionsLab() {
  ReleaseBackend();
  client_.reset();
  StopEdge();
  site.site->Stop();
  node_io_.Stop();
  site_io_.Stop();
}

void SessionsLab::StopEdge() {
  if (edge_ != nullptr) edge_->Stop(std::chrono::seconds(5));
  edge_.reset();
}

void SessionsLab::HoldBackend() {
  MutexLock lock(gate_->mutex);
  gate_->closed = true;
}

void SessionsLab::ReleaseBackend() {
  MutexLock lock(gate_->mutex);
  gate_->closed = false;
  gate_->opened.NotifyAll();
}

std::future<Result<node::SessionPtr>> SessionsLab::BeginExec(const Call& call, const SessionId& id,
                                                             const std::vector<std::string>& argv) {
  node::StreamRequest request;
  request.sandbox = pod;
  request.container = unit;
  request.cmd = argv;
  request.in = request.out = request.err = true;
  auto promise = std::make_shared<std::promise<Result<node::SessionPtr>>>();
  auto future = promise->get_future();
  client_->OpenSession(call, site.caller.link, id, request,
                       [promise](auto session) { promise->set_value(std::move(session)); });
  return future;
}

Result<node::SessionPtr> SessionsLab::Exec(const std::vector<std::string>& argv) {
  return Wait(BeginExec(SiteLab::call(), MintSessionId(), argv));
}

Result<node::SessionPtr> SessionsLab::Attach() {
  node::StreamRequest request;
  request.kind = node::StreamRequest::Kind::kAttach;
  request.sandbox = pod;
  request.container = unit;
  request.in = request.out = request.err = true;
  auto promise = std::make_shared<std::promise<Result<node::SessionPtr>>>();
  auto future = promise->get_future();
  client_->OpenSession(SiteLab::call(), site.caller.link, MintSessionId(), request,
                       [promise](auto session) { promise->set_value(std::move(session)); });
  return Wait(std::move(future));
}

Result<node::SessionPtr> SessionsLab::Dial(uint16_t port) {
  auto promise = std::make_shared<std::promise<Result<node::SessionPtr>>>();
  auto future = promise->get_future();
  client_->Dial(SiteLab::call(), site.caller.link, MintSessionId(), pod, port,
                [promise](auto session) { promise->set_value(std::move(session)); });
  return Wait(std::move(future));
}

Talk SessionsLab::Open(const std::vector<std::string>& argv) {
  auto session = Exec(argv);
  INFO(session.status().ToString());
  REQUIRE(session.ok());
  return Talk(*std::move(session));
}

void SessionsLab::CutConnections() const {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename().string());
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    if (peer.sin_family == AF_INET && ntohs(peer.sin_port) == port_) shutdown(fd, SHUT_RDWR);
  }
}

size_t OpenDescriptors() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

}  // namespace interlink::test
