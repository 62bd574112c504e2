// How sessions are refused and how they end, at every stage.
#include <catch2/catch.hpp>

#include "sessions_lab.h"
#include "support/eventually.h"
#include "wire/session.h"

namespace interlink::test {
namespace {

bool Has(const Status& status, const std::string& text) {
  return status.message().find(text) != std::string::npos;
}

TEST_CASE("what cannot be opened says why") {
  SessionsLab lab;

  const Status program = lab.Exec({"no-such-program"}).status();
  CHECK(program.code() == Code::kInvalidArgument);
  CHECK(Has(program, "No such file"));
  const Status port = lab.Dial(1).status();
  CHECK(port.code() == Code::kFailedPrecondition);
  CHECK(Has(port, "port 1"));
  lab.unit = MintContainerId();
  CHECK(lab.Exec({"print", "x"}).status().code() == Code::kNotFound);
  lab.pod = MintSandboxId();
  CHECK(lab.Dial(80).status().code() == Code::kNotFound);
  lab.site.caller.link += 1;
  CHECK(lab.Dial(80).status().code() == Code::kAborted);
}

TEST_CASE("a session id runs once") {
  SessionsLab lab;
  const SessionId id = MintSessionId();
  const auto first = lab.BeginExec(SiteLab::call(), id, {"print", "x"}).get();
  REQUIRE(first.ok());

  const auto again = lab.BeginExec(SiteLab::call(), id, {"print", "x"}).get();

  CHECK(again.status().code() == Code::kAlreadyExists);
  CHECK(lab.openings() == 1);
}

TEST_CASE("a session that the backend cuts is lost, never exit code 0") {
  SessionsLab lab;
  const SessionStory story = lab.Open({"cut"}).ReadAll();
  CHECK_FALSE(story.exit_code);
  CHECK(story.end.code() == Code::kUnavailable);
  CHECK(Has(story.end, "the command may still run"));
}

TEST_CASE("a lost connection is an error at the node and the client's end at the container") {
  SessionsLab lab;
  Talk talk = lab.Open({"sleep", "600000"});
  REQUIRE(lab.running() == 1);

  lab.CutConnections();

  const SessionStory story = talk.ReadAll();
  CHECK_FALSE(story.exit_code);
  CHECK(story.end.code() == Code::kUnavailable);
  CHECK(Has(story.end, "connection lost, the command may still run"));
  CHECK(Eventually([&lab] { return lab.running() == 0; }));
}

TEST_CASE("a site that falls silent is taken for gone") {
  SessionsLab lab(std::chrono::milliseconds(300));
  Talk talk = lab.Open({"sleep", "600000"});
  const SessionStory story = talk.ReadAll();
  CHECK(story.end.code() == Code::kUnavailable);
  CHECK(Has(story.end, "the command may still run"));
  CHECK(Eventually([&lab] { return lab.running() == 0; }));
}

TEST_CASE("heartbeats keep a quiet session for longer than silence is taken for") {
  SessionsLab lab(2 * wire::kSessionBeat);
  Talk talk = lab.Open({"sleep", "11000"});
  CHECK(talk.ReadAll().exit_code == 0);
}

TEST_CASE("a site that is not there refuses every session at once") {
  SessionsLab lab;
  lab.StopEdge();
  CHECK(lab.Exec({"cat"}).status().code() == Code::kUnavailable);
  CHECK(lab.Dial(80).status().code() == Code::kUnavailable);
  CHECK(lab.openings() == 0);
}

TEST_CASE("a session that nobody holds any more ends at the container") {
  SessionsLab lab;
  Talk talk = lab.Open({"sleep", "600000"});
  REQUIRE(lab.running() == 1);
  talk.Drop();
  CHECK(Eventually([&lab] { return lab.running() == 0; }));
}

TEST_CASE("a cancelled session answers what waits, and every later call") {
  SessionsLab lab;
  auto session = lab.Exec({"sleep", "600000"});
  REQUIRE(session.ok());
  std::promise<Status> waiting;
  auto waited = waiting.get_future();
  (*session)->Read(
      [&waiting](Result<node::SessionOutput> result) { waiting.set_value(result.status()); });

  (*session)->Cancel();
  (*session)->Cancel();

  REQUIRE(waited.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  CHECK(waited.get().code() == Code::kCancelled);
  Talk talk(*std::move(session));
  CHECK(talk.Read().status().code() == Code::kCancelled);
  CHECK(talk.Send("x").code() == Code::kCancelled);
  CHECK(Eventually([&lab] { return lab.running() == 0; }));
}

TEST_CASE("a caller that leaves while its session is opened is answered, and nothing goes on") {
  SessionsLab lab;
  lab.HoldBackend();
  const Call call = SiteLab::call();
  auto opening = lab.BeginExec(call, MintSessionId(), {"cat"});
  REQUIRE(Eventually([&lab] { return lab.openings() == 1; }));

  call.Cancel();

  REQUIRE(opening.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  CHECK(opening.get().status().code() == Code::kCancelled);
  lab.ReleaseBackend();
  CHECK(Eventually([&lab] { return lab.running() == 0; }));
}

TEST_CASE("a connection that is lost while a session is opened leaves it open what happened") {
  SessionsLab lab;
  lab.HoldBackend();
  auto opening = lab.BeginExec(SiteLab::call(), MintSessionId(), {"cat"});
  REQUIRE(Eventually([&lab] { return lab.openings() == 1; }));

  lab.CutConnections();

  REQUIRE(opening.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  const Status status = opening.get().status();
  CHECK(status.code() == Code::kUnavailable);
  CHECK(Has(status, "the command may still run"));
  lab.ReleaseBackend();
  CHECK(Eventually([&lab] { return lab.running() == 0; }));
}

TEST_CASE("an opening that takes too long ends by its deadline") {
  SessionsLab lab;
  lab.HoldBackend();
  auto opening =
      lab.BeginExec(Call::WithTimeout(std::chrono::milliseconds(500)), MintSessionId(), {"cat"});
  REQUIRE(opening.wait_for(std::chrono::seconds(20)) == std::future_status::ready);
  CHECK(opening.get().status().code() == Code::kUnavailable);
  lab.ReleaseBackend();
  CHECK(Eventually([&lab] { return lab.running() == 0; }));
}

TEST_CASE("the site's shutdown tells every session and closes it") {
  SessionsLab lab;
  Talk command = lab.Open({"sleep", "600000"});
  auto dialled = lab.Dial(80);
  REQUIRE(dialled.ok());
  Talk port(*std::move(dialled));

  lab.StopEdge();

  const SessionStory story = command.ReadAll();
  CHECK_FALSE(story.exit_code);
  CHECK(story.end.code() == Code::kUnavailable);
  CHECK(Has(story.end, "shutting down"));
  const SessionStory forward = port.ReadAll();
  CHECK_FALSE(forward.out_ended);
  CHECK(forward.end.code() == Code::kUnavailable);
  CHECK(Eventually([&lab] { return lab.running() == 0; }));
}

TEST_CASE("input after its end is refused here and ends nothing") {
  SessionsLab lab;
  Talk talk = lab.Open({"sleep", "600000"});
  REQUIRE(talk.Send("123").ok());
  REQUIRE(talk.EndInput().ok());
  CHECK(talk.Send("4").code() == Code::kFailedPrecondition);
  CHECK(talk.EndInput().ok());
  CHECK(lab.running() == 1);
}

}  // namespace
}  // namespace interlink::test
