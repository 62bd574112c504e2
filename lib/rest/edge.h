// Internal: what all requests of an edge share.
#ifndef INTERLINK_REST_EDGE_H_
#define INTERLINK_REST_EDGE_H_

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/step_pool.h"
#include "net/http_server.h"
#include "net/reply_wait.h"
#include "rest/rest.h"

namespace interlink::rest {

class LogSession;

inline constexpr Duration kMaxHeartbeat = std::chrono::seconds(5);  // DESIGN 5

struct Edge::State {
  State(Options o, const Ports& p) : options(std::move(o)), ports(p) {}

  const Options options;
  const Ports ports;
  // For the few calls of the domain that read files; io threads must not.
  StepPool blocking{"rest", 2, 4096};

  Mutex mutex;
  CondVar idle;
  std::vector<std::unique_ptr<net::HttpServer>> servers GUARDED_BY(mutex);
  bool stopping GUARDED_BY(mutex) = false;  // streams end
  bool ended GUARDED_BY(mutex) = false;     // every request ends
  struct Running {
    std::shared_ptr<net::Signal> signal;  // owners: this and the request
    bool stream = false;
  };
  std::list<Running> running GUARDED_BY(mutex);
  std::map<NodeId, size_t> in_progress GUARDED_BY(mutex);
  std::map<std::string, size_t> sessions GUARDED_BY(mutex);  // by the route's name
  std::map<NodeId, std::weak_ptr<LogSession>> logs GUARDED_BY(mutex);

  bool Stopping() {
    MutexLock lock(mutex);
    return stopping;
  }
  bool Ended() {
    MutexLock lock(mutex);
    return ended;
  }
};

}  // namespace interlink::rest

#endif  // INTERLINK_REST_EDGE_H_
