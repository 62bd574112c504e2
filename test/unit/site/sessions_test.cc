// Which sessions the site opens.
#include <sys/socket.h>

#include "shim/frames.h"
#include "shim/messages.h"
#include "site/exec_sync.h"
#include "site_lab.h"

namespace interlink::test {
namespace {

using site::Session;

struct SessionsFixture {
  SessionsFixture() {
    lab.world.open_session = [this](const sdk::SessionSpec& spec) -> Result<UniqueFd> {
      MutexLock lock(mutex);
      asked.push_back(spec);
      return Pair();
    };
    lab.world.dial = [this](uint16_t port) -> Result<UniqueFd> {
      MutexLock lock(mutex);
      dialled.push_back(port);
      return Pair();
    };
    lab.WaitReady();
    REQUIRE(lab.LinkNode().ok());
    lab.RunAll(pod, unit);
  }
  Result<UniqueFd> Pair() {
    std::array<int, 2> pair{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
    others.emplace_back(pair[1]);
    return UniqueFd(pair[0]);
  }

  static interlink::v1::OpenExec ExecOf(const std::string& id = MintSessionId().str()) {
    interlink::v1::OpenExec request;
    request.set_session_id(id);
    request.add_cmd("sh");
    request.set_stdout(true);
    return request;
  }
  Result<Session> Exec(const interlink::v1::OpenExec& request) {
    return lab.Wait<Session>([&](auto reply) {
      lab.site->OpenExec(SiteLab::call(), lab.caller, pod, unit, request, reply);
    });
  }
  Result<Session> Attach(const interlink::v1::OpenAttach& request) {
    return lab.Wait<Session>([&](auto reply) {
      lab.site->OpenAttach(SiteLab::call(), lab.caller, pod, unit, request, reply);
    });
  }
  Result<Session> Dial(uint32_t port, const std::string& id = MintSessionId().str()) {
    interlink::v1::OpenPortForward request;
    request.set_session_id(id);
    request.set_port(port);
    return lab.Wait<Session>(
        [&](auto reply) { lab.site->OpenPort(SiteLab::call(), lab.caller, pod, request, reply); });
  }
  Status ExecSync(const std::string& id) {
    interlink::v1::ExecSyncRequest request;
    request.set_exec_id(id);
    request.add_cmd("true");
    return lab
        .Wait<interlink::v1::ExecSyncResponse>([&](auto reply) {
          lab.site->ExecSync(Call::WithTimeout(std::chrono::milliseconds(200)), lab.caller, pod,
                             unit, request, reply);
        })
        .status();
  }

  const SandboxId pod = MintSandboxId();
  const ContainerId unit = MintContainerId();
  size_t Asked() {
    MutexLock lock(mutex);
    return asked.size();
  }
  Mutex mutex;  // an ExecSync whose caller has gone may come yet
  std::vector<sdk::SessionSpec> asked;
  std::vector<uint16_t> dialled;
  std::vector<UniqueFd> others;
  SiteLab lab;  // the first to go: its steps use the rest
};

TEST_CASE_METHOD(SessionsFixture, "A session reaches the backend as it was asked for") {
  auto exec = ExecOf();
  exec.add_cmd("-c");
  exec.set_stdin(true);
  exec.set_tty(true);
  const auto opened = Exec(exec);
  REQUIRE(opened.ok());
  CHECK(opened->fd.valid());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].session.str() == exec.session_id());
  CHECK(asked[0].sandbox == pod);
  CHECK(asked[0].container == unit);
  CHECK(asked[0].argv == std::vector<std::string>{"sh", "-c"});
  CHECK_FALSE(asked[0].attach);
  CHECK(asked[0].tty);
  CHECK(asked[0].in);
  CHECK(asked[0].out);
  CHECK_FALSE(asked[0].err);
  CHECK_FALSE(asked[0].kill_on_close);

  interlink::v1::OpenAttach attach;
  attach.set_session_id(MintSessionId().str());
  attach.set_stderr(true);
  CHECK(Attach(attach).ok());
  REQUIRE(asked.size() == 2);
  CHECK(asked[1].attach);
  CHECK(asked[1].err);
  CHECK_FALSE(asked[1].out);

