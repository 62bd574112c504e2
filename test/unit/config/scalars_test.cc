#include "config/scalars.h"

#include <catch2/catch.hpp>
#include <string>

namespace interlink::config {
namespace {

using std::chrono::milliseconds;

TEST_CASE("durations are read and written the same") {
  const auto [text, ms] = GENERATE(table<std::string, int64_t>({{"0", 0},
                                                                {"250ms", 250},
                                                                {"15m", 900'000},
                                                                {"1h30m", 5'400'000},
                                                                {"1h1m1s1ms", 3'661'001},
                                                                {"720h", 2'592'000'000}}));
  CHECK(ParseDuration(text) == milliseconds(ms));
  CHECK(FormatDuration(milliseconds(ms)) == text);
}

TEST_CASE("what could be another duration is refused") {
  const std::string text =
      GENERATE("", "15", "15 m", "m", "-1m", "+1m", "1.5h", "1d", "1m1h", "1m1m", "1M", "1h30",
               "99999999999999999999h", "9999999999999999h", "1us");
  INFO(text);
  CHECK(ParseDuration(text) == std::nullopt);
}

TEST_CASE("sizes have binary units") {
  CHECK(ParseSize("0") == 0U);
  CHECK(ParseSize("1073741824") == 1073741824U);
  CHECK(ParseSize("64KiB") == 65536U);
  CHECK(ParseSize("512Mi") == 536870912U);
  CHECK(ParseSize("16777215TiB") == 16777215ULL << 40U);
  CHECK(FormatSize(1ULL << 30U) == "1GiB");
  CHECK(FormatSize(1536) == "1536");
  CHECK(FormatSize(0) == "0");

  const std::string text = GENERATE("", "1G", "1GB", "1 GiB", "GiB", "-1", "1.5GiB", "1KIB",
                                    "16777216TiB", "1i", "1iB", "0x10");
  INFO(text);
  CHECK(ParseSize(text) == std::nullopt);
}

}  // namespace
}  // namespace interlink::config
