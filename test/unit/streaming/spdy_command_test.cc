#include "streaming/spdy_command.h"

#include <nlohmann/json.hpp>

#include "spdy_client.h"
#include "support/eventually.h"

namespace interlink::streaming {
namespace {

using test::Eventually;
using test::Get;
using test::SpdyPair;
using Input = node::SessionInput;
using Channel = node::SessionOutput::Channel;
using Command = std::shared_ptr<CommandTransport>;

struct CommandPair : SpdyPair {
  explicit CommandPair(CommandStreams streams = {.in = true, .out = true, .err = true},
                       SpdyOptions options = {})
      : wanted(streams), accepted(Accept(std::move(options))) {}
  ~CommandPair() { command.reset(); }

  std::future<Result<Command>> Accept(SpdyOptions options) {
    return Start(AcceptSpdyCommand(connection, "", wanted, std::move(options)));
  }
  // Opens the streams in client-go's order and waits for the transport.
  void Open() {
    error = client.OpenType("error");
    if (wanted.in) in = client.OpenType("stdin");
    if (wanted.out) out = client.OpenType("stdout");
    if (wanted.err && !wanted.tty) err = client.OpenType("stderr");
    if (wanted.tty && wanted.version >= 3) resize = client.OpenType("resize");
    auto result = Get(accepted);
    REQUIRE(result.ok());
    command = *result;
    for (const uint32_t id : {error, in, out, err, resize})
      CHECK((id == 0 || client.UntilReplied(id)));
  }
  Result<Input> Read() {
    auto read = Start(command->Read());
    return Get(read);
  }
  Status Write(Channel channel, std::string_view bytes) {
    auto written = Start(command->Write(channel, bytes));
    return Get(written);
  }
  // Finishes, with a client that reads all and closes at the end of the error stream.
  Status Finish(CommandEnd end) {
    auto finished = Start(command->Finish(end));
    CHECK(client.UntilFin(error));
    client.Until([&] { return client.goaway >= 0; });
    client.Close();
    return Get(finished);
  }

