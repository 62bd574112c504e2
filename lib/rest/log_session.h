// Internal: /v1/logs, one WebSocket for the logs of all containers of a node. Runs on the
// connection's strand.
//
// A log is read from what the node has acknowledged (reading from further on would let the site
// delete what the node may still lose), so what was sent and is not acknowledged is read again and
// skipped. Per container:
//
//   acknowledged <= sent <= sent + buffered        sent - acknowledged <= kWindow
#ifndef INTERLINK_REST_LOG_SESSION_H_
#define INTERLINK_REST_LOG_SESSION_H_

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "interlink/v1/logs.pb.h"
#include "net/reply_wait.h"
#include "net/websocket.h"
#include "rest/exchange.h"

namespace interlink::rest {

class LogSession : public std::enable_shared_from_this<LogSession> {
 public:
  LogSession(ExchangePtr exchange, std::shared_ptr<net::WebSocket> socket,
             std::shared_ptr<net::Signal> signal)
      : exchange_(std::move(exchange)),
        socket_(std::move(socket)),
        signal_(std::move(signal)),
        strand_(socket_->connection().executor()) {}

  // Serves until either side ends it; returns why.
  net::Awaitable<Status> Run();
  // From any thread.
  void Cancel() { socket_->Cancel(); }

 private:
  struct Subscription {
    SandboxId sandbox;
    uint64_t generation = 0;
    uint64_t acknowledged = 0;
    uint64_t sent = 0;
    uint64_t credit = 0;
    uint64_t asked_from = 0;  // where the last read began
    std::string buffer;       // bytes from `sent` on, the first `taken` of them are sent
    size_t taken = 0;
    uint64_t next = 0;   // offset after the buffer
    bool whole = false;  // bytes were dropped: the buffer does not map to offsets
    bool dirty = true;   // there may be more to read
    bool reading = false;
    bool at_end = false;  // the log ends after the buffer
    bool end_told = false;
    SteadyTime not_before;  // a read that failed is tried again
  };
  using Subscriptions = std::map<ContainerId, Subscription>;

  static net::Awaitable<void> ReadLoop(std::shared_ptr<LogSession> self);
  net::Awaitable<Status> WriteLoop();
  Status Take(const interlink::v1::LogRequest& request);
  // Not OK: the node breaks the protocol, and the stream ends.
  Status Subscribe(const interlink::v1::LogSubscribe& request);
  void Acknowledge(const interlink::v1::LogAcknowledge& request);
  // Marks what the domain has said to have grown.
  void TakeGrown();
  void Grew(const ContainerId& id);
  // Starts the reads that may be started.
  void StartReads();
  void StartRead(const ContainerId& id, Subscription& subscription);
  void Fetched(const ContainerId& id, uint64_t generation, uint64_t from, size_t max,
               Result<sdk::LogChunk> chunk);
  static void Store(Subscription& subscription, uint64_t from, size_t max, sdk::LogChunk chunk);
  // The next message to send; false: nothing now.
  bool NextMessage(interlink::v1::LogResponse& message);
  void Fail(const ContainerId& id, const Status& why);

  const ExchangePtr exchange_;
  const std::shared_ptr<net::WebSocket> socket_;  // owners: this and its coroutines
  const std::shared_ptr<net::Signal> signal_;     // owners: this, the edge, the domain's wake
  const boost::asio::any_io_executor strand_;
  Subscriptions subscriptions_;
  std::deque<interlink::v1::LogResponse> failures_;
  ContainerId last_served_;  // round robin
  uint64_t next_generation_ = 1;
  Status ended_;  // not OK: the reading side has ended
  Mutex mutex_;
  std::set<ContainerId> grown_ GUARDED_BY(mutex_);
};

}  // namespace interlink::rest

#endif  // INTERLINK_REST_LOG_SESSION_H_
