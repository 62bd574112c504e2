// Exec, Attach and PortForward: what is checked, and the sessions that come of them.
#include "node_lab.h"

namespace interlink::test {
namespace {

using runtime::v1::AttachRequest;
using runtime::v1::ExecRequest;
using runtime::v1::PortForwardRequest;

struct SessionsFixture {
  static ExecRequest ExecOf(const std::string& id) {
    ExecRequest request;
    request.set_container_id(id);
    request.add_cmd("sh");
    request.set_stdout(true);
    return request;
  }
  static AttachRequest AttachOf(const std::string& id, bool tty = false) {
    AttachRequest request;
    request.set_container_id(id);
    request.set_stdout(true);
    request.set_tty(tty);
    return request;
  }
  static PortForwardRequest ForwardOf(const std::string& id) {
    PortForwardRequest request;
    request.set_pod_sandbox_id(id);
    return request;
  }
  Status Exec(const ExecRequest& request) { return lab.node->sessions().Exec(request).status(); }
  Status Attach(const AttachRequest& request) {
    return lab.node->sessions().Attach(request).status();
  }
  Status Forward(const PortForwardRequest& request) {
    return lab.node->sessions().PortForward(request).status();
  }
  std::future<Result<node::SessionPtr>> BeginOpen(const node::StreamRequest& request,
                                                  const Call& call = NodeLab::call()) {
    return lab.Begin<node::SessionPtr>(
        [&](auto reply) { lab.node->sessions().Open(call, request, reply); });
  }
  Result<node::SessionPtr> Open(const node::StreamRequest& request) {
    return NodeLab::Get(BeginOpen(request));
  }
  Result<node::SessionPtr> Dial(const SandboxId& sandbox, uint16_t port) {
    return NodeLab::Get(lab.Begin<node::SessionPtr>(
        [&](auto reply) { lab.node->sessions().Dial(NodeLab::call(), sandbox, port, reply); }));
  }
  // What an address for an exec in the running container stands for.
  node::StreamRequest Address() {
    REQUIRE(Exec(ExecOf(unit.str())).ok());
    return lab.streams.asked().back();
  }

  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  const ContainerId unit = lab.Running(pod, "c");
};

TEST_CASE_METHOD(SessionsFixture, "An address stands for what was asked for, with full ids") {
  ExecRequest exec = ExecOf(unit.str().substr(0, 12));
  exec.add_cmd("-c");
  exec.set_stdin(true);
  exec.set_tty(true);
  const auto answer = lab.node->sessions().Exec(exec);
  REQUIRE(answer.ok());
  CHECK(answer->url() == "http://127.0.0.1:1/1");
  PortForwardRequest forward = ForwardOf(pod.str().substr(0, 12));
  forward.add_port(80);
  forward.add_port(443);
  REQUIRE(Forward(forward).ok());
  REQUIRE(Attach(AttachOf(unit.str())).ok());

  const auto asked = lab.streams.asked();
  REQUIRE(asked.size() == 3);
  CHECK(asked[0].kind == node::StreamRequest::Kind::kExec);
  CHECK(asked[0].container == unit);
  CHECK(asked[0].sandbox == pod);
  CHECK(asked[0].cmd == std::vector<std::string>{"sh", "-c"});
  CHECK(asked[0].tty);
  CHECK(asked[0].in);
  CHECK(asked[0].out);
  CHECK_FALSE(asked[0].err);
  CHECK(asked[1].kind == node::StreamRequest::Kind::kPortForward);
  CHECK(asked[1].sandbox == pod);
  CHECK(asked[1].ports == std::vector<uint16_t>{80, 443});
  CHECK(asked[2].kind == node::StreamRequest::Kind::kAttach);
  CHECK(asked[2].container == unit);
}

TEST_CASE_METHOD(SessionsFixture, "What makes no sense is InvalidArgument") {
  ExecRequest none = ExecOf(unit.str());
  none.set_stdout(false);
  CHECK(Exec(none).code() == Code::kInvalidArgument);
  ExecRequest terminal = ExecOf(unit.str());
  terminal.set_tty(true);
  terminal.set_stderr(true);
  CHECK(Exec(terminal).code() == Code::kInvalidArgument);
  ExecRequest empty = ExecOf(unit.str());
  empty.clear_cmd();
  CHECK(Exec(empty).code() == Code::kInvalidArgument);
  AttachRequest nothing = AttachOf(unit.str());
  nothing.set_stdout(false);
  CHECK(Attach(nothing).code() == Code::kInvalidArgument);
  for (const int port : {0, -1, 65536}) {
    PortForwardRequest forward = ForwardOf(pod.str());
    forward.add_port(port);
    CHECK(Forward(forward).code() == Code::kInvalidArgument);
  }
  CHECK(Exec(ExecOf("")).code() == Code::kInvalidArgument);
  CHECK(lab.streams.asked().empty());
}

TEST_CASE_METHOD(SessionsFixture, "Attach takes the terminal and the stdin that there are") {
  auto request = NodeLab::Unit(pod, "with");
  request.mutable_config()->set_tty(true);
  request.mutable_config()->set_stdin(true);
  const auto made = lab.Create(request);
  REQUIRE(made.ok());
  REQUIRE(lab.StartUnit(*made).ok());

  CHECK(Attach(AttachOf(made->str(), false)).code() == Code::kInvalidArgument);
  CHECK(Attach(AttachOf(unit.str(), true)).code() == Code::kInvalidArgument);
  AttachRequest input = AttachOf(unit.str());
  input.set_stdin(true);
  CHECK(Attach(input).code() == Code::kInvalidArgument);
  AttachRequest right = AttachOf(made->str(), true);
  right.set_stdin(true);
  CHECK(Attach(right).ok());
}

TEST_CASE_METHOD(SessionsFixture, "What is not there is NotFound, what does not run is refused") {
  const std::string unknown = RandomHex(32);
  CHECK(Exec(ExecOf(unknown)).code() == Code::kNotFound);
  CHECK(Attach(AttachOf(unknown)).code() == Code::kNotFound);
  CHECK(Forward(ForwardOf(unknown)).code() == Code::kNotFound);
  const ContainerId created = lab.Created(pod, "later");
  CHECK(Exec(ExecOf(created.str())).code() == Code::kFailedPrecondition);
  const node::StreamRequest address = Address();

  REQUIRE(lab.StopUnit(unit).ok());
  CHECK(Exec(ExecOf(unit.str())).code() == Code::kFailedPrecondition);
  CHECK(Attach(AttachOf(unit.str())).code() == Code::kFailedPrecondition);
  // The address was good when it was asked for.
  CHECK(Open(address).status().code() == Code::kFailedPrecondition);

  REQUIRE(lab.StopPod(pod).ok());
  CHECK(Forward(ForwardOf(pod.str())).code() == Code::kFailedPrecondition);
  CHECK(Dial(pod, 80).status().code() == Code::kFailedPrecondition);
  CHECK(lab.site.Sessions().empty());
}

TEST_CASE_METHOD(SessionsFixture, "While the site is out of reach no address is given") {
  const node::StreamRequest address = Address();
  lab.site.SetDown(true);
  REQUIRE(Eventually([this] { return !lab.node->Summary().reachable.ok(); }));
  CHECK(Exec(ExecOf(unit.str())).code() == Code::kUnavailable);
  CHECK(Forward(ForwardOf(pod.str())).code() == Code::kUnavailable);
  CHECK(Open(address).status().code() == Code::kUnavailable);
  CHECK(Dial(pod, 80).status().code() == Code::kUnavailable);
}

TEST_CASE_METHOD(SessionsFixture, "The server's refusal of an address is the answer") {
  lab.streams.FailWith(ResourceExhausted("1000 addresses are unused"));
  CHECK(Exec(ExecOf(unit.str())).code() == Code::kResourceExhausted);
}

TEST_CASE_METHOD(SessionsFixture, "Every session has an id of its own") {
  const node::StreamRequest address = Address();
  auto first = Open(address);
  auto second = Open(address);
  auto port = Dial(pod, 8080);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  REQUIRE(port.ok());

  const auto opened = lab.site.Sessions();
  REQUIRE(opened.size() == 3);
  CHECK(IsFullId(opened[0].id.str()));
  CHECK(opened[0].id != opened[1].id);
  CHECK(opened[0].request.cmd == address.cmd);
  CHECK(opened[2].request.ports == std::vector<uint16_t>{8080});
}

TEST_CASE_METHOD(SessionsFixture, "What the site refuses is told; a stale link is Unavailable") {
  const node::StreamRequest address = Address();
  lab.site.Fail("OpenSession", InvalidArgument("no such file"));
  CHECK(Open(address).status().message() == "no such file");
  lab.site.Fail("OpenSession", Aborted("stale-link"));
  CHECK(Open(address).status().code() == Code::kUnavailable);
  lab.site.Fail("Dial", FailedPrecondition("nothing listens"));
  CHECK(Dial(pod, 80).status().code() == Code::kFailedPrecondition);
  CHECK(Dial(pod, 0).status().code() == Code::kInvalidArgument);
  node::StreamRequest forward;
  forward.kind = node::StreamRequest::Kind::kPortForward;
  forward.sandbox = pod;
  CHECK(Open(forward).status().code() == Code::kInvalidArgument);
}

TEST_CASE_METHOD(SessionsFixture,
                 "The number of sessions is limited, and their ends give it back") {
  const node::StreamRequest address = Address();
  std::vector<node::SessionPtr> open;
  for (size_t i = 0; i < node::Options().max_sessions; ++i) {
    auto session = Open(address);
    REQUIRE(session.ok());
    open.push_back(*std::move(session));
  }
  CHECK(Open(address).status().code() == Code::kResourceExhausted);
  CHECK(Dial(pod, 80).status().code() == Code::kResourceExhausted);

  open.pop_back();
  CHECK(lab.site.Sessions().back().state->Cancelled());
  CHECK(lab.site.Sessions().back().state->Gone());
  lab.site.Fail("OpenSession", NotFound("gone"));
  CHECK(Open(address).status().code() == Code::kNotFound);
  lab.site.Fail("OpenSession", Status());
  CHECK(Open(address).ok());
}

TEST_CASE_METHOD(SessionsFixture, "Stop ends open sessions and answers openings") {
  const node::StreamRequest address = Address();
  const auto open = Open(address);
  REQUIRE(open.ok());
  lab.site.HoldOpenings(true);
  auto opening = BeginOpen(address);
  REQUIRE(lab.site.Sessions().size() == 2);

  lab.node->Stop();

  CHECK(lab.site.Sessions()[0].state->Cancelled());
  CHECK(NodeLab::Get(std::move(opening)).status().code() == Code::kUnavailable);
  lab.site.AnswerOpenings();
  CHECK(lab.site.Sessions()[1].state->Cancelled());
  CHECK(lab.site.Sessions()[1].state->Gone());
  CHECK(Open(address).status().code() == Code::kUnavailable);
}

}  // namespace
}  // namespace interlink::test
