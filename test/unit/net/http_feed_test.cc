// What comes from the network may be cut anywhere.
#include "net/http_feed.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <catch2/catch.hpp>

namespace interlink::net {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view kHead = "PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";

// The whole body, of a message that comes in three pieces.
std::string Read(std::string_view message, size_t first, size_t second) {
  http::request_parser<http::string_body> parser;
  parser.eager(true);
  HttpFeed feed;
  for (const std::string_view piece :
       {message.substr(0, first), message.substr(first, second), message.substr(first + second)}) {
    if (piece.empty()) continue;
    REQUIRE_FALSE(feed.Put(parser, piece));
  }
  REQUIRE(parser.is_done());
  REQUIRE(feed.empty());
  return parser.get().body();
}

TEST_CASE("a chunked body is read wherever it is cut") {
  const auto [body, text] =
      GENERATE(table<std::string, std::string>({{"0\r\n\r\n", ""},
                                                {"0;last\r\nX-Trailer: a\r\n\r\n", ""},
                                                {"00\r\n\r\n", ""},
                                                {"01\r\n0\r\n0\r\n\r\n", "0"},
                                                {"1;a=b\r\n0\r\n2\r\n00\r\n0\r\n\r\n", "000"}}));
  const std::string message = std::string(kHead) + body;

  for (size_t first = 1; first < message.size(); ++first)
    for (size_t second = 0; first + second <= message.size(); ++second)
      REQUIRE(Read(message, first, second) == text);
}

TEST_CASE("a chunk's bytes do not wait for the next chunk") {
  http::request_parser<http::string_body> parser;
  parser.eager(true);
  HttpFeed feed;

  for (const std::string& piece : {std::string(kHead) + "1", std::string("\r\n"), std::string("0")})
    REQUIRE_FALSE(feed.Put(parser, piece));

  CHECK(parser.get().body() == "0");
}

TEST_CASE("heads of chunks and trailers have a limit") {
  const auto begin = GENERATE(as<std::string>(), "1;", "0\r\nX-Trailer: ");
  http::request_parser<http::string_body> parser;
  parser.eager(true);
  HttpFeed feed;
  REQUIRE_FALSE(feed.Put(parser, std::string(kHead) + begin));

  boost::system::error_code error;
  for (size_t fed = 0; !error && fed < 2 * kMaxHead; fed += 1000)
    error = feed.Put(parser, std::string(1000, 'x'));

  CHECK(error == http::error::header_limit);
}

TEST_CASE("trailers that end beyond the limit are refused, and throw nothing") {
  http::request_parser<http::string_body> parser;
  parser.eager(true);
  HttpFeed feed;
  REQUIRE_FALSE(feed.Put(parser, std::string(kHead) + "0\r\nA:" + std::string(65'000, 'x')));

  CHECK(feed.Put(parser, std::string(600, 'x') + "\r\n\r\n") == http::error::header_limit);
}

TEST_CASE("a head of very many fields is refused, however it is cut") {
  http::request_parser<http::string_body> parser;
  parser.eager(true);
  parser.header_limit(kMaxHead);
  HttpFeed feed;
  REQUIRE_FALSE(feed.Put(parser, "PUT /x HTTP/1.1\r\na"));

  boost::system::error_code error;
  size_t fed = 0;
  // Each piece ends with a byte of the next field: all before it is used at once.
  for (; !error && fed < 4 * kMaxHead; fed += 4) error = feed.Put(parser, ":\r\na");

  CHECK(error == http::error::header_limit);
  CHECK(fed < kMaxHead + 100);
}

TEST_CASE("the head of each message of a connection has its own limit") {
  HttpFeed feed;
  for (int i = 0; i < 3; ++i) {
    http::request_parser<http::string_body> parser;
    parser.eager(true);
    parser.header_limit(kMaxHead);
    REQUIRE_FALSE(feed.Put(parser, "GET /x HTTP/1.1\r\nA: " + std::string(kMaxHead / 2, 'x')));
    REQUIRE_FALSE(feed.Put(parser, "\r\n\r\n"));
    REQUIRE(parser.is_done());
  }
}

}  // namespace
}  // namespace interlink::net
