#include "wire/stream.h"

#include <catch2/catch.hpp>
#include <string>

#include "interlink/v1/link.pb.h"

namespace interlink::wire {
namespace {

interlink::v1::Event EventNumber(uint64_t number, size_t size) {
  interlink::v1::Event event;
  event.mutable_position()->set_number(number);
  event.mutable_resync()->set_reason(std::string(size, 'x') + "\n");
  return event;
}

TEST_CASE("a stream that arrives in pieces of any size gives the same messages") {
  const auto encoding = GENERATE(Encoding::kProtobuf, Encoding::kJson);
  const size_t piece = GENERATE(1U, 2U, 7U, 130U, 100000U);
  std::string bytes;
  for (uint64_t i = 1; i <= 20; ++i)
    REQUIRE(AppendToStream(encoding, EventNumber(i, i * 40), &bytes).ok());

  StreamReader reader(encoding);
  uint64_t seen = 0;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    reader.Feed(std::string_view(bytes).substr(at, piece));
    while (true) {
      interlink::v1::Event event;
      const auto more = reader.Next(&event);
      REQUIRE(more.ok());
      if (!*more) break;
      REQUIRE(event.position().number() == ++seen);
      REQUIRE(event.resync().reason().size() == seen * 40 + 1);
    }
  }

  CHECK(seen == 20);
  CHECK(reader.pending() == 0);
}

TEST_CASE("a stream that was cut says so") {
  const auto encoding = GENERATE(Encoding::kProtobuf, Encoding::kJson);
  std::string bytes;
  REQUIRE(AppendToStream(encoding, EventNumber(1, 10), &bytes).ok());
  StreamReader reader(encoding);
  reader.Feed(bytes.substr(0, bytes.size() - 1));

  interlink::v1::Event event;
  CHECK_FALSE(reader.Next(&event).value());
  CHECK(reader.pending() == bytes.size() - 1);
}

TEST_CASE("a message above the limit is refused before it has arrived") {
  interlink::v1::Event event;

  StreamReader protobuf(Encoding::kProtobuf, 100);
  protobuf.Feed(std::string("\xE5\x01", 2));  // 229 bytes are announced
  CHECK(protobuf.Next(&event).status().code() == Code::kResourceExhausted);

  StreamReader json(Encoding::kJson, 100);
  json.Feed(std::string(101, ' '));
  CHECK(json.Next(&event).status().code() == Code::kResourceExhausted);
}

TEST_CASE("a malformed length or line is an error") {
  interlink::v1::Event event;

  StreamReader protobuf(Encoding::kProtobuf);
  protobuf.Feed(std::string(10, '\xFF'));
  CHECK(protobuf.Next(&event).status().code() == Code::kInvalidArgument);

  StreamReader json(Encoding::kJson);
  json.Feed("{\"position\":}\n");
  CHECK(json.Next(&event).status().code() == Code::kInvalidArgument);
}

TEST_CASE("empty lines between JSON messages are skipped") {
  StreamReader reader(Encoding::kJson);
  reader.Feed("\n\r\n{\"heartbeat\":{}}\r\n\n");
  interlink::v1::Event event;
  CHECK(reader.Next(&event).value());
  CHECK(event.has_heartbeat());
  CHECK_FALSE(reader.Next(&event).value());
}

}  // namespace
}  // namespace interlink::wire
