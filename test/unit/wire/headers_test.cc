#include "wire/headers.h"

#include <catch2/catch.hpp>
#include <string>

#include "wire/position.h"

namespace interlink::wire {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST_CASE("a timeout is whole milliseconds, never rounded down to nothing") {
  CHECK(FormatTimeout(nanoseconds(1)) == "1");
  CHECK(FormatTimeout(nanoseconds(0)) == "1");
  CHECK(FormatTimeout(milliseconds(1500)) == "1500");
  CHECK(FormatTimeout(nanoseconds(1'500'001)) == "2");
  CHECK(FormatTimeout(std::chrono::hours(100)) == "86400000");

  CHECK(ParseTimeout("1500").value() == milliseconds(1500));
  CHECK(ParseTimeout("0").value() == milliseconds(0));
  CHECK(ParseTimeout("999999999999").value() == kMaxTimeout);
  CHECK(ParseTimeout("").value() == std::nullopt);
}

TEST_CASE("a malformed timeout is refused") {
  const std::string value = GENERATE("-1", "+1", " 1", "1 ", "1.5", "0x10", "1s", "1234567890123");
  CHECK(ParseTimeout(value).status().code() == Code::kInvalidArgument);
}

TEST_CASE("a link number is a positive decimal number") {
  CHECK(ParseLink("18446744073709551615").value() == 18446744073709551615ULL);
  CHECK(ParseLink("").value() == std::nullopt);
  const std::string value = GENERATE("0", "-1", "18446744073709551616", "7,7", "a");
  CHECK(ParseLink(value).status().code() == Code::kInvalidArgument);
}

TEST_CASE("Prefer: wait is at most two seconds, and ignored when it is malformed") {
  const auto [value, expected] = GENERATE(table<std::string, int>({{"wait=1", 1},
                                                                   {"wait=2", 2},
                                                                   {"wait=60", 2},
                                                                   {"respond-async, wait=1", 1},
                                                                   {"wait=1; x=y", 1},
                                                                   {"wait=x", 0},
                                                                   {"wait=-1", 0},
                                                                   {"wait", 0},
                                                                   {"", 0},
                                                                   {",,", 0}}));
  CHECK(ParsePreferWait(value) == seconds(expected));
}

TEST_CASE("a wait is written in whole seconds, rounded up") {
  CHECK(FormatPreferWait(milliseconds(1)) == "wait=1");
  CHECK(FormatPreferWait(milliseconds(1001)) == "wait=2");
  CHECK(FormatPreferWait(seconds(9)) == "wait=2");
  CHECK(FormatPreferWait(seconds(0)).empty());
}

TEST_CASE("request ids and trace contexts that could break a log line are not accepted") {
  CHECK(IsRequestId("0a1b2c3d4e5f6071"));
  CHECK_FALSE(IsRequestId(""));
  CHECK_FALSE(IsRequestId("a b"));
  CHECK_FALSE(IsRequestId("a\nb"));
  CHECK_FALSE(IsRequestId(std::string(65, 'a')));

  CHECK(IsTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  CHECK_FALSE(IsTraceparent("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
  CHECK_FALSE(IsTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));
  CHECK_FALSE(IsTraceparent("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"));
  CHECK_FALSE(IsTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"));
}

TEST_CASE("a position is EPOCH:N") {
  interlink::v1::Position position;
  position.set_epoch(3);
  position.set_number(1200);
  CHECK(FormatPosition(position) == "3:1200");
  CHECK(ParsePosition("3:1200")->number() == 1200);
  CHECK(ParsePosition("")->epoch() == 0);

  const std::string bad = GENERATE("3", "3:", ":3", "-1:2", "1:2:3", "1: 2", "x:1");
  CHECK(ParsePosition(bad).status().code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace interlink::wire
