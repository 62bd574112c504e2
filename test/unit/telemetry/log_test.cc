#include "telemetry/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <regex>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/unique_fd.h"
#include "telemetry/log_text.h"

namespace interlink::telemetry {
namespace {

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "telemetry-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { REQUIRE(RemoveTree(path_).ok()); }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::vector<std::string> Lines(const std::string& path) {
  std::istringstream text(ReadFile(path).value());
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

TEST_CASE("a text line quotes a value only when it must") {
  struct Case {
    std::string value;
    std::string text;
  };
  const auto [value, text] = GENERATE(values<Case>({
      {"plain", "k=plain"},
      {"127.0.0.1:80/x?y", "k=127.0.0.1:80/x?y"},
      {"", R"(k="")"},
      {"two words", R"(k="two words")"},
      {"a=b", R"(k="a=b")"},
      {"say \"x\"", R"(k="say \"x\"")"},
      {"back\\slash", R"(k="back\\slash")"},
      {"line\nend\ttab\rreturn", R"(k="line\nend\ttab\rreturn")"},
      {std::string("nul\0x", 5), R"(k="nul\x00x")"},
      {"\x1b[31mred\x7f", R"(k="\x1b[31mred\x7f")"},
      {"\xc2\x9b"
       "31m",
       R"(k="\xc2\x9b31m")"},
      {"caf\xc3\xa9", "k=caf\xc3\xa9"},
      {"bad\xff\xc3(", R"(k="bad\xff\xc3(")"},
      {"\xe0\x80\x80", R"(k="\xe0\x80\x80")"},
      {"\xed\xa0\x80", R"(k="\xed\xa0\x80")"},
      {"\xf0\x9f\x98\x80", "k=\xf0\x9f\x98\x80"},
      {"\xf0\x9f", R"(k="\xf0\x9f")"},
  }));

  REQUIRE(ToLogText("m", {{"k", value}}) == "m " + text);
}

TEST_CASE("a value of megabytes is cut and says how much is missing") {
  const std::string text = ToLogText("m", {{"k", std::string(1'000'000, 'a')}});

  REQUIRE(text.size() < 9000);
  REQUIRE(text.find("(991808 bytes more)") != std::string::npos);
}

TEST_CASE("a json line is one object whatever its values are") {
  const std::string hostile = std::string("\"}\n{\\", 5) + std::string("\0\xff", 2);

  const auto object = nlohmann::json::parse(
      "{" + ToLogJson("mess\nage", {{"a", hostile}, {"level", "low"}, {"a", "second"}}) + "}");

  REQUIRE(object.at("message") == "mess\nage");
  REQUIRE(object.at("a").get<std::string>().substr(0, 5) == "\"}\n{\\");
  REQUIRE(object.at("level_") == "low");
  REQUIRE(object.at("a_") == "second");
}

// What `write` leaves on standard error.
std::vector<std::string> ErrorLines(const LogOptions& options,
                                    const std::function<void(Log&)>& write) {
  const Folder folder;
  const UniqueFd kept(fcntl(2, F_DUPFD_CLOEXEC, 3));
  {
    const UniqueFd file(open(folder.File("err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    dup2(file.get(), 2);
  }
  write(*OpenLog(options));
  dup2(kept.get(), 2);
  return Lines(folder.File("err"));
}

TEST_CASE("a line has time, level and fields") {
  const auto lines = ErrorLines({}, [](Log& log) {
    log.Info("the link is {made}", {{"site", "we st"}});
    log.Error("lost");
  });

  REQUIRE(lines.size() == 2);
  const std::string time = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)";
  REQUIRE(
      std::regex_match(lines[0], std::regex(time + R"( info the link is \{made\} site="we st")")));
  REQUIRE(std::regex_match(lines[1], std::regex(time + " error lost")));
}

TEST_CASE("lines below the level are neither written nor asked for") {
  const auto [options, expected] = GENERATE(table<LogOptions, size_t>({
      {LogOptions{.verbose = true}, 5},
      {LogOptions{}, 3},
      {LogOptions{.errors_only = true}, 1},
      {LogOptions{.verbose = true, .errors_only = true}, 1},
  }));
  bool debug = false;

  const auto lines = ErrorLines(options, [&debug](Log& log) {
    log.Debug("d");
    log.Info("i");
    log.Warning("w");
    log.Error("e");
    log.Write(LogLevel::kDebug, "without having asked", {});
    debug = log.Enabled(LogLevel::kDebug);
  });

  REQUIRE(lines.size() == expected);
  REQUIRE(debug == (expected == 5));
}

TEST_CASE("a json log of many threads has only whole objects") {
  const auto lines = ErrorLines({.json = true}, [](Log& log) {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&log, i] {
        for (int n = 0; n < 200; ++n) log.Info("m", {{"thread", std::to_string(i)}});
      });
    }
  });

  REQUIRE(lines.size() == 800);
  for (const auto& line : lines) {
    const auto object = nlohmann::json::parse(line);
    REQUIRE(object.at("level") == "info");
    REQUIRE(object.contains("time"));
  }
}

}  // namespace
}  // namespace interlink::telemetry
