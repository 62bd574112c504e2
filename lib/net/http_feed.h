// Internal: bytes of the network for a parser of Beast.
#ifndef INTERLINK_NET_HTTP_FEED_H_
#define INTERLINK_NET_HTTP_FEED_H_

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <string>
#include <string_view>

#include "net/http.h"

namespace interlink::net {

// Gives `fresh` to the parser, behind what it has left in `buffered`; what it leaves now stands
// there afterwards. header_limit: a head of any kind is larger than kMaxHead, also a chunk's, or
// the trailers, for which Beast has no limit.
template <bool kIsRequest>
boost::system::error_code Feed(boost::beast::http::basic_parser<kIsRequest>& parser,
                               std::string& buffered, std::string_view fresh) {
  using boost::beast::http::error;
  // "0\r\n\r\n": Beast's parser asserts that it sees all of it when it sees the first chunk's head
  // for a second time and that chunk is the last.
  constexpr size_t kLastChunk = 5;
  const bool again = parser.is_header_done() && !buffered.empty();
  buffered.append(fresh);
  if (again && buffered.front() == '0' && buffered.size() < kLastChunk) return {};
  boost::system::error_code result;
  buffered.erase(0, parser.put(boost::asio::buffer(buffered), result));
  if (result && result != error::need_more) return result;
  if (!parser.is_done() && buffered.size() > kMaxHead) return error::header_limit;
  return {};
}

}  // namespace interlink::net

#endif  // INTERLINK_NET_HTTP_FEED_H_
