// Internal: what comes before a route: matching, identity, headers and limits.
#ifndef INTERLINK_REST_ADMIT_H_
#define INTERLINK_REST_ADMIT_H_

#include <list>
#include <memory>
#include <optional>

#include "rest/exchange.h"

namespace interlink::rest {

// The request id and deadline that the caller sent, or our own.
Call CallOf(const net::HttpRequest& request);

// Fills `exchange`. The answer of a refusal, or nothing when the request may go on.
std::optional<net::HttpResponse> Admit(Face face, Exchange& exchange);

// A request in progress, counted against its node's limit until this dies.
class Running {
 public:
  Running(std::shared_ptr<Edge::State> state, NodeId node, std::shared_ptr<net::Signal> signal,
          bool stream);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  // Of its node, this one included.
  size_t count() const { return count_; }

 private:
  const std::shared_ptr<Edge::State> state_;
  const NodeId node_;
  std::list<Edge::State::Running>::iterator position_;
  size_t count_ = 0;
};

// Stops, removes, links and the event stream are never refused for the number of other requests
// (DESIGN 6.1).
bool IsLimited(wire::Route route);

}  // namespace interlink::rest

#endif  // INTERLINK_REST_ADMIT_H_
