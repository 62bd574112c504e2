#include "streaming/spdy_forward.h"

#include <atomic>
#include <thread>

#include "spdy_client.h"
#include "support/eventually.h"

namespace interlink::streaming {
namespace {

using test::Eventually;
using test::Get;
using test::SpdyPair;
using AcceptedStream = Result<std::optional<std::shared_ptr<ForwardStream>>>;

struct ForwardPair : SpdyPair {
  explicit ForwardPair(SpdyOptions options = {})
      : forward(StartSpdyForward(connection, "", std::move(options))) {}
  ~ForwardPair() { forward.reset(); }

  uint32_t Open(const std::string& type, int request, const std::string& port = "80") {
    return client.Open(
        {{"streamtype", type}, {"port", port}, {"requestid", std::to_string(request)}});
  }
  std::shared_ptr<ForwardStream> Accept() {
    auto accepted = Start(forward->Accept());
    const AcceptedStream stream = Get(accepted);
    REQUIRE(stream.ok());
    REQUIRE(stream->has_value());
    return **stream;
  }
  // As client-go does it.
  std::shared_ptr<ForwardStream> Connect(int request) {
    error = Open("error", request);
    client.Data(error, "", true);
    data = Open("data", request);
    auto stream = Accept();
    CHECK(client.UntilReplied(data));
    return stream;
  }
  template <typename T>
  T Run(net::Awaitable<T> coroutine) {
    auto future = Start(std::move(coroutine));
    return Get(future);
  }
  static net::Awaitable<bool> Finish(std::shared_ptr<ForwardStream> stream, Status why) {
    co_await stream->Finish(why);
    co_return true;
  }