  CHECK(Dial(8080).ok());
  CHECK(dialled == std::vector<uint16_t>{8080});
}

TEST_CASE_METHOD(SessionsFixture, "A session that makes no sense is refused by name") {
  auto none = ExecOf();
  none.set_stdout(false);
  CHECK(Exec(none).status().code() == Code::kInvalidArgument);
  auto terminal = ExecOf();
  terminal.set_tty(true);
  terminal.set_stderr(true);
  CHECK(Exec(terminal).status().message().find("tty") != std::string::npos);
  auto empty = ExecOf();
  empty.clear_cmd();
  CHECK(Exec(empty).status().code() == Code::kInvalidArgument);
  CHECK(Exec(ExecOf("short")).status().code() == Code::kInvalidArgument);
  interlink::v1::OpenAttach attach;
  attach.set_session_id(MintSessionId().str());
  CHECK(Attach(attach).status().code() == Code::kInvalidArgument);
  for (const uint32_t port : {0U, 65536U})
    CHECK(Dial(port).status().code() == Code::kInvalidArgument);
  CHECK(asked.empty());
  CHECK(dialled.empty());
}

TEST_CASE_METHOD(SessionsFixture, "A session needs its own node's link and what runs there") {
  const site::Caller own = lab.caller;
  lab.caller.link += 1;
  CHECK(Exec(ExecOf()).status().code() == Code::kAborted);
  CHECK(Dial(80).status().code() == Code::kAborted);
  const auto peer = lab.TakePeer();
  REQUIRE(lab.LinkNode("n2").ok());
  CHECK(Exec(ExecOf()).status().code() == Code::kNotFound);
  CHECK(Dial(80).status().code() == Code::kNotFound);
  lab.SetPeer(peer);
  lab.caller = own;

  REQUIRE(lab.StopUnit(pod, unit).ok());
  CHECK(Exec(ExecOf()).status().code() == Code::kFailedPrecondition);
  CHECK(Dial(80).ok());
  REQUIRE(lab.StopPod(pod).ok());
  CHECK(Dial(80).status().code() == Code::kFailedPrecondition);
  CHECK(asked.empty());
}

TEST_CASE_METHOD(SessionsFixture, "A session id runs once, whatever it is used for") {
  const std::string id = MintSessionId().str();
  CHECK(Exec(ExecOf(id)).ok());
  CHECK(Exec(ExecOf(id)).status().code() == Code::kAlreadyExists);
  CHECK(Dial(80, id).status().code() == Code::kAlreadyExists);
  CHECK(ExecSync(id).code() == Code::kAlreadyExists);

  const std::string probe = MintSessionId().str();
  CHECK(ExecSync(probe).code() == Code::kUnavailable);
  CHECK(Exec(ExecOf(probe)).status().code() == Code::kAlreadyExists);
  CHECK(Eventually([this] { return Asked() == 2; }));
}

TEST_CASE_METHOD(SessionsFixture, "A node has a limit of sessions, which their ends give back") {
  std::vector<Session> open;
  Status why;
  while (open.size() < 1000) {
    auto session = open.size() % 2 == 0 ? Exec(ExecOf()) : Dial(80);
    if (!session.ok()) {
      why = session.status();
      break;
    }
    open.push_back(*std::move(session));
  }
  CHECK(open.size() == site::Options().max_sessions_per_node);
  CHECK(why.code() == Code::kResourceExhausted);
  CHECK(why.message().find("256 sessions") != std::string::npos);

  // The thread that opened it may still be about to let go of it.
  open.pop_back();
  CHECK(Eventually([this] { return Exec(ExecOf()).ok(); }));
  CHECK(Eventually([this] { return Exec(ExecOf()).ok(); }));
}

TEST_CASE_METHOD(SessionsFixture, "A refused or failed opening takes no place") {
  lab.world.Fail("OpenSession", InvalidArgument("no such file"));
  for (int i = 0; i < 300; ++i) {
    REQUIRE(Exec(ExecOf()).status().code() == Code::kInvalidArgument);
  }
  lab.world.Fail("OpenSession", Status());
  CHECK(Exec(ExecOf()).ok());
}

TEST_CASE_METHOD(SessionsFixture, "A session may outlive the site") {
  auto session = Exec(ExecOf());
  REQUIRE(session.ok());
  lab.Crash();
  CHECK(session->fd.valid());
  session = Unavailable("closed");
  lab.Boot();
}

// Opening waited as long as the caller: a few backends that hung held every step.
TEST_CASE_METHOD(SessionsFixture, "A command's session is opened within the time of a step") {
  lab.world.open_session = [](const sdk::SessionSpec&) { return Unavailable("it is busy"); };
  interlink::v1::ExecSyncRequest request;
  request.set_exec_id(MintSessionId().str());
  request.add_cmd("true");

  const auto answer = lab.Wait<interlink::v1::ExecSyncResponse>([&](auto reply) {
    lab.site->ExecSync(Call::WithTimeout(std::chrono::minutes(5)), lab.caller, pod, unit, request,
                       reply);
  });

  CHECK(answer.status().code() == Code::kUnavailable);
  MutexLock lock(lab.world.mutex);
  CHECK(lab.world.session_deadline < std::chrono::steady_clock::now() + std::chrono::minutes(1));
}

// A session's other end, as a shim has it.
struct Command {
  using Answer = Result<interlink::v1::ExecSyncResponse>;
  Command() {
    std::array<int, 2> pair{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
    session = UniqueFd(pair[0]);
    shim = UniqueFd(pair[1]);
  }
  void SendStatus(int code) const {
    std::array<char, shim::kMaxFrame> frame{};
    shim::ExitStatus status{};
    status.code = code;
    const size_t size =
        shim::PutMessage(frame.data(), frame.size(), shim::FrameType::kStatus, status);
    REQUIRE(send(shim.get(), frame.data(), size, MSG_NOSIGNAL) == static_cast<ssize_t>(size));
  }
  void Collect(site::ExecSyncCollector& collector, Duration timeout) {
    collector.Collect(SiteLab::call(), std::move(session), timeout,
                      [this](Answer answer) { answered.set_value(std::move(answer)); });
  }
  Answer Get() {
    auto future = answered.get_future();
    REQUIRE(future.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
    return future.get();
  }
  UniqueFd session;
  UniqueFd shim;
  std::promise<Answer> answered;
};

// Whoever looked late told a command that had ended in time as one that had not: a failed probe.
TEST_CASE("A command that has ended in time is no timeout, however late that is seen") {
  Command busy;
  Command quick;
  std::promise<void> go;
  site::ExecSyncCollector collector;
  collector.Collect(SiteLab::call(), std::move(busy.session), Duration::zero(),
                    [looks = go.get_future().share()](auto) { looks.wait(); });
  busy.SendStatus(0);
  REQUIRE(Eventually([&] { return recv(busy.shim.get(), nullptr, 0, MSG_DONTWAIT) == 0; }));
  quick.SendStatus(3);
  quick.Collect(collector, std::chrono::milliseconds(1));
  const auto later = std::chrono::steady_clock::now() + std::chrono::milliseconds(10);
  REQUIRE(Eventually([&] { return std::chrono::steady_clock::now() > later; }));
  go.set_value();

  const auto answer = quick.Get();

  REQUIRE(answer.ok());
  CHECK_FALSE(answer->timed_out());
  CHECK(answer->exit_code() == 3);
}

TEST_CASE("A command whose end is not told is no timeout, one that was killed is") {
  Command killed;
  Command lost;
  site::ExecSyncCollector collector;
  for (Command* command : {&killed, &lost}) {
    command->Collect(collector, std::chrono::milliseconds(1));
    char kill = 0;
    REQUIRE(recv(command->shim.get(), &kill, 1, 0) == 1);
  }

  killed.SendStatus(137);
  lost.shim.Reset();

  const auto ended = killed.Get();
  REQUIRE(ended.ok());
  CHECK(ended->timed_out());
  CHECK(lost.Get().status().code() == Code::kUnavailable);
}

TEST_CASE_METHOD(SessionsFixture, "Nothing is opened for a caller that has gone") {
  const Call call = SiteLab::call();
  call.Cancel();
  const auto session = lab.Wait<Session>(
      [&](auto reply) { lab.site->OpenExec(call, lab.caller, pod, unit, ExecOf(), reply); });
  CHECK(session.status().code() == Code::kCancelled);
  CHECK(asked.empty());
}

}  // namespace
}  // namespace interlink::test
