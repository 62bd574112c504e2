#include "streaming/spdy_connection.h"

#include <atomic>
#include <thread>

#include "spdy_client.h"
#include "support/eventually.h"

namespace interlink::streaming {
namespace {

using test::Eventually;
using test::Get;
using test::SpdyPair;

// Takes every stream but those of type "no".
struct Streams : SpdyStreams {
  std::optional<SpdyReset> Opened(const SpdyStreamPtr& stream) override {
    if (stream->Header("streamtype") == "no") return SpdyReset::kRefused;
    open[stream->id()] = stream;
    ++opened;
    return std::nullopt;
  }
  bool MayReset(const SpdyStream&) override { return may_reset; }
  void NoMoreStreams() override { ++no_more; }

  std::map<uint32_t, SpdyStreamPtr> open;
  std::atomic<int> opened = 0;
  std::atomic<int> no_more = 0;
  bool may_reset = false;
};

struct Fixture : SpdyPair {
  explicit Fixture(SpdyOptions options = {}, const std::string& early = "") {
    spdy = std::make_shared<SpdyConnection>(connection, early, std::move(options));
    spdy->Start(streams);
  }
  ~Fixture() {
    spdy->Cancel();
    const std::weak_ptr<SpdyConnection> weak = std::exchange(spdy, nullptr);
    CHECK(Eventually([&] { return weak.expired(); }));  // none of its loops is left
  }
  SpdyStreamPtr Open(const SpdyHeaders& headers = {{"streamtype", "x"}}) {
    const uint32_t id = client.Open(headers);
    REQUIRE(client.UntilReplied(id));
    SpdyStreamPtr stream;
    OnStrand([&] { stream = streams->open.at(id); });
    return stream;
  }
  Result<std::string> Read(const SpdyStreamPtr& stream, size_t max = 1U << 20U) {
    auto read = Start(stream->Read(max));
    return Get(read);
  }
  Status Write(const SpdyStreamPtr& stream, std::string_view bytes) {
    auto written = Start(stream->Write(bytes));
    return Get(written);
  }
  static net::Awaitable<Status> EndOf(std::shared_ptr<SpdyConnection> connection) {
    co_return connection->ended();
  }
  Status Ended() {
    Status ended;
    REQUIRE(Eventually([&] {
      ended = Start(EndOf(spdy)).get();
      return !ended.ok();
    }));
    return ended;
  }
  template <typename F>
  void OnStrand(F function) {
    Start(Call(std::move(function))).get();
  }
  template <typename F>
  static net::Awaitable<bool> Call(F function) {
    function();
    co_return true;
  }

