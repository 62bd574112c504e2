#include "shim/cri_log.h"

#include <catch2/catch.hpp>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace interlink::shim {
namespace {

constexpr uint64_t kNow = 1'700'000'000'123'456'789;

// What a formatter made of its input, line by line.
class Lines {
 public:
  explicit Lines(size_t capacity = 64 * 1024) : out_(capacity), formatter_(out_.data(), capacity) {}

  void Add(LogStream stream, std::string_view bytes, uint64_t now = kNow) {
    formatter_.Add(stream, bytes, now, [this](const char* data, size_t size) { Take(data, size); });
  }
  void Finish(LogStream stream) {
    formatter_.Finish(stream, kNow, [this](const char* data, size_t size) { Take(data, size); });
  }
  std::vector<LogLine> Parsed() {
    std::vector<LogLine> lines;
    std::string_view rest = text;
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      REQUIRE(end != std::string_view::npos);
      LogLine line;
      REQUIRE(ParseLogLine(rest.substr(0, end), line));
      lines.push_back(line);
      rest.remove_prefix(end + 1);
    }
    return lines;
  }

  std::string text;
  int writes = 0;

 private:
  void Take(const char* data, size_t size) {
    text.append(data, size);
    ++writes;
  }

  std::vector<char> out_;
  LogFormatter formatter_;
};

TEST_CASE("a line has the time, the stream and the tag that kubelet reads") {
  Lines lines;

  lines.Add(LogStream::kStdout, "hello\n");
  lines.Add(LogStream::kStderr, "world\n");

  CHECK(lines.text ==
        "2023-11-14T22:13:20.123456789Z stdout F hello\n"
        "2023-11-14T22:13:20.123456790Z stderr F world\n");
}

TEST_CASE("one read is one write") {
  Lines lines;
  lines.Add(LogStream::kStdout, "a\nb\nc\n\nd\n");
  CHECK(lines.writes == 1);
  CHECK(lines.Parsed().size() == 5);
}

TEST_CASE("a line that comes in pieces is one line") {
  Lines lines;
  lines.Add(LogStream::kStdout, "one ");
  lines.Add(LogStream::kStderr, "other\n");
  lines.Add(LogStream::kStdout, "line\n");

  const auto parsed = lines.Parsed();
  REQUIRE(parsed.size() == 2);
  CHECK(parsed[0].content == "other");
  CHECK(parsed[1].content == "one line");
}

TEST_CASE("a long line is cut into partial lines of 16 KiB and a full one") {
  const size_t length = GENERATE(as<size_t>{}, 16383, 16384, 16385, 32768, 40000);
  const size_t step = GENERATE(as<size_t>{}, 1000, 16384, 100000);
  std::string content(length, 'x');
  Lines lines;

  for (size_t at = 0; at < length; at += step) {
    lines.Add(LogStream::kStdout, std::string_view(content).substr(at, step));
  }
  lines.Add(LogStream::kStdout, "\n");

  const auto parsed = lines.Parsed();
  CHECK(parsed.size() == (length + kMaxLogContent - 1) / kMaxLogContent);
  std::string joined;
  for (size_t i = 0; i < parsed.size(); ++i) {
    CHECK(parsed[i].partial == (i + 1 < parsed.size()));
    CHECK(parsed[i].content.size() <= kMaxLogContent);
    joined += parsed[i].content;
  }
  CHECK(joined == content);
}

TEST_CASE("what has no line end at the end is a partial line, once") {
  Lines lines;
  lines.Add(LogStream::kStdout, "x\nprompt> ");
  lines.Finish(LogStream::kStdout);
  lines.Finish(LogStream::kStdout);
  lines.Finish(LogStream::kStderr);

  const auto parsed = lines.Parsed();
  REQUIRE(parsed.size() == 2);
  CHECK(parsed[1].partial);
  CHECK(parsed[1].content == "prompt> ");
}

TEST_CASE("times rise strictly, also when the clock does not") {
  Lines lines;
  lines.Add(LogStream::kStdout, "a\nb\n", kNow);
  lines.Add(LogStream::kStderr, "c\n", kNow - 5'000'000'000);
  lines.Add(LogStream::kStdout, "d\n", kNow + 1'000'000'000);

  const auto parsed = lines.Parsed();
  REQUIRE(parsed.size() == 4);
  for (size_t i = 1; i < parsed.size(); ++i) CHECK(parsed[i].time_ns > parsed[i - 1].time_ns);
  CHECK(parsed[3].time_ns == kNow + 1'000'000'000);
}

TEST_CASE("bytes are not changed, whatever they are and however they come") {
  std::mt19937 random(42);  // NOLINT: the same bytes each time
  for (int round = 0; round < 20; ++round) {
    std::string input(random() % 60000, '\0');
    for (char& byte : input) byte = static_cast<char>(random() % 300 == 0 ? '\n' : random());
    Lines lines(kMaxLogLine);  // the smallest buffer there may be
    for (size_t at = 0; at < input.size();) {
      const size_t step = 1 + random() % 20000;
      lines.Add(LogStream::kStdout, std::string_view(input).substr(at, step));
      at += step;
    }
    lines.Finish(LogStream::kStdout);

    std::string output;
    for (const LogLine& line : lines.Parsed()) {
      output += line.content;
      if (!line.partial) output += '\n';
    }
    CHECK(output == input);
  }
}

TEST_CASE("times agree with the C library over 500 years") {
  for (uint64_t day = 0; day < 365 * 500; day += 13) {
    const auto seconds = static_cast<time_t>(day * 86400 + day % 86400);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char expected[40];
    strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000000007Z", &parts);

    char text[kLogTime];
    FormatLogTime(static_cast<uint64_t>(seconds) * kNanoseconds + 7, text);
    REQUIRE(std::string(text, kLogTime) == expected);
    uint64_t back = 0;
    REQUIRE(ParseLogTime({text, kLogTime}, back));
    REQUIRE(back == static_cast<uint64_t>(seconds) * kNanoseconds + 7);
  }
}

TEST_CASE("what is not a log line is refused") {
  const std::string text = GENERATE(
      as<std::string>{}, "", "hello", "2023-11-14T22:13:20.123456789Z stdout F",
      "2023-11-14T22:13:20.12345678Z stdout F hello", "2023-13-14T22:13:20.123456789Z stdout F x",
      "2023-11-14T24:13:20.123456789Z stdout F x", "2023-11-14 22:13:20.123456789Z stdout F x",
      "2023-11-14T22:13:20.123456789Z stdxxx F x", "2023-11-14T22:13:20.123456789Z stdout X x",
      "2023-11-14T22:13:20.-23456789Z stdout F x", "0000-11-14T22:13:20.123456789Z stdout F x");
  LogLine line;
  CHECK_FALSE(ParseLogLine(text, line));
}

}  // namespace
}  // namespace interlink::shim
