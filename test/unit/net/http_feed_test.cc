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
  std::string buffered;
  for (const std::string_view piece :
       {message.substr(0, first), message.substr(first, second), message.substr(first + second)}) {
    if (piece.empty()) continue;
    REQUIRE_FALSE(Feed(parser, buffered, piece));
  }
  REQUIRE(parser.is_done());
  REQUIRE(buffered.empty());
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
  std::string buffered;

  for (const std::string& piece : {std::string(kHead) + "1", std::string("\r\n"), std::string("0")})
    REQUIRE_FALSE(Feed(parser, buffered, piece));

  CHECK(parser.get().body() == "0");
}

TEST_CASE("heads of chunks and trailers have a limit") {
  const auto begin = GENERATE(as<std::string>(), "1;", "0\r\nX-Trailer: ");
  http::request_parser<http::string_body> parser;
  parser.eager(true);
  std::string buffered;
  REQUIRE_FALSE(Feed(parser, buffered, std::string(kHead) + begin));

  boost::system::error_code error;
  for (size_t fed = 0; !error && fed < 2 * kMaxHead; fed += 1000)
    error = Feed(parser, buffered, std::string(1000, 'x'));

  CHECK(error == http::error::header_limit);
  CHECK(buffered.size() < kMaxHead + 2000);
}

}  // namespace
}  // namespace interlink::net
