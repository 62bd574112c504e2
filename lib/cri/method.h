// Method: one RPC as an entry of a table. It knows no gRPC: bytes in, bytes out.
#ifndef INTERLINK_CRI_METHOD_H_
#define INTERLINK_CRI_METHOD_H_

#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/call.h"
#include "base/status.h"
#include "node/node.h"
#include "node/reply.h"

namespace interlink::cri {

// A serialised response: its bytes are those of all slices, in order. Slices of lists are shared
// with the records.
using Body = node::Slices;
using Done = std::function<void(Result<Body>)>;

struct Method {
  std::string_view name;  // "/runtime.v1.RuntimeService/Version"
  // Never blocks; calls `done` once, now or later, from any thread.
  std::function<void(node::Node&, const Call&, std::string_view request, Done done)> run;
  bool unbounded = false;  // without a gRPC deadline it has none (pulls end without progress)
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

}  // namespace interlink::cri

#endif  // INTERLINK_CRI_METHOD_H_
