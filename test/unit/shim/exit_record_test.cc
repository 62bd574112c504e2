#include "shim/exit_record.h"

#include <catch2/catch.hpp>
#include <string>

namespace interlink::shim {
namespace {

std::string Formatted(const ExitRecord& record) {
  std::string bytes(kMaxExitRecord, '\0');
  bytes.resize(FormatExitRecord(record, bytes.data(), bytes.size()));
  return bytes;
}

const ExitRecord kRecord{137, 9, 1'700'000'000'000'000'000, UINT64_MAX, 3, 4711, "out of memory"};

TEST_CASE("an exit record is readable text and comes back as it was") {
  const std::string bytes = Formatted(kRecord);

  CHECK(bytes ==
        "interlink-exit 1\ncode=137\nsignal=9\nstarted_ns=1700000000000000000\n"
        "finished_ns=18446744073709551615\noom_kills=3\nlog_end=4711\nreason=out of memory\n");
  ExitRecord record;
  REQUIRE(ParseExitRecord(bytes, record));
  CHECK(record.code == 137);
  CHECK(record.signal == 9);
  CHECK(record.finished_ns == UINT64_MAX);
  CHECK(record.oom_kills == 3);
  CHECK(record.log_end == 4711);
  CHECK(record.reason == "out of memory");
}

TEST_CASE("a reason cannot add lines, and a long one is cut") {
  ExitRecord record = kRecord;
  const std::string reason = "a\nlog_end=0\n" + std::string(1000, 'x');
  record.reason = reason;

  const std::string bytes = Formatted(record);
  ExitRecord parsed;
  REQUIRE(ParseExitRecord(bytes, parsed));
  CHECK(parsed.log_end == 4711);
  CHECK(parsed.reason.size() == ExitRecord::kMaxReason);
  CHECK(parsed.reason.substr(0, 12) == "a log_end=0 ");
}

TEST_CASE("a record that does not fit is not written") {
  char small[64];
  CHECK(FormatExitRecord(kRecord, small, sizeof small) == 0);
}

TEST_CASE("every cut of a record is refused") {
  const std::string bytes = Formatted(kRecord);
  for (size_t length = 0; length < bytes.size(); ++length) {
    ExitRecord record;
    INFO("length " << length);
    CHECK_FALSE(ParseExitRecord(std::string_view(bytes).substr(0, length), record));
  }
}

TEST_CASE("what is not a record of this version is refused") {
  std::string bytes = Formatted(kRecord);
  const auto replace = [&bytes](const std::string& from, const std::string& to) {
    bytes.replace(bytes.find(from), from.size(), to);
  };
  SECTION("a newer version") { replace("exit 1", "exit 2"); }
  SECTION("an unknown key") { replace("reason=", "colour=red\nreason="); }
  SECTION("a code out of range") { replace("code=137", "code=256"); }
  SECTION("a negative code") { replace("code=137", "code=-1"); }
  SECTION("a signal out of range") { replace("signal=9", "signal=65"); }
  SECTION("no number") { replace("log_end=4711", "log_end="); }
  SECTION("leading zeros") { replace("log_end=4711", "log_end=04711"); }
  SECTION("more than 64 bits") { replace("4711", "18446744073709551616"); }
  SECTION("bytes behind it") { bytes += "x"; }
  SECTION("far too long") { bytes += std::string(2000, '\n'); }
  ExitRecord record;
  CHECK_FALSE(ParseExitRecord(bytes, record));
}

}  // namespace
}  // namespace interlink::shim