  const CommandStreams wanted;
  std::future<Result<Command>> accepted;
  Command command;
  uint32_t error = 0, in = 0, out = 0, err = 0, resize = 0;
};

size_t At(const std::vector<std::string>& order, const std::string& what) {
  return static_cast<size_t>(std::find(order.begin(), order.end(), what) - order.begin());
}

TEST_CASE("a command's output, its ends and its status reach the client in this order") {
  CommandPair pair;
  pair.Open();
  CHECK(pair.Write(Channel::kStdout, "out").ok());
  CHECK(pair.Write(Channel::kStderr, "err").ok());
  const std::string last(300'000, 'x');
  CHECK(pair.Write(Channel::kStdout, last).ok());

  const Status finished = pair.Finish({});

  CHECK(finished.ok());
  CHECK(pair.client.data[pair.out] == "out" + last);
  CHECK(pair.client.data[pair.err] == "err");
  CHECK(pair.client.data[pair.error] == R"({"metadata":{},"status":"Success"})");
  const auto& order = pair.client.order;
  const std::string error = std::to_string(pair.error);
  CHECK(At(order, "fin " + std::to_string(pair.out)) < At(order, "data " + error));
  CHECK(At(order, "fin " + std::to_string(pair.err)) < At(order, "data " + error));
  CHECK(At(order, "data " + error) < At(order, "fin " + error));
  CHECK(At(order, "fin " + error) < At(order, "goaway"));
  CHECK(order.back() == "goaway");
  CHECK(pair.client.goaway == 0);
}

TEST_CASE("how a command ended is told in the words of its version") {
  struct Row {
    int version;
    CommandEnd end;
    std::string text;
  };
  const auto row = GENERATE(
      Row{1, {}, ""}, Row{2, {}, ""}, Row{3, {}, ""},
      Row{3, {.exit_code = 3}, "command terminated with non-zero exit code: exit status 3"},
      Row{1, {.exit_code = 3}, "command terminated with non-zero exit code: exit status 3"},
      Row{2, {.error = Unavailable("lost")}, "Internal error occurred: lost"});
  CommandPair pair({.version = row.version, .out = true, .err = true});
  pair.Open();

  const Status finished = pair.Finish(row.end);

  CHECK(finished.ok());
  CHECK(pair.client.data[pair.error] == row.text);
  // A v1 client stops at the end of stdout and stderr.
  const auto& order = pair.client.order;
  const bool first =
      At(order, "fin " + std::to_string(pair.error)) < At(order, "fin " + std::to_string(pair.err));
  CHECK(first == (row.version == 1));
}

TEST_CASE("v4 tells an exit code and an error as metav1.Status") {
  CommandPair exit;
  exit.Open();
  CHECK(exit.Finish({.exit_code = 137}).ok());
  const auto status = nlohmann::json::parse(exit.client.data[exit.error]);
  CHECK(status["status"] == "Failure");
  CHECK(status["reason"] == "NonZeroExitCode");
  CHECK(status["details"]["causes"][0] ==
        nlohmann::json({{"reason", "ExitCode"}, {"message", "137"}}));

  CommandPair error;
  error.Open();
  CHECK(error.Finish({.error = Unavailable("connection lost, the command may still run")}).ok());
  const auto failure = nlohmann::json::parse(error.client.data[error.error]);
  CHECK(failure["reason"] == "InternalError");
  CHECK(failure["code"] == 500);
  CHECK(failure["message"] ==
        "Internal error occurred: connection lost, the command may still run");
}

TEST_CASE("each request waits for exactly its streams") {
  const auto wanted =
      GENERATE(CommandStreams{.version = 4, .out = true}, CommandStreams{.version = 4, .in = true},
               CommandStreams{.version = 4, .tty = true, .in = true, .out = true, .err = true},
               CommandStreams{.version = 3, .tty = true, .out = true},
               CommandStreams{.version = 2, .tty = true, .in = true, .out = true},
               CommandStreams{.version = 1, .in = true, .out = true, .err = true});
  SpdyPair pair;
  auto accepted = pair.Start(AcceptSpdyCommand(pair.connection, "", wanted, {}));
  std::vector<std::string> types;
  if (wanted.in) types.emplace_back("stdin");
  if (wanted.out) types.emplace_back("stdout");
  if (wanted.err && !wanted.tty) types.emplace_back("stderr");
  if (wanted.tty && wanted.version >= 3) types.emplace_back("resize");

  // In any order; the error stream last.
  for (auto it = types.rbegin(); it != types.rend(); ++it) {
    CHECK(pair.client.UntilReplied(pair.client.OpenType(*it)));
    CHECK(accepted.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  }
  pair.client.OpenType("error");

  CHECK(Get(accepted).ok());
}

TEST_CASE("streams that nobody asked for are reset, the command goes on") {
  CommandPair pair({.in = true, .out = true});
  const uint32_t unknown = pair.client.OpenType("stdlog");
  const uint32_t untyped = pair.client.Open({});
  const uint32_t not_asked = pair.client.OpenType("stderr");
  const uint32_t no_tty = pair.client.OpenType("resize");

  pair.error = pair.client.OpenType("error");
  pair.in = pair.client.OpenType("stdin");
  const uint32_t twice = pair.client.OpenType("stdin");
  pair.out = pair.client.OpenType("stdout");

  for (const uint32_t refused : {unknown, untyped, not_asked, no_tty, twice})
    CHECK(pair.client.UntilReset(refused));
  auto result = Get(pair.accepted);
  REQUIRE(result.ok());
  pair.command = *result;
  CHECK(pair.client.UntilReplied(pair.out));
  CHECK(pair.client.replied == std::set<uint32_t>{pair.error, pair.in, pair.out});
  pair.client.Data(pair.in, "x");
  CHECK(pair.Read()->bytes == "x");
}

TEST_CASE("a client that does not open all its streams is told which are missing") {
  SpdyOptions options;
  options.complete = std::chrono::seconds(8);
  CommandPair pair({.in = true, .out = true, .err = true}, options);
  pair.error = pair.client.OpenType("error");
  pair.client.OpenType("stdout");

  CHECK(pair.client.UntilFin(pair.error));
  pair.client.Close();

  const auto result = Get(pair.accepted);
  CHECK(result.status().code() == Code::kDeadlineExceeded);
  CHECK(result.status().message().ends_with("missing: stdin, stderr"));
  const auto status = nlohmann::json::parse(pair.client.data[pair.error]);
  CHECK(status["reason"] == "InternalError");
  CHECK(status["message"].get<std::string>().ends_with("missing: stdin, stderr"));
}

TEST_CASE("a client that never says a word hears none") {
  SpdyOptions options;
  options.complete = std::chrono::milliseconds(20);
  CommandPair pair({.out = true}, options);

  pair.client.Until([&] { return pair.client.closed; });
  pair.client.Close();

  CHECK(Get(pair.accepted).status().code() == Code::kDeadlineExceeded);
  CHECK(pair.client.order.empty());
}

TEST_CASE("stdin comes in order and ends once, then Read waits for the client's end") {
  CommandPair pair;
  pair.Open();
  pair.client.Data(pair.in, "hello ");
  CHECK(pair.Read()->bytes == "hello ");
  pair.client.Data(pair.in, std::string(200'000, 'y'));
  pair.client.Data(pair.in, "", true);

  std::string rest;
  Result<Input> input = pair.Read();
  while (input.ok() && input->kind == Input::Kind::kData) {
    CHECK(input->bytes.size() <= node::kMaxSessionMessage);
    rest += input->bytes;
    input = pair.Read();
  }

  CHECK(rest == std::string(200'000, 'y'));
  REQUIRE(input.ok());
  CHECK(input->kind == Input::Kind::kEnd);
  auto last = pair.Start(pair.command->Read());
  pair.Barrier();
  CHECK(last.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  pair.client.Close();
  CHECK(Get(last).status().code() == Code::kUnavailable);
}

TEST_CASE("a client without stdin has ended it") {
  CommandPair pair({.out = true, .err = true});
  pair.Open();

  CHECK(pair.Read()->kind == Input::Kind::kEnd);
}

TEST_CASE("terminal sizes come as they are, the newest of several") {
  CommandPair pair({.tty = true, .in = true, .out = true, .err = true});
  pair.Open();

  pair.client.Data(pair.resize, "{\"Width\":80,\"Height\":24}\n");
  const auto first = pair.Read();
  pair.client.Data(pair.resize, "{\"Width\":1,\"Height\":1}\n{\"Width\":100,");
  CHECK(pair.Read()->columns == 1);
  pair.client.Data(pair.resize, "\"Height\":50}\n");
  const auto last = pair.Read();

  REQUIRE(first.ok());
  CHECK(first->kind == Input::Kind::kResize);
  CHECK((first->columns == 80 && first->rows == 24));
  CHECK((last->columns == 100 && last->rows == 50));
  pair.client.Data(pair.resize, "what?}");
  CHECK(pair.Read().status().code() == Code::kInvalidArgument);
}

TEST_CASE("output on a channel that the client did not ask for is dropped") {
  CommandPair pair({.out = true});
  pair.error = pair.client.OpenType("error");
  pair.out = pair.client.OpenType("stdout");
  auto result = Get(pair.accepted);
  REQUIRE(result.ok());
  pair.command = *result;

  CHECK(pair.Write(Channel::kStderr, std::string(1'000'000, 'x')).ok());
  CHECK(pair.Finish({}).ok());

  CHECK(pair.client.received < 100);
}

TEST_CASE("a client that goes away ends what is in progress, at each stage") {
  const bool abrupt = GENERATE(false, true);
  const auto leave = [abrupt](CommandPair& pair) {
    if (!abrupt) {
      for (const uint32_t id : {pair.in, pair.out, pair.err})
        if (id != 0) pair.client.Send(SpdyResetFrame(id, SpdyReset::kCancel));
      pair.client.Send(SpdyGoAway(0, 0));
    }
    pair.client.Close();
  };
  SECTION("before its first stream") {
    CommandPair pair;
    leave(pair);
    CHECK(Get(pair.accepted).status().code() == Code::kUnavailable);
  }
  SECTION("before its last stream") {
    CommandPair pair;
    pair.client.OpenType("error");
    leave(pair);
    CHECK(Get(pair.accepted).status().code() == Code::kUnavailable);
  }
  SECTION("while it is read") {
    CommandPair pair;
    pair.Open();
    auto read = pair.Start(pair.command->Read());
    leave(pair);
    auto input = Get(read);
    // A reset of stdin ends stdin; the next read tells the rest.
    if (input.ok()) input = pair.Read();
    CHECK(input.status().code() == Code::kUnavailable);
  }
  SECTION("while it is written to") {
    CommandPair pair;
    pair.Open();
    const std::string much(8'000'000, 'x');
    auto written = pair.Start(pair.command->Write(Channel::kStdout, much));
    leave(pair);
    CHECK_FALSE(Get(written).ok());
  }
  SECTION("before it is told the end") {
    CommandPair pair;
    pair.Open();
    const std::string much(100'000, 'x');
    CHECK(pair.Write(Channel::kStdout, much).ok());
    leave(pair);
    auto finished = pair.Start(pair.command->Finish({}));
    const Status status = Get(finished);  // may have been sent already
    CHECK((status.ok() || status.code() == Code::kUnavailable));
    CHECK(pair.Read().status().code() != Code::kOk);
  }
}

TEST_CASE("Cancel ends what is in progress") {
  CommandPair pair;
  pair.Open();
  auto read = pair.Start(pair.command->Read());
  const std::string much(8'000'000, 'x');
  auto written = pair.Start(pair.command->Write(Channel::kStdout, much));

  pair.command->Cancel();

  CHECK(Get(read).status().code() == Code::kCancelled);
  CHECK(Get(written).code() == Code::kCancelled);
}

TEST_CASE("Finish ends a Read that waits") {
  CommandPair pair;
  pair.Open();
  auto read = pair.Start(pair.command->Read());
  pair.Barrier();

  CHECK(pair.Finish({}).ok());

  CHECK(Get(read).status().code() == Code::kCancelled);
}

}  // namespace
}  // namespace interlink::streaming
