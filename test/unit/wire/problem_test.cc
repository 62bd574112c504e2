#include "wire/problem.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "wire/media_type.h"

namespace interlink::wire {
namespace {

TEST_CASE("every code travels as a problem and comes back as itself") {
  for (int number = 1; number <= 16; ++number) {
    const Status sent(static_cast<Code>(number), "sandbox \"a\" is gone");
    const std::string body =
        EncodeProblem({.status = sent, .http_status = 0, .site = "", .request_id = ""});

    const Status received = StatusOfAnswer(HttpStatusOf(sent.code()), kMediaProblem, body);

    CHECK(received == sent);
    CHECK(HttpStatusOf(sent.code()) >= 400);
    CHECK(ReasonPhrase(HttpStatusOf(sent.code())) != "Unknown");
  }
}

TEST_CASE("a problem body has its eight members") {
  const auto json =
      nlohmann::json::parse(EncodeProblem({.status = Unavailable("the plugin is absent"),
                                           .http_status = 0,
                                           .site = "hpc",
                                           .request_id = "0a1b"}));

  CHECK(json == nlohmann::json{{"type", "about:blank"},
                               {"title", "Service Unavailable"},
                               {"status", 503},
                               {"code", "UNAVAILABLE"},
                               {"detail", "the plugin is absent"},
                               {"retryable", true},
                               {"site", "hpc"},
                               {"requestId", "0a1b"}});
}

TEST_CASE("an HTTP status of the edge's own choice does not change the code") {
  const std::string body = EncodeProblem({.status = ResourceExhausted("body above 16 MiB"),
                                          .http_status = 413,
                                          .site = "",
                                          .request_id = ""});

  CHECK(nlohmann::json::parse(body)["title"] == "Content Too Large");
  CHECK(StatusOfAnswer(413, "application/problem+json; charset=utf-8", body) ==
        ResourceExhausted("body above 16 MiB"));
}

TEST_CASE("a detail that is not UTF-8 still makes a valid body") {
  const std::string body = EncodeProblem(
      {.status = InternalError("\xFF\xFE"), .http_status = 0, .site = "", .request_id = ""});
  CHECK(nlohmann::json::accept(body));
}

TEST_CASE("without a problem body only what a proxy refused is an answer") {
  const auto [http_status, code] = GENERATE(table<int, Code>({
      {302, Code::kUnavailable},
      {400, Code::kInvalidArgument},
      {401, Code::kUnauthenticated},
      {403, Code::kPermissionDenied},
      {404, Code::kUnavailable},  // never "gone"
      {409, Code::kUnavailable},  // never "exists"
      {413, Code::kInvalidArgument},
      {429, Code::kUnavailable},
      {500, Code::kUnavailable},
      {502, Code::kUnavailable},
      {504, Code::kUnavailable},  // never a failed probe
      {999, Code::kUnavailable},
  }));

  CHECK(StatusOfAnswer(http_status, "text/html", "<html>").code() == code);
}

TEST_CASE("a malformed problem body is treated as none") {
  const std::string body =
      GENERATE("", "{", "[]", "{}", R"({"code":"OK"})", R"({"code":"NO_SUCH"})", R"({"code":5})",
               R"({"code":"not_found"})");
  CHECK(StatusOfAnswer(404, kMediaProblem, body).code() == Code::kUnavailable);
  // The right body with another media type is somebody else's.
  CHECK(StatusOfAnswer(404, "application/json", R"({"code":"NOT_FOUND"})").code() ==
        Code::kUnavailable);
}

TEST_CASE("a hostile detail becomes one bounded line") {
  const nlohmann::json json = {{"code", "NOT_FOUND"},
                               {"detail", "a\r\nlevel=error \x1B[2J" + std::string(100000, 'x')}};
  const Status status = StatusOfAnswer(404, kMediaProblem, json.dump());

  CHECK(status.code() == Code::kNotFound);
  CHECK(status.message().size() <= 4096);
  CHECK(status.message().find_first_of("\r\n\x1B") == std::string::npos);
}

}  // namespace
}  // namespace interlink::wire
