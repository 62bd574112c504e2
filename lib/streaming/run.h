// Internal: carries what a client's transport and the site's session have for each other. One
// coroutine per direction, on the client's strand; in each direction one message is in progress, so
// whoever is slow holds the other side back.
#ifndef INTERLINK_STREAMING_RUN_H_
#define INTERLINK_STREAMING_RUN_H_

#include <memory>
#include <set>
#include <string>

#include "base/call.h"
#include "base/metrics.h"
#include "net/connection.h"
#include "net/reply_wait.h"
#include "node/sessions.h"
#include "streaming/limits.h"
#include "streaming/transport.h"
#include "streaming/watch.h"

namespace interlink::streaming {

// What a run needs. Owners: the server and its runs.
struct RunPorts {
  RunPorts(node::Sessions& s, Metrics& m, const Limits& l)
      : sessions(s), metrics(m), limits(l), slots(l.sessions) {}
  // Bytes that were handed on: `direction` is "in" (from the client) or "out".
  void CountBytes(const char* direction, size_t bytes);

  node::Sessions& sessions;
  Metrics& metrics;
  const Limits limits;
  Slots slots;
};

// A client's session in progress.
class Run {
 public:
  virtual ~Run() = default;
  // From any thread: tells the client why, as far as it listens, and ends within
  // Limits::farewell.
  virtual void End(Status why) = 0;
};

// An exec or attach.
class CommandRun final : public Run, public std::enable_shared_from_this<CommandRun> {
 public:
  // `connection`: the transport's.
  CommandRun(std::shared_ptr<RunPorts> ports, std::shared_ptr<net::Connection> connection,
             std::shared_ptr<CommandTransport> transport, node::StreamRequest request);

  // To its end. OK: the client was told the command's own end. Once.
  net::Awaitable<Status> Serve();
  void End(Status why) override;

 private:
  using Self = std::shared_ptr<CommandRun>;

  net::Awaitable<Status> Open();
  // From the site to the client, until the site has no more; what the client is to be told.
  net::Awaitable<CommandEnd> Deliver();
  // From the client to the site, until the client has gone.
  static net::Awaitable<void> ReadClient(Self self);
  net::Awaitable<bool> HandOn(node::SessionInput input);
  net::Awaitable<Status> WriteSession(node::SessionInput input);
  void EndNow(const Status& why);
  void ClientGone(const Status& why);
  void EndSession();

  const std::shared_ptr<RunPorts> ports_;
  const std::shared_ptr<net::Connection> connection_;
  const std::shared_ptr<CommandTransport> transport_;
  const node::StreamRequest request_;
  const boost::asio::any_io_executor strand_;
  const Call opening_;
  const std::shared_ptr<Watch> watch_;
  const std::shared_ptr<net::Signal> reader_over_;  // owners: this and its waiter
  node::SessionPtr session_;
  Status ended_;            // not OK: End was called
  Status gone_;             // not OK: so is the client
  bool reading_ = false;    // ReadClient is at work
  bool finishing_ = false;  // the client's leaving is as it should be
};

// A port-forward client.
class ForwardRun final : public Run, public std::enable_shared_from_this<ForwardRun> {
 public:
  ForwardRun(std::shared_ptr<RunPorts> ports, std::shared_ptr<net::Connection> connection,
             std::shared_ptr<ForwardTransport> transport, SandboxId sandbox);

  // To its end. OK: the client has left properly. Once.
  net::Awaitable<Status> Serve();
  void End(Status why) override;

 private:
  using Self = std::shared_ptr<ForwardRun>;
  struct Forward;
  using ForwardPtr = std::shared_ptr<Forward>;

  // Takes the stream, or refuses it for want of room.
  void Take(std::shared_ptr<ForwardStream> stream);
  static net::Awaitable<void> Refuse(Self self, std::shared_ptr<ForwardStream> stream);
  static net::Awaitable<void> ServeStream(Self self, ForwardPtr forward);
  net::Awaitable<Status> Carry(ForwardPtr forward);
  net::Awaitable<Status> Dial(ForwardPtr forward);
  // From the pod to the client, until the pod has finished.
  net::Awaitable<Status> Deliver(ForwardPtr forward);
  // From the client to the pod, until the client has finished.
  static net::Awaitable<void> ReadClient(Self self, ForwardPtr forward);
  net::Awaitable<Status> HandOn(ForwardPtr forward, std::string bytes);
  void EndNow(const Status& why);
  void EndStreams();

  const std::shared_ptr<RunPorts> ports_;
  const std::shared_ptr<net::Connection> connection_;
  const std::shared_ptr<ForwardTransport> transport_;
  const SandboxId sandbox_;
  const boost::asio::any_io_executor strand_;
  const std::shared_ptr<Watch> watch_;
  const std::shared_ptr<net::Signal> stream_over_;  // owners: this and its waiter
  std::set<ForwardPtr> forwards_;
  Status ended_;  // not OK: End was called
};

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_RUN_H_
