#include <atomic>
#include <catch2/catch.hpp>
#include <deque>

#include "fixture.h"
#include "interlink/v1/logs.pb.h"
#include "net/reply_wait.h"
#include "support/eventually.h"

namespace interlink::test {
namespace {

using interlink::v1::LogRequest;
using interlink::v1::LogResponse;

const ContainerId kContainer(kOther);

// The node's end of a log stream: collects what comes and sends what it is told.
class LogReader : public std::enable_shared_from_this<LogReader> {
 public:
  static std::shared_ptr<LogReader> Open(EdgeFixture& fixture) {
    auto reader = std::make_shared<LogReader>(fixture);
    net::Io::Spawn(reader->strand_, Run(reader, fixture.Request("GET", "/v1/logs")));
    REQUIRE(Eventually([&] { return reader->open() || reader->ended(); }));
    return reader;
  }
  explicit LogReader(EdgeFixture& fixture)
      : client_(*fixture.client),
        strand_(fixture.io.Strand()),
        signal_(std::make_shared<net::Signal>(strand_)) {}

  void Send(const LogRequest& request) {
    {
      MutexLock lock(mutex_);
      out_.push_back(request.SerializeAsString());
    }
    signal_->Set();
  }
  void SendBytes(std::string bytes) {
    {
      MutexLock lock(mutex_);
      out_.push_back(std::move(bytes));
    }
    signal_->Set();
  }
  void Subscribe(const std::string& container, uint64_t offset, uint64_t credit) {
    LogRequest request;
    request.mutable_subscribe()->set_sandbox_id(kId);
    request.mutable_subscribe()->set_container_id(container);
    request.mutable_subscribe()->set_offset(offset);
    request.mutable_subscribe()->set_credit(credit);
    Send(request);
  }
  void Credit(uint64_t bytes) {
    LogRequest request;
    request.mutable_credit()->set_container_id(kOther);
    request.mutable_credit()->set_bytes(bytes);
    Send(request);
  }
  void Acknowledge(uint64_t offset) {
    LogRequest request;
    request.mutable_acknowledge()->set_container_id(kOther);
    request.mutable_acknowledge()->set_offset(offset);
    Send(request);
  }
  // Acknowledges and gives credit for everything that comes, as a node does.
  void Follow() { follow_ = true; }
  // Reads no more.
  void Pause() { paused_ = true; }
  // The site has ended it while nothing was read.
  bool refused() const { return refused_; }
  void Leave() {
    std::shared_ptr<net::WebSocket> socket;
    {
      MutexLock lock(mutex_);
      socket = socket_;
    }
    if (socket != nullptr) socket->Cancel();
  }

  bool open() const {
    MutexLock lock(mutex_);
    return socket_ != nullptr;
  }
  bool ended() const {
    MutexLock lock(mutex_);
    return ended_;
  }
  std::string text(const std::string& container = kOther) const {
    MutexLock lock(mutex_);
    const auto it = texts_.find(container);
    return it == texts_.end() ? "" : it->second;
  }
  std::vector<LogResponse> others() const {
    MutexLock lock(mutex_);
    return others_;
  }
  bool gaps() const {
    MutexLock lock(mutex_);
    return gaps_;
  }
  int beats() const {
    MutexLock lock(mutex_);
    return beats_;
  }
  size_t largest() const {
    MutexLock lock(mutex_);
    return largest_;
  }

