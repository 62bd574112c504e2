// Method: one RPC as an entry of a table. It knows no gRPC: bytes in, bytes out. It is unary
// (`run`) or answers with a stream of messages (`open`).
#ifndef INTERLINK_CRI_METHOD_H_
#define INTERLINK_CRI_METHOD_H_

#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/call.h"
#include "base/status.h"
#include "node/feed.h"
#include "node/node.h"
#include "node/reply.h"

namespace interlink::cri {

// A serialised response: its bytes are those of all slices, in order. Slices of lists are shared
// with the records.
using Body = node::Slices;
using Done = std::function<void(Result<Body>)>;

struct Method {
  std::string_view name;  // "/runtime.v1.RuntimeService/Version"
  // Never blocks; calls `done` once, now or later, from any thread. Null: see `open`.
  std::function<void(node::Node&, const Call&, std::string_view request, Done done)> run;
  bool unbounded = false;  // without a gRPC deadline it has none (pulls end without progress)
  // Never blocks. The edge reads the feed to its end, or cancels it.
  std::function<Result<node::FeedPtr>(node::Node&, std::string_view request)> open;
};

// The method of that name; null when there is none.
const Method* FindMethod(std::string_view name);

template <typename Response>
Body ToBody(const Response& response) {
  return {std::make_shared<const std::string>(response.SerializeAsString())};
}

template <typename Request>
Result<Request> Parse(std::string_view bytes) {
  Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return InvalidArgument("the request is not a " + Request::descriptor()->full_name());
  }
  return request;
}

// A use case that answers later: function(node, call, request, reply).
template <typename Request, typename Response, typename Function>
auto Later(Function function) {
  return [function](node::Node& node, const Call& call, std::string_view bytes, Done done) {
    auto request = Parse<Request>(bytes);
    if (!request.ok()) return done(request.status());
    function(node, call, *request, [done = std::move(done)](Result<Response> response) {
      if (!response.ok()) return done(response.status());
      done(ToBody(*response));
    });
  };
}

// One that answers from memory: function(node, request) -> Result<Response>.
template <typename Request, typename Function>
auto Now(Function function) {
  return [function](node::Node& node, const Call&, std::string_view bytes, Done done) {
    auto request = Parse<Request>(bytes);
    if (!request.ok()) return done(request.status());
    auto response = function(node, *request);
    if (!response.ok()) return done(response.status());
    done(ToBody(*response));
  };
}

// A list from memory, pre-serialised: function(node, request) -> Result<Slices>.
template <typename Request, typename Function>
auto Raw(Function function) {
  return [function](node::Node& node, const Call&, std::string_view bytes, Done done) {
    auto request = Parse<Request>(bytes);
    if (!request.ok()) return done(request.status());
    done(function(node, *request));
  };
}

// A list that comes later, pre-serialised: function(node, request, reply).
template <typename Request, typename Function>
auto RawLater(Function function) {
  return [function](node::Node& node, const Call&, std::string_view bytes, Done done) {
    const auto request = Parse<Request>(bytes);
    if (!request.ok()) return done(request.status());
    function(node, *request, std::move(done));
  };
}

// A list as a stream: the messages of at most `max_bytes` that it makes, at least one item in each.
// An empty list is no message, then the end.
node::FeedPtr InMessages(Body list, size_t max_bytes);

// Far below what clients take (kubelet: 16 MiB), far above one item.
inline constexpr size_t kStreamMessage = size_t{1} << 20U;

// A list from memory, in messages: function(node, request) -> Result<Slices>. Its items stand in
// field 1 of the list's and of the stream's response alike, so the slices are the same.
template <typename Request, typename Function>
auto Streamed(Function function) {
  return [function](node::Node& node, std::string_view bytes) -> Result<node::FeedPtr> {
    ASSIGN_OR_RETURN(const Request request, Parse<Request>(bytes));
    ASSIGN_OR_RETURN(Body list, function(node, request));
    return InMessages(std::move(list), kStreamMessage);
  };
}

// A stream whose list comes later.
class LateList : public node::Feed {
 public:
  // The list, or why there is none; the first word counts.
  virtual void Set(Result<Body> list) = 0;
};
std::shared_ptr<LateList> InMessagesLater(size_t max_bytes);

// The same for a list that comes later: function(node, request, reply).
template <typename Request, typename Function>
auto StreamedLater(Function function) {
  return [function](node::Node& node, std::string_view bytes) -> Result<node::FeedPtr> {
    ASSIGN_OR_RETURN(const Request request, Parse<Request>(bytes));
    const auto feed = InMessagesLater(kStreamMessage);  // owners: the reader and the reply
    function(node, request, [feed](Result<Body> list) { feed->Set(std::move(list)); });
    return node::FeedPtr(feed);
  };
}

}  // namespace interlink::cri

#endif  // INTERLINK_CRI_METHOD_H_
