// Internal: bytes of the network for a parser of Beast.
#ifndef INTERLINK_NET_HTTP_FEED_H_
#define INTERLINK_NET_HTTP_FEED_H_

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "net/http.h"

namespace interlink::net {

// What has come of one connection and is not parsed yet. Not thread-safe.
class HttpFeed {
 public:
  HttpFeed() = default;
  explicit HttpFeed(std::string early) : left_(std::move(early)) {}

  // Gives `fresh` to the parser of one message, behind what is left; the same parser until it is
  // done. header_limit: the head, the head of a chunk, or the trailers are larger than kMaxHead,
  // which Beast says of a part of a head only. bad_alloc: Beast has no room for it.
  template <bool kIsRequest>
  boost::system::error_code Put(boost::beast::http::basic_parser<kIsRequest>& parser,
                                std::string_view fresh) {
    using boost::beast::http::error;
    // "0\r\n\r\n": the parser asserts that it sees all of it when it sees the first chunk's head
    // for a second time and that chunk is the last.
    constexpr size_t kLastChunk = 5;
    const bool in_head = !parser.is_header_done();
    if (!parser.got_some()) head_ = 0;
    const bool again = parser.is_header_done() && !left_.empty();
    left_.append(fresh);
    if (again && left_.front() == '0' && left_.size() < kLastChunk) return {};
    if (again && left_.size() > kMaxHead) return error::header_limit;
    boost::system::error_code result;
    try {
      const size_t used = parser.put(boost::asio::buffer(left_), result);
      left_.erase(0, used);
      if (in_head) head_ += used;
    } catch (const std::exception&) {
      return error::bad_alloc;
    }
    if (result && result != error::need_more) return result;
    const size_t unfinished = (parser.is_header_done() ? 0 : head_) + left_.size();
    if (!parser.is_done() && unfinished > kMaxHead) return error::header_limit;
    return {};
  }
  bool empty() const { return left_.empty(); }
  std::string Take() { return std::move(left_); }

 private:
  std::string left_;
  size_t head_ = 0;  // bytes of this message that were used while its head was not yet done
};

}  // namespace interlink::net

#endif  // INTERLINK_NET_HTTP_FEED_H_