 private:
  static net::Awaitable<void> Run(std::shared_ptr<LogReader> self, net::HttpRequest request) {
    const auto soon = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    auto upgraded = co_await self->client_.Upgrade(self->strand_, std::move(request), soon);
    if (!upgraded.ok() || upgraded->socket == nullptr) {
      MutexLock lock(self->mutex_);
      self->ended_ = true;
      co_return;
    }
    const std::shared_ptr<net::WebSocket> socket = upgraded->socket;
    {
      MutexLock lock(self->mutex_);
      self->socket_ = socket;
    }
    net::Io::Spawn(self->strand_, Write(self, socket));
    while (true) {
      while (self->paused_ && !self->refused_)
        co_await self->signal_->Wait(std::chrono::steady_clock::now() + std::chrono::seconds(1));
      auto message =
          co_await socket->Read(std::chrono::steady_clock::now() + std::chrono::seconds(30));
      if (!message.ok() || !message->has_value()) break;
      LogResponse response;
      if (!response.ParseFromString(**message)) break;
      self->Take(response);
    }
    {
      MutexLock lock(self->mutex_);
      self->ended_ = true;
      self->socket_ = nullptr;
    }
    self->signal_->Set();
  }
  static net::Awaitable<void> Write(std::shared_ptr<LogReader> self,
                                    std::shared_ptr<net::WebSocket> socket) {
    while (!self->ended()) {
      std::string next;
      bool has = false;
      {
        MutexLock lock(self->mutex_);
        has = !self->out_.empty();
        if (has) next = std::move(self->out_.front());
        if (has) self->out_.pop_front();
      }
      const auto soon = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      if (!has) {
        co_await self->signal_->Wait(soon);
      } else if (!(co_await socket->Write(next, soon)).ok()) {
        self->refused_ = true;
        co_return;
      }
    }
  }
  void Take(const LogResponse& response) {
    uint64_t next = 0;
    uint64_t size = 0;
    {
      MutexLock lock(mutex_);
      if (response.kind_case() == LogResponse::KIND_NOT_SET) {
        ++beats_;
      } else if (response.has_chunk()) {
        const auto& chunk = response.chunk();
        std::string& text = texts_[chunk.container_id()];
        if (chunk.offset() != text.size()) gaps_ = true;
        text += chunk.data();
        next = chunk.next();
        size = chunk.data().size();
        largest_ = std::max<size_t>(largest_, size);
      } else {
        others_.push_back(response);
      }
    }
    if (next == 0 || !follow_) return;
    Credit(size);
    Acknowledge(next);
  }

