#include "wire/media_type.h"

#include <catch2/catch.hpp>
#include <string>

namespace interlink::wire {
namespace {

constexpr auto kPb = Encoding::kProtobuf;
constexpr auto kJs = Encoding::kJson;

TEST_CASE("Content-Type chooses how a body is read") {
  const auto [value, expected] = GENERATE(table<std::string, Encoding>({
      {"application/json", kJs},
      {"Application/JSON; charset=UTF-8", kJs},
      {"application/json;charset=\"utf-8\"", kJs},
      {"application/json ; x=\"a;b\"", kJs},
      {"application/x-ndjson", kJs},
      {"application/x-protobuf", kPb},
  }));
  const auto encoding = EncodingOfBody(value, true);
  INFO(value);
  REQUIRE(encoding.ok());
  CHECK(*encoding == expected);
}

TEST_CASE("a body without a known Content-Type is refused") {
  const std::string value =
      GENERATE("", "text/plain", "application/x-www-form-urlencoded", "*/*", "application/*",
               "application/json; charset=latin1", "json", "/", "application/",
               "application/json, application/json", "application/problem+json");
  INFO(value);
  CHECK(EncodingOfBody(value, true).status().code() == Code::kInvalidArgument);
}

TEST_CASE("no body needs no Content-Type") { CHECK(EncodingOfBody("", false).value() == kPb); }

TEST_CASE("Accept chooses how an answer is written") {
  // {Accept, preferred, chosen}
  const auto [value, preferred, expected] = GENERATE(table<std::string, Encoding, Encoding>({
      {"", kJs, kJs},
      {"", kPb, kPb},
      {"*/*", kJs, kJs},
      {"*/*", kPb, kPb},
      {"application/*", kJs, kJs},
      {"application/x-protobuf", kJs, kPb},
      {"application/json", kPb, kJs},
      {"application/x-ndjson", kPb, kJs},
      {"application/x-protobuf, application/problem+json", kJs, kPb},
      {"text/html, application/json;q=0.9, */*;q=0.8", kPb, kJs},
      {"application/json;q=0.5, application/x-protobuf;q=0.6", kJs, kPb},
      {"application/json;q=0.500, application/x-protobuf;q=0.5", kJs, kJs},
      {"application/json;q=0, */*", kJs, kPb},
      {"*/*, application/json;q=0.1", kJs, kPb},
      {"application/json;q=1.000,", kPb, kJs},
  }));
  const auto encoding = EncodingOfAnswer(value, preferred);
  INFO(value);
  REQUIRE(encoding.ok());
  CHECK(*encoding == expected);
}

TEST_CASE("an Accept that allows neither encoding, or is malformed, is refused") {
  const std::string value = GENERATE("text/html", "application/json;q=0", "*/*;q=0.0",
                                     "application/json;q=2", "application/json;q=x", "json",
                                     "application/json;q=0.1234", "application/json;q=-1");
  INFO(value);
  CHECK(EncodingOfAnswer(value, kJs).status().code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace interlink::wire
