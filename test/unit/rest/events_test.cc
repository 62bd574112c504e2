#include <catch2/catch.hpp>
#include <thread>

#include "fixture.h"
#include "support/eventually.h"
#include "wire/stream.h"

namespace interlink::test {
namespace {

using interlink::v1::Event;

Event RecordEvent(uint64_t number, const std::string& id) {
  Event event;
  event.mutable_position()->set_epoch(5);
  event.mutable_position()->set_number(number);
  event.mutable_record()->mutable_sandbox()->set_id(id);
  return event;
}

// Reads a stream on a thread of its own.
class Reading {
 public:
  Reading(EdgeFixture& fixture, wire::Encoding encoding, const std::string& target,
          const EdgeFixture::Fields& more = {})
      : encoding_(encoding) {
    EdgeFixture::Fields fields = more;
    fields.emplace_back("Accept", encoding == wire::Encoding::kJson ? "application/json"
                                                                    : "application/x-protobuf");
    thread_ = std::jthread([this, &fixture, request = fixture.Request("GET", target, fields)] {
      wire::StreamReader reader(encoding_);
      const Status end = fixture.client->Stream(
          call_, request, std::chrono::seconds(15),
          [this](const net::HttpResponse& head) {
            MutexLock lock(mutex_);
            status_ = head.status;
            type_ = head.headers.Get("Content-Type").value_or("");
            return Status::Ok();
          },
          [this, &reader](std::string_view bytes) -> Status {
            reader.Feed(bytes);
            Event event;
            while (true) {
              ASSIGN_OR_RETURN(const bool more_events, reader.Next(&event));
              if (!more_events) return {};
              MutexLock lock(mutex_);
              events_.push_back(event);
            }
          });
      MutexLock lock(mutex_);
      ended_ = true;
      end_ = end;
    });
  }
  ~Reading() { call_.Cancel(); }

  void Leave() { call_.Cancel(); }
  int status() const {
    MutexLock lock(mutex_);
    return status_;
  }
  std::string type() const {
    MutexLock lock(mutex_);
    return type_;
  }
  std::vector<Event> events() const {
    MutexLock lock(mutex_);
    return events_;
  }
  bool ended() const {
    MutexLock lock(mutex_);
    return ended_;
  }
  Status end() const {
    MutexLock lock(mutex_);
    return end_;
  }
  size_t heartbeats() const {
    size_t count = 0;
    for (const Event& event : events()) count += event.has_heartbeat() ? 1 : 0;
    return count;
  }

 private:
  const wire::Encoding encoding_;
  const Call call_ = Call::WithTimeout(std::chrono::seconds(60));
  mutable Mutex mutex_;
  int status_ GUARDED_BY(mutex_) = 0;
  std::string type_ GUARDED_BY(mutex_);
  std::vector<Event> events_ GUARDED_BY(mutex_);
  bool ended_ GUARDED_BY(mutex_) = false;
  Status end_ GUARDED_BY(mutex_);
  std::jthread thread_;
};

TEST_CASE("events come in order, in either encoding, as they happen") {
  const auto encoding = GENERATE(wire::Encoding::kJson, wire::Encoding::kProtobuf);
  EdgeFixture fixture;
  for (uint64_t i = 1; i <= 500; ++i) fixture.site.Push(RecordEvent(i, std::string(1000, 'x')));
  Reading reading(fixture, encoding, "/v1/events?after=5:17");

  REQUIRE(Eventually([&] { return reading.events().size() == 500; }));
  fixture.site.Push(RecordEvent(501, "late"));
  REQUIRE(Eventually([&] { return reading.events().size() == 501; }));

  CHECK(reading.status() == 200);
  CHECK(reading.type() ==
        (encoding == wire::Encoding::kJson ? "application/x-ndjson" : "application/x-protobuf"));
  CHECK(fixture.site.after().epoch() == 5);
  CHECK(fixture.site.after().number() == 17);
  const auto events = reading.events();
  for (uint64_t i = 0; i < events.size(); ++i) CHECK(events[i].position().number() == i + 1);
}

TEST_CASE("a quiet stream beats, and a beat repeats the position") {
  rest::Options options;
  options.heartbeat = std::chrono::milliseconds(20);
  EdgeFixture fixture(std::move(options));
  fixture.site.Push(RecordEvent(42, "x"));
  Reading reading(fixture, wire::Encoding::kProtobuf, "/v1/events");

  REQUIRE(Eventually([&] { return reading.heartbeats() >= 3; }));

  for (const Event& event : reading.events()) CHECK(event.position().number() == 42);
}

TEST_CASE("a reader that leaves is noticed and its subscription ends") {
  EdgeFixture fixture;
  Reading reading(fixture, wire::Encoding::kProtobuf, "/v1/events");
  REQUIRE(Eventually([&] { return fixture.site.readers == 1; }));

  reading.Leave();

  CHECK(Eventually([&] { return fixture.site.readers == 0; }));
}

TEST_CASE("a second reader of the same node ends the first") {
  EdgeFixture fixture;
  Reading first(fixture, wire::Encoding::kProtobuf, "/v1/events");
  REQUIRE(Eventually([&] { return first.status() == 200; }));
  Reading second(fixture, wire::Encoding::kProtobuf, "/v1/events");

  CHECK(Eventually([&] { return first.ended(); }));
  CHECK(first.end().ok());  // a proper end of the answer, not a broken connection
  fixture.site.Push(RecordEvent(1, "x"));
  CHECK(Eventually([&] { return second.events().size() == 1; }));
}

TEST_CASE("a stream of a stale link or with a bad position is refused") {
  EdgeFixture fixture;

  CheckProblem(fixture.Ask("GET", "/v1/events", {{"Interlink-Link", "6"}}), 409, "ABORTED");
  CheckProblem(fixture.Ask("GET", "/v1/events?after=x"), 400, "INVALID_ARGUMENT");
}

TEST_CASE("a stop ends streams properly") {
  EdgeFixture fixture;
  Reading reading(fixture, wire::Encoding::kProtobuf, "/v1/events");
  REQUIRE(Eventually([&] { return reading.status() == 200; }));

  fixture.edge->Stop(std::chrono::seconds(5));

  CHECK(Eventually([&] { return reading.ended(); }));
  CHECK(fixture.site.readers == 0);
}

}  // namespace
}  // namespace interlink::test