  std::shared_ptr<ForwardTransport> forward;
  uint32_t error = 0, data = 0;
};

TEST_CASE("an error and a data stream of one request are a connection, in any order") {
  const bool data_first = GENERATE(false, true);
  ForwardPair pair;

  pair.Open(data_first ? "data" : "error", 7, "8080");
  pair.Open(data_first ? "error" : "data", 7, "8080");

  CHECK(pair.Accept()->port() == 8080);
}

TEST_CASE("interleaved requests are told apart") {
  ForwardPair pair;
  pair.Open("error", 1, "1001");
  pair.Open("error", 2, "1002");
  const uint32_t second = pair.Open("data", 2, "1002");
  const uint32_t first = pair.Open("data", 1, "1001");
  pair.client.Data(second, "two");
  pair.client.Data(first, "one");

  const auto two = pair.Accept();
  const auto one = pair.Accept();

  CHECK(two->port() == 1002);
  CHECK(*pair.Run(two->Read()) == "two");
  CHECK(*pair.Run(one->Read()) == "one");
}

TEST_CASE("old clients send no request id: the data stream follows its error stream") {
  ForwardPair pair;
  const SpdyHeaders error = {{"streamtype", "error"}, {"port", "80"}};
  const SpdyHeaders data = {{"streamtype", "data"}, {"port", "80"}};
  pair.client.Open(error);
  const uint32_t first = pair.client.Open(data);
  pair.client.Open(error);
  pair.client.Open(data);
  pair.client.Data(first, "x");

  const auto one = pair.Accept();
  pair.Accept();

  CHECK(*pair.Run(one->Read()) == "x");
}

TEST_CASE("streams that cannot be a part of a connection are reset, the others go on") {
  ForwardPair pair;
  std::vector<uint32_t> refused;
  for (const char* port : {"", "0", "65536", "-1", "80x", "http", " 80"})
    refused.push_back(pair.Open("error", 1, port));
  refused.push_back(pair.Open("stdin", 1));
  refused.push_back(pair.client.Open({{"port", "80"}}));
  pair.Open("error", 2);
  refused.push_back(pair.Open("error", 2));       // twice
  refused.push_back(pair.Open("data", 2, "81"));  // of another port

  for (const uint32_t id : refused) CHECK(pair.client.UntilReset(id));
  pair.Open("data", 2);
  CHECK(pair.Accept()->port() == 80);
}

TEST_CASE(
    "half a connection is refused when its time is over, by its error stream if there is one") {
  SpdyOptions options;
  options.complete = std::chrono::seconds(5);
  ForwardPair pair(options);
  auto accepted = pair.Start(pair.forward->Accept());

  const uint32_t error = pair.Open("error", 1, "8080");
  const uint32_t data = pair.Open("data", 2);

  CHECK(pair.client.UntilFin(error));
  CHECK(pair.client.data[error] ==
        "port 8080: the client did not open the data stream of this connection in time");
  CHECK(pair.client.UntilReset(data));
  pair.Open("error", 3);
  pair.Open("data", 3);
  CHECK(Get(accepted).ok());
}

TEST_CASE("each direction of a connection ends by itself") {
  ForwardPair pair;
  const auto stream = pair.Connect(0);

  pair.client.Data(pair.data, "request", true);
  CHECK(*pair.Run(stream->Read()) == "request");
  CHECK(pair.Run(stream->Read())->empty());
  CHECK(pair.Run(stream->Write("response")).ok());
  CHECK(pair.Run(stream->CloseWrite()).ok());
  CHECK(pair.client.UntilFin(pair.data));
  CHECK(pair.client.data[pair.data] == "response");
  CHECK_FALSE(pair.client.fins.contains(pair.error));
  pair.Run(ForwardPair::Finish(stream, Status::Ok()));

  CHECK(pair.client.UntilFin(pair.error));
  CHECK(pair.client.data[pair.error].empty());
  CHECK(pair.client.resets.empty());
}

TEST_CASE("the pod may end first while the client goes on sending") {
  ForwardPair pair;
  auto stream = pair.Connect(0);
  CHECK(pair.Run(stream->Write("bye")).ok());
  CHECK(pair.Run(stream->CloseWrite()).ok());
  CHECK(pair.client.UntilFin(pair.data));
  pair.client.Data(pair.data, "more");
  CHECK(*pair.Run(stream->Read()) == "more");

  pair.Run(ForwardPair::Finish(stream, Status::Ok()));
  stream.reset();

  CHECK(pair.client.UntilReset(pair.data));
  CHECK(pair.client.UntilFin(pair.error));
}

TEST_CASE("what was written before Finish is sent, whatever becomes of the object") {
  ForwardPair pair;
  auto stream = pair.Connect(0);
  const std::string bytes(100'000, 'x');
  CHECK(pair.Run(stream->Write(bytes)).ok());

  auto read = pair.Start(stream->Read());
  pair.Run(ForwardPair::Finish(stream, Status::Ok()));
  stream->Cancel();

  CHECK(Get(read).status().code() == Code::kCancelled);
  stream.reset();
  CHECK(pair.client.UntilFin(pair.data));
  CHECK(pair.client.data[pair.data] == bytes);
}

TEST_CASE("a failure is a text on the error stream; other connections go on") {
  ForwardPair pair;
  const auto other = pair.Connect(0);
  const uint32_t other_data = pair.data;
  const auto failed = pair.Connect(1);

  pair.Run(ForwardPair::Finish(failed, Unavailable("connect to 127.0.0.1:80: refused")));

  CHECK(pair.client.UntilFin(pair.error));
  CHECK(pair.client.data[pair.error] == "connect to 127.0.0.1:80: refused");
  CHECK(pair.client.UntilReset(pair.data));
  pair.client.Data(other_data, "x");
  CHECK(*pair.Run(other->Read()) == "x");
}

TEST_CASE("a connection that is given up ends for the client, no other") {
  ForwardPair pair;
  const auto other = pair.Connect(0);
  const uint32_t other_data = pair.data;
  auto stream = pair.Connect(1);
  auto read = pair.Start(stream->Read());
  const bool cancel = GENERATE(false, true);

  if (cancel) {
    stream->Cancel();
  } else {
    pair.client.Send(SpdyResetFrame(pair.data, SpdyReset::kCancel));
  }

  CHECK(Get(read).status().code() == Code::kCancelled);
  if (cancel) CHECK(pair.client.UntilReset(pair.data));
  pair.client.Data(other_data, "x");
  CHECK(*pair.Run(other->Read()) == "x");
}

TEST_CASE("over the limit of connections the next is refused until one has ended") {
  SpdyOptions options;
  options.max_forwards = 2;
  ForwardPair pair(options);
  pair.client.Data(pair.Open("error", 0), "", true);
  const auto one = pair.Connect(1);
  const uint32_t one_data = pair.data;

  const uint32_t refused = pair.Open("error", 2);
  CHECK(pair.client.UntilReset(refused));
  CHECK(pair.client.resets[refused] == static_cast<uint32_t>(SpdyReset::kRefused));

  pair.client.Data(one_data, "", true);
  pair.Run(ForwardPair::Finish(one, Status::Ok()));
  CHECK(pair.client.UntilFin(one_data));
  CHECK(pair.Connect(3)->port() == 80);
}

TEST_CASE("a client that closes ends all its connections and Accept") {
  const bool properly = GENERATE(false, true);
  ForwardPair pair;
  const auto stream = pair.Connect(0);
  auto read = pair.Start(stream->Read());
  auto accepted = pair.Start(pair.forward->Accept());

  if (properly) pair.client.Send(SpdyGoAway(0, 0));
  pair.client.Close();

  CHECK(Get(read).status().code() == Code::kUnavailable);
  const AcceptedStream last = Get(accepted);
  CHECK(last.ok() == properly);
  if (properly) CHECK_FALSE(last->has_value());
  if (!properly) CHECK(last.status().code() == Code::kUnavailable);
}

TEST_CASE("a client that opens no more connections may use those that it has") {
  ForwardPair pair;
  const auto stream = pair.Connect(0);
  auto accepted = pair.Start(pair.forward->Accept());

  pair.client.Send(SpdyGoAway(0, 0));
  pair.client.Data(pair.data, "last", true);

  CHECK(*pair.Run(stream->Read()) == "last");
  CHECK(accepted.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  CHECK(pair.Run(stream->Write("answer")).ok());
  pair.Run(ForwardPair::Finish(stream, Status::Ok()));
  CHECK(pair.client.UntilFin(pair.data));
  CHECK(pair.client.data[pair.data] == "answer");
  const AcceptedStream last = Get(accepted);
  CHECK((last.ok() && !last->has_value()));
}

TEST_CASE("Cancel ends Accept and all connections") {
  ForwardPair pair;
  const auto stream = pair.Connect(0);
  auto read = pair.Start(stream->Read());
  auto accepted = pair.Start(pair.forward->Accept());

  pair.forward->Cancel();

  CHECK(Get(read).status().code() == Code::kCancelled);
  CHECK(Get(accepted).status().code() == Code::kCancelled);
}

net::Awaitable<void> Echo(std::shared_ptr<ForwardStream> stream, std::atomic<int>* done) {
  Status status;
  while (status.ok()) {
    const auto bytes = co_await stream->Read();
    status = bytes.status();
    if (!bytes.ok() || bytes->empty()) break;
    status = co_await stream->Write(*bytes);
  }
  if (status.ok()) status = co_await stream->CloseWrite();
  co_await stream->Finish(status);
  if (status.ok()) ++*done;
}

net::Awaitable<Status> EchoAll(std::shared_ptr<ForwardTransport> forward, std::atomic<int>* done,
                               boost::asio::any_io_executor strand) {
  while (true) {
    auto stream = co_await forward->Accept();
    if (!stream.ok()) co_return stream.status();
    if (!stream->has_value()) co_return Status::Ok();
    net::Io::Spawn(strand, Echo(**stream, done));
  }
}

TEST_CASE("50 connections at once carry what they are given, in turns") {
  constexpr int kCount = 50;
  constexpr size_t kBytes = 200'000;
  ForwardPair pair;
  std::atomic<int> done = 0;
  auto all = pair.Start(EchoAll(pair.forward, &done, pair.connection->executor()));
  std::vector<uint32_t> errors;
  std::vector<uint32_t> streams;
  for (int i = 0; i < kCount; ++i) {
    errors.push_back(pair.Open("error", i, std::to_string(1000 + i)));
    pair.client.Data(errors.back(), "", true);
    streams.push_back(pair.Open("data", i, std::to_string(1000 + i)));
  }
  for (const uint32_t id : streams) CHECK(pair.client.UntilReplied(id));

  std::thread sender([&] {
    for (size_t at = 0; at < kBytes; at += 8192) {
      const size_t size = std::min<size_t>(8192, kBytes - at);
      for (int i = 0; i < kCount; ++i) {
        const std::string part(size, static_cast<char>('A' + i));
        pair.client.Data(streams[static_cast<size_t>(i)], part, at + size == kBytes);
      }
    }
  });
  CHECK(pair.client.Until([&] {
    return std::all_of(errors.begin(), errors.end(),
                       [&](uint32_t id) { return pair.client.fins.contains(id); }) &&
           std::all_of(streams.begin(), streams.end(),
                       [&](uint32_t id) { return pair.client.fins.contains(id); });
  }));
  sender.join();

  CHECK(done == kCount);
  for (int i = 0; i < kCount; ++i) {
    CHECK(pair.client.data[streams[static_cast<size_t>(i)]] ==
          std::string(kBytes, static_cast<char>('A' + i)));
    CHECK(pair.client.data[errors[static_cast<size_t>(i)]].empty());
  }
  CHECK(pair.client.resets.empty());
  pair.client.Send(SpdyGoAway(0, 0));
  CHECK(Get(all).ok());
}

TEST_CASE("a pod that takes nothing costs its own connection, not the others") {
  SpdyOptions options;
  options.held_up = std::chrono::milliseconds(50);
  options.stream_input = 100'000;
  ForwardPair pair(options);
  const auto stuck = pair.Connect(0);
  const uint32_t stuck_data = pair.data;
  const uint32_t stuck_error = pair.error;
  const auto other = pair.Connect(1);

  std::thread sender([&] {
    pair.client.Data(stuck_data, std::string(3'000'000, 'x'));
    pair.client.Data(pair.data, "passes");
  });
  CHECK(*pair.Run(other->Read()) == "passes");
  sender.join();

  CHECK(pair.client.UntilReset(stuck_data));
  CHECK(pair.client.UntilFin(stuck_error));
  CHECK(pair.client.data[stuck_error].empty());
  CHECK(pair.Run(stuck->Read()).status().code() == Code::kResourceExhausted);
}

}  // namespace
}  // namespace interlink::streaming