  std::atomic<bool> paused_ = false;
  std::atomic<bool> refused_ = false;
  net::HttpClient& client_;
  const boost::asio::any_io_executor strand_;
  const std::shared_ptr<net::Signal> signal_;
  std::atomic<bool> follow_ = false;
  mutable Mutex mutex_;
  std::deque<std::string> out_ GUARDED_BY(mutex_);
  std::shared_ptr<net::WebSocket> socket_ GUARDED_BY(mutex_);
  bool ended_ GUARDED_BY(mutex_) = false;
  std::map<std::string, std::string> texts_ GUARDED_BY(mutex_);
  std::vector<LogResponse> others_ GUARDED_BY(mutex_);
  bool gaps_ GUARDED_BY(mutex_) = false;
  int beats_ GUARDED_BY(mutex_) = 0;
  size_t largest_ GUARDED_BY(mutex_) = 0;
};

std::string Lines(size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

TEST_CASE("a long log arrives whole, in order, in pieces of at most 64 KiB") {
  EdgeFixture fixture;
  const std::string log = Lines(5U << 20U);
  fixture.site.Append(kContainer, log, true);
  const auto reader = LogReader::Open(fixture);
  reader->Follow();

  reader->Subscribe(kOther, 0, 256U << 10U);

  REQUIRE(Eventually([&] { return !reader->others().empty(); }));
  CHECK(reader->text() == log);
  CHECK_FALSE(reader->gaps());
  CHECK(reader->largest() <= 64U << 10U);
  CHECK(reader->others().front().end().offset() == log.size());
  CHECK(reader->others().size() == 1);
  CHECK(Eventually([&] { return fixture.site.Acknowledged(kContainer) == log.size(); }));
}

TEST_CASE("a log that grows is followed") {
  EdgeFixture fixture;
  fixture.site.Append(kContainer, "one\n");
  const auto reader = LogReader::Open(fixture);
  reader->Follow();
  reader->Subscribe(kOther, 0, 1U << 20U);
  REQUIRE(Eventually([&] { return reader->text() == "one\n"; }));

  fixture.site.Append(kContainer, "two\n");
  REQUIRE(Eventually([&] { return reader->text() == "one\ntwo\n"; }));
  CHECK(reader->others().empty());
  fixture.site.Append(kContainer, "", true);

  REQUIRE(Eventually([&] { return !reader->others().empty(); }));
  CHECK(reader->others().front().end().offset() == 8);
}

TEST_CASE("nothing is sent without credit, and what is not acknowledged is never given up") {
  EdgeFixture fixture;
  const std::string log = Lines(2U << 20U);
  fixture.site.Append(kContainer, log);
  const auto reader = LogReader::Open(fixture);
  reader->Subscribe(kOther, 0, 1000);

  REQUIRE(Eventually([&] { return reader->text().size() == 1000; }));
  reader->Credit(500);
  REQUIRE(Eventually([&] { return reader->text().size() == 1500; }));
  // Credit for everything, but no acknowledgement: it stops within the window.
  reader->Credit(1U << 30U);
  REQUIRE(Eventually([&] { return reader->text().size() > 300'000; }));

  CHECK(fixture.site.Acknowledged(kContainer) == 0);
  CHECK(reader->text().size() < 1U << 20U);

  reader->Follow();
  reader->Acknowledge(reader->text().size());
  CHECK(Eventually([&] { return reader->text() == log; }));
  CHECK_FALSE(reader->gaps());
}

TEST_CASE("a resumed log begins where the node is durable") {
  EdgeFixture fixture;
  fixture.site.Append(kContainer, "0123456789");
  const auto reader = LogReader::Open(fixture);

  reader->Subscribe(kOther, 7, 1000);

  CHECK(Eventually([&] { return reader->text() == "789"; }));
}

TEST_CASE("logs that cannot be read are told, those that cannot be read now are tried again") {
  EdgeFixture fixture;
  fixture.site.Append(kContainer, "late\n");
  fixture.site.FailReads(kContainer, 1);
  const auto reader = LogReader::Open(fixture);

  reader->Subscribe(std::string(64, 'c'), 0, 1000);
  reader->Subscribe("../x", 0, 1000);
  reader->Subscribe(kOther, 0, 1000);

  REQUIRE(Eventually([&] { return reader->others().size() == 2 && reader->text() == "late\n"; }));
  std::map<std::string, int> codes;
  for (const LogResponse& other : reader->others())
    codes[other.failed().container_id()] = other.failed().code();
  CHECK(codes[std::string(64, 'c')] == static_cast<int>(Code::kNotFound));
  CHECK(codes["../x"] == static_cast<int>(Code::kInvalidArgument));
}

TEST_CASE("a loud container does not starve a quiet one") {
  EdgeFixture fixture;
  const ContainerId quiet(std::string(64, 'd'));
  fixture.site.Append(kContainer, Lines(20U << 20U));
  const auto reader = LogReader::Open(fixture);
  reader->Follow();
  reader->Subscribe(kOther, 0, 1U << 20U);
  REQUIRE(Eventually([&] { return reader->text().size() > 100'000; }));

  fixture.site.Append(quiet, "hello\n");
  reader->Subscribe(quiet.str(), 0, 1000);

  REQUIRE(Eventually([&] { return reader->text(quiet.str()) == "hello\n"; }));
}

TEST_CASE("a quiet stream beats") {
  rest::Options options;
  options.heartbeat = std::chrono::milliseconds(20);
  EdgeFixture fixture(std::move(options));
  const auto reader = LogReader::Open(fixture);

  CHECK(Eventually([&] { return reader->beats() >= 3; }));
}

TEST_CASE("a second stream of the same node ends the first, and nonsense ends its own") {
  EdgeFixture fixture;
  const auto first = LogReader::Open(fixture);
  const auto second = LogReader::Open(fixture);
  CHECK(Eventually([&] { return first->ended(); }));
  CHECK(second->open());

  second->SendBytes("\xff\xff\xff");

  CHECK(Eventually([&] { return second->ended(); }));
}

TEST_CASE("a node that subscribes to nonsense and reads no refusal is not remembered without end") {
  EdgeFixture fixture;
  const auto reader = LogReader::Open(fixture);

  SECTION("what can be no id ends the stream") {
    reader->Subscribe(std::string(64U << 10U, 'x'), 0, 1000);
    CHECK(Eventually([&] { return reader->ended(); }));
  }
  SECTION("very many do, while they are not read") {
    reader->Pause();
    const std::string none(256, 'x');
    for (int i = 0; i < 100'000; ++i) reader->Subscribe(none, 0, 1000);
    // Before a message that is not taken has ended it.
    CHECK(Eventually([&] { return reader->refused(); }, std::chrono::seconds(25)));
  }
}

TEST_CASE("a log stream without an upgrade or identity is refused") {
  EdgeFixture fixture;

  CheckProblem(fixture.Ask("GET", "/v1/logs"), 400, "INVALID_ARGUMENT");
  CheckProblem(fixture.Ask("GET", "/v1/logs", {{"Authorization", "Bearer x"}}), 401,
               "UNAUTHENTICATED");
}

TEST_CASE("a stop ends log streams") {
  EdgeFixture fixture;
  const auto reader = LogReader::Open(fixture);
  REQUIRE(reader->open());

  fixture.edge->Stop(std::chrono::seconds(5));

  CHECK(Eventually([&] { return reader->ended(); }));
}

}  // namespace
}  // namespace interlink::test
