#include "net/url.h"

#include <catch2/catch.hpp>

namespace interlink::net {
namespace {

TEST_CASE("URLs are taken apart") {
  struct Row {
    const char* text;
    const char* scheme;
    const char* host;
    int port;
    const char* target;
  };
  const auto row = GENERATE(values<Row>({
      {"https://a.example", "https", "a.example", 443, "/"},
      {"http://localhost:8080/x/y?z=1", "http", "localhost", 8080, "/x/y?z=1"},
      {"https://[::1]:5", "https", "::1", 5, "/"},
      {"https://h?q", "https", "h", 443, "/?q"},
  }));

  const auto url = ParseUrl(row.text);

  REQUIRE(url.ok());
  CHECK(url->scheme == row.scheme);
  CHECK(url->host == row.host);
  CHECK(url->port == row.port);
  CHECK(url->target == row.target);
}

TEST_CASE("URLs that are wrong are refused") {
  const auto text =
      GENERATE(as<std::string>(), "", "a.example", "ftp://a", "https://", "https://a:0",
               "https://a:65536", "https://a:1x", "https://a:", "https://u:p@a", "https://a/#f",
               "https://a b", "https://[::1", "https://[::1]x", "https://a\n");

  INFO(text);
  CHECK(ParseUrl(text).status().code() == Code::kInvalidArgument);
}

TEST_CASE("percent encoding goes both ways") {
  const std::string all = "a/b c?d=e&f%\xc3\xbc~";

  CHECK(PercentEncode(all) == "a%2Fb%20c%3Fd%3De%26f%25%C3%BC~");
  CHECK(PercentEncode("a/b", true) == "a/b");
  CHECK(PercentDecode(PercentEncode(all)).value_or("") == all);
  CHECK_FALSE(PercentDecode("%4").ok());
  CHECK_FALSE(PercentDecode("%zz").ok());
  CHECK_FALSE(PercentDecode("%00").ok());
}

TEST_CASE("targets are split into path and query") {
  const auto target = ParseTarget("/a%20b?x=1%26&y");

  REQUIRE(target.ok());
  CHECK(target->path == "/a%20b");
  CHECK(target->query == std::map<std::string, std::string>{{"x", "1&"}, {"y", ""}});
  CHECK_FALSE(ParseTarget("a").ok());
  CHECK_FALSE(ParseTarget("/a?x=1&x=2").ok());
}

TEST_CASE("only loopback names count as loopback") {
  CHECK(IsLoopbackHost("localhost"));
  CHECK(IsLoopbackHost("127.0.0.1"));
  CHECK(IsLoopbackHost("::1"));
  CHECK_FALSE(IsLoopbackHost("127.0.0.1.example.com"));
  CHECK_FALSE(IsLoopbackHost("localhost.example.com"));
  CHECK_FALSE(IsLoopbackHost("10.0.0.1"));
}

}  // namespace
}  // namespace interlink::net