  std::shared_ptr<Streams> streams = std::make_shared<Streams>();
  std::shared_ptr<SpdyConnection> spdy;
};

TEST_CASE("the first byte of a connection is the client's") {
  SpdyOptions options;
  options.idle = std::chrono::milliseconds(30);
  Fixture pair(options);

  pair.client.ReadToEnd();

  CHECK(pair.client.order.empty());
  CHECK(pair.Ended().code() == Code::kDeadlineExceeded);
}

TEST_CASE("a stream is replied to at once, also one in the bytes after the upgrade") {
  SpdyEncoder encoder;
  const std::string early = *encoder.SynStream(1, {{"streamtype", "x"}}) + SpdyPing(5);
  Fixture pair({}, early);

  CHECK(pair.client.UntilReplied(1));
  CHECK(pair.client.Until([&] { return pair.client.pings == std::vector<uint32_t>{5}; }));
}

TEST_CASE("pings of the client are echoed, answers to ours are not") {
  Fixture pair;

  pair.client.Send(SpdyPing(1) + SpdyPing(2) + SpdyPing(3));

  CHECK(pair.client.Until([&] { return pair.client.pings.size() == 2; }));
  CHECK(pair.client.pings == std::vector<uint32_t>{1, 3});
}

TEST_CASE("bytes pass both ways, each half ends by itself") {
  Fixture pair;
  const SpdyStreamPtr stream = pair.Open();

  CHECK(pair.Write(stream, "down").ok());
  pair.OnStrand([&] { stream->Finish(); });
  CHECK(pair.client.UntilFin(stream->id()));
  CHECK(pair.client.data[stream->id()] == "down");
  CHECK(pair.Write(stream, "late").code() == Code::kFailedPrecondition);
  pair.client.Data(stream->id(), "up");
  CHECK(*pair.Read(stream) == "up");
  pair.client.Data(stream->id(), "", true);
  CHECK(pair.Read(stream)->empty());
  CHECK(pair.Read(stream)->empty());
}

TEST_CASE("what was written before a half ends is sent before it") {
  Fixture pair;
  const SpdyStreamPtr stream = pair.Open();
  const std::string much(5'000'000, 'x');
  auto written = pair.Start(stream->Write(much));

  CHECK(pair.client.Until([&] { return pair.client.received == much.size(); }));
  CHECK(Get(written).ok());
  pair.OnStrand([&] { stream->WriteLast("the end"); });

  CHECK(pair.client.UntilFin(stream->id()));
  CHECK(pair.client.data[stream->id()] == much + "the end");
}

TEST_CASE("a reset ends one stream and no other") {
  Fixture pair;
  const SpdyStreamPtr one = pair.Open();
  const SpdyStreamPtr two = pair.Open();
  auto read = pair.Start(one->Read(100));

  pair.client.Send(SpdyResetFrame(one->id(), SpdyReset::kCancel));

  CHECK(Get(read).status().code() == Code::kCancelled);
  CHECK(pair.Write(one, "x").code() == Code::kCancelled);
  pair.client.Data(one->id(), "crossed on the way");
  pair.client.Data(two->id(), "y");
  CHECK(*pair.Read(two) == "y");
}

TEST_CASE("an abandoned stream sends what it has, then is reset") {
  Fixture pair;
  const SpdyStreamPtr stream = pair.Open();
  CHECK(pair.Write(stream, "all of it").ok());

  pair.OnStrand([&] { stream->Abandon(); });
  pair.client.Data(stream->id(), std::string(3'000'000, 'x'));  // held back nowhere

  CHECK(pair.client.UntilReset(stream->id()));
  CHECK(pair.client.data[stream->id()] == "all of it");
  CHECK(pair.client.fins.contains(stream->id()));
}

TEST_CASE("streams over the limit and streams that the transport refuses are reset") {
  SpdyOptions options;
  options.max_streams = 2;
  Fixture pair(options);
  const SpdyStreamPtr one = pair.Open();
  const uint32_t refused = pair.client.Open({{"streamtype", "no"}});
  CHECK(pair.client.UntilReset(refused));
  pair.Open();

  const uint32_t over = pair.client.Open({{"streamtype", "x"}});
  CHECK(pair.client.UntilReset(over));
  CHECK(pair.client.resets[over] == static_cast<uint32_t>(SpdyReset::kRefused));

  // A place that is free again is given again.
  pair.client.Send(SpdyResetFrame(one->id(), SpdyReset::kCancel));
  pair.Open();
  CHECK(pair.client.replied.size() == 3);
}

TEST_CASE("a client that breaks the protocol is told so and left") {
  struct Row {
    const char* name;
    std::string (*bytes)(SpdyEncoder& encoder);
  };
  const auto row = GENERATE(
      Row{"numbers grow", [](SpdyEncoder& encoder) { return *encoder.SynStream(1, {}); }},
      Row{"numbers grow", [](SpdyEncoder& encoder) { return *encoder.SynStream(3, {}); }},
      Row{"numbers are odd", [](SpdyEncoder& encoder) { return *encoder.SynStream(4, {}); }},
      Row{"only the client could have opened",
          [](SpdyEncoder& encoder) { return *encoder.SynReply(3); }},
      Row{"never opened",
          [](SpdyEncoder&) {
            std::string data;
            AppendSpdyData(data, 9, "x");
            return data;
          }},
      Row{"SPDY version", [](SpdyEncoder&) { return "\x80\x02" + std::string(6, '\0'); }});
  Fixture pair;
  const std::string first = *pair.client.encoder.SynStream(3, {{"streamtype", "x"}});

  pair.client.Send(first + row.bytes(pair.client.encoder));
  pair.client.ReadToEnd();

  CHECK(pair.client.goaway == 1);
  const Status ended = pair.Ended();
  CHECK(ended.code() == Code::kInvalidArgument);
  CHECK_THAT(ended.message(), Catch::Contains(row.name));
  CHECK(pair.streams->no_more == 1);
}

TEST_CASE("a client that closes ends its streams; the middle of a frame is named") {
  const bool cut = GENERATE(false, true);
  Fixture pair;
  const SpdyStreamPtr stream = pair.Open();
  auto read = pair.Start(stream->Read(100));

  if (cut) pair.client.Send(SpdyPing(1).substr(0, 5));
  pair.client.Close();

  CHECK(Get(read).status().code() == Code::kUnavailable);
  CHECK(pair.Ended() ==
        Unavailable(cut ? "the client has closed the connection in the middle of a frame"
                        : "the client has closed the connection"));
}

TEST_CASE("after GOAWAY no stream is opened, those that are open go on") {
  Fixture pair;
  const SpdyStreamPtr stream = pair.Open();

  pair.client.Send(SpdyGoAway(0, 0));
  const uint32_t late = pair.client.Open({{"streamtype", "x"}});

  CHECK(pair.client.UntilReset(late));
  pair.OnStrand([&] { CHECK(pair.spdy->gone_away()); });
  CHECK(pair.streams->no_more == 1);
  pair.client.Data(stream->id(), "x");
  CHECK(*pair.Read(stream) == "x");
}

net::Awaitable<Status> WriteMuch(SpdyStreamPtr stream, size_t bytes, std::atomic<size_t>* done) {
  const std::string chunk(size_t{64} << 10U, 'x');
  while (*done < bytes) {
    CO_RETURN_IF_ERROR(co_await stream->Write(chunk));
    *done += chunk.size();
  }
  co_return Status::Ok();
}

TEST_CASE("a client that reads slowly bounds what is written to it") {
  constexpr size_t kAll = size_t{32} << 20U;
  SpdyOptions options;
  Fixture pair(options);
  pair.client.keep_data = false;
  const SpdyStreamPtr stream = pair.Open();
  std::atomic<size_t> done = 0;
  // Our buffer, one write in progress, and what the kernel takes for a socket.
  const size_t bound = options.stream_output + (size_t{128} << 10U) + (size_t{2} << 20U);

  auto written = pair.Start(WriteMuch(stream, kAll, &done));
  for (int i = 0; i < 100; ++i) pair.Barrier();
  CHECK(done > 0);
  size_t most = done;
  while (pair.client.received < kAll && pair.client.ReadSome())
    most = std::max(most, done - pair.client.received);

  CHECK(Get(written).ok());
  CHECK(pair.client.received == kAll);
  CHECK(most <= bound);
}

TEST_CASE("a stream that nobody reads bounds what its client can send") {
  constexpr size_t kAll = size_t{32} << 20U;
  SpdyOptions options;
  Fixture pair(options);
  const SpdyStreamPtr stream = pair.Open();
  std::string frames;
  for (size_t i = 0; i < kAll; i += 32768)
    AppendSpdyData(frames, stream->id(), std::string(32768, 'u'));

  size_t sent = 0;
  const auto send_more = [&] {
    sent += pair.client.TrySend(std::string_view(frames).substr(sent, 65536));
    pair.Barrier();
  };
  REQUIRE(Eventually([&] {
    send_more();
    return sent >= options.stream_input;
  }));
  for (int rounds = 0; rounds < 200; ++rounds) send_more();
  CHECK(sent <= options.stream_input + (size_t{128} << 10U) + (size_t{2} << 20U));

  std::thread rest([&] { pair.client.Send(std::string_view(frames).substr(sent)); });
  size_t received = 0;
  while (received < kAll) {
    const auto bytes = pair.Read(stream);
    REQUIRE(bytes.ok());
    received += bytes->size();
  }
  rest.join();
  CHECK(received == kAll);
}

TEST_CASE("a stream that nobody reads does not hold up the others before its buffer is full") {
  Fixture pair;
  const SpdyStreamPtr slow = pair.Open();
  const SpdyStreamPtr other = pair.Open();

  pair.client.Data(slow->id(), std::string(pair.spdy->options().stream_input - 65536, 'x'));
  pair.client.Data(other->id(), "passes");

  CHECK(*pair.Read(other) == "passes");
}

TEST_CASE("all streams together are bounded too") {
  SpdyOptions options;
  options.connection_input = size_t{256} << 10U;
  Fixture pair(options);
  std::vector<SpdyStreamPtr> many;
  for (int i = 0; i < 8; ++i) many.push_back(pair.Open());
  std::string frames;
  for (const auto& stream : many) AppendSpdyData(frames, stream->id(), std::string(100'000, 'x'));
  size_t sent = 0;
  const auto send_more = [&] {
    sent += pair.client.TrySend(std::string_view(frames).substr(sent, 65536));
    pair.Barrier();
  };
  REQUIRE(Eventually([&] {
    send_more();
    return sent >= options.connection_input;
  }));
  for (int rounds = 0; rounds < 200; ++rounds) send_more();

  // All that is held at one time, again and again.
  size_t most = 0;
  size_t taken = 0;
  REQUIRE(Eventually([&] {
    size_t held = 0;
    pair.OnStrand([&] {
      for (const auto& stream : many) {
        while (auto bytes = stream->TakeNow(1U << 20U)) held += (*bytes)->size();
      }
    });
    most = std::max(most, held);
    taken += held;
    send_more();
    return taken == 800'000;
  }));

  CHECK(most <= options.connection_input);
}

TEST_CASE("a stream that holds up others is reset if the transport agrees") {
  SpdyOptions options;
  options.held_up = std::chrono::milliseconds(50);
  options.stream_input = 100'000;
  Fixture pair(options);
  pair.streams->may_reset = true;
  const SpdyStreamPtr slow = pair.Open();
  const SpdyStreamPtr other = pair.Open();

  std::thread sender([&] {
    pair.client.Data(slow->id(), std::string(3'000'000, 'x'));
    pair.client.Data(other->id(), "at last");
  });

  CHECK(*pair.Read(other) == "at last");
  sender.join();
  CHECK(pair.client.UntilReset(slow->id()));
  CHECK(pair.Read(slow).status().code() == Code::kResourceExhausted);
}

TEST_CASE("a client that leaves while nothing is read is noticed") {
  SpdyOptions options;
  options.held_up = std::chrono::milliseconds(20);
  options.tick = std::chrono::milliseconds(10);
  options.stream_input = 100'000;
  Fixture pair(options);
  const SpdyStreamPtr slow = pair.Open();
  std::string frames;
  AppendSpdyData(frames, slow->id(), std::string(3'000'000, 'x'));
  size_t sent = 0;
  for (int rounds = 0; rounds < 100; ++rounds) {
    sent += pair.client.TrySend(std::string_view(frames).substr(sent, 65536));
    pair.Barrier();
  }
  CHECK(pair.Start(Fixture::EndOf(pair.spdy)).get().ok());

  pair.client.Close();

  CHECK(pair.Ended().code() == Code::kUnavailable);
}

TEST_CASE("a client that asks without reading is not read for ever") {
  Fixture pair;
  std::string pings;
  for (uint32_t i = 0; i < 100'000; ++i) pings += SpdyPing(2 * i + 1);
  size_t sent = 0;
  for (int rounds = 0; rounds < 300 && sent < pings.size(); ++rounds) {
    const size_t n = pair.client.TrySend(std::string_view(pings).substr(sent, 65536));
    sent += n;
    if (n > 0) rounds = 0;
    pair.Barrier();
  }
  // Held at most: our limit of answers and the kernel's buffers, each way.
  CHECK(sent < pings.size());

  std::thread rest([&] { pair.client.Send(std::string_view(pings).substr(sent)); });
  CHECK(pair.client.Until([&] { return pair.client.pings.size() == 100'000; }));
  rest.join();
}

TEST_CASE("a write without progress ends the connection") {
  SpdyOptions options;
  options.stalled = std::chrono::milliseconds(50);
  Fixture pair(options);
  const SpdyStreamPtr stream = pair.Open();

  CHECK(pair.Write(stream, std::string(20'000'000, 'x')).code() == Code::kDeadlineExceeded);
  CHECK(pair.Ended().code() == Code::kDeadlineExceeded);
}

TEST_CASE("an idle connection is told and ended; pings keep it") {
  SpdyOptions options;
  options.idle = std::chrono::milliseconds(2000);
  Fixture pair(options);
  const SpdyStreamPtr stream = pair.Open();

  const SteadyTime begin = std::chrono::steady_clock::now();
  uint32_t id = 1;
  for (; std::chrono::steady_clock::now() - begin < options.idle * 3 / 2; id += 2) {
    pair.client.Send(SpdyPing(id));
    REQUIRE(pair.client.Until([&] { return pair.client.pings.size() == (id + 1) / 2; }));
  }
  pair.client.ReadToEnd();

  CHECK(pair.client.goaway == 0);
  CHECK(pair.Ended().code() == Code::kDeadlineExceeded);
  CHECK(pair.Read(stream).status().code() == Code::kDeadlineExceeded);
}

TEST_CASE("Close sends what was written, resets the rest and waits for the client") {
  Fixture pair;
  const SpdyStreamPtr stream = pair.Open();
  CHECK(pair.Write(stream, "last words").ok());

  auto closed = pair.Start(pair.spdy->Close());
  pair.client.Data(stream->id(), std::string(1'000'000, 'x'));  // unread: it must hurt nobody
  CHECK(pair.client.Until([&] { return pair.client.closed; }));

  CHECK(pair.client.data[stream->id()] == "last words");
  CHECK(pair.client.order.back() == "goaway");
  CHECK(pair.client.resets.contains(stream->id()));
  CHECK(closed.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);
  pair.client.Close();
  CHECK(Get(closed).ok());
}

}  // namespace
}  // namespace interlink::streaming
