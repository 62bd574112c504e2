// Internal: an open session's WebSocket. All members live on its strand but the methods that say
// otherwise.
//
//   Read <- received_ <- ReadLoop      at most wire::kSessionWindow, and what has ended
//   Write -> out_ -> WriteLoop         two messages, as far as the site gives credit
//
// Owners: the handle that the caller has, the two loops, posted calls. The handle's end, like the
// connection's, ends the loops.
#ifndef INTERLINK_SITE_CLIENT_SESSION_WIRE_H_
#define INTERLINK_SITE_CLIENT_SESSION_WIRE_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/reply_wait.h"
#include "net/websocket.h"
#include "node/session.h"
#include "wire/session.h"

namespace interlink::site_client {

class SessionWire : public std::enable_shared_from_this<SessionWire> {
 public:
  // `silence`: of the site, until it is taken for gone.
  SessionWire(std::shared_ptr<net::WebSocket> socket, bool forward, Duration silence)
      : socket_(std::move(socket)),
        forward_(forward),
        silence_(silence),
        strand_(socket_->connection().executor()),
        changed_(std::make_shared<net::Signal>(strand_)) {}

  // Once: the loops begin.
  void Start();
  // The methods of node::Session: from any thread.
  void Read(node::Reply<node::SessionOutput> reply);
  void Write(node::SessionInput input, std::function<void(Status)> done);
  void Cancel();

 private:
  using Self = std::shared_ptr<SessionWire>;

  static net::Awaitable<void> ReadLoop(Self self);
  static net::Awaitable<void> WriteLoop(Self self);
  net::Awaitable<Status> WriteNext();
  Status Take(std::string message);
  void Enqueue(node::SessionInput input, std::function<void(Status)> done);
  // Gives the reader what there is.
  void Deliver();
  // What is next for the reader; nothing: not here yet.
  std::optional<Result<node::SessionOutput>> TakeNext();
  bool MaySend() const;
  // Nothing comes or goes any more: why. The first word counts.
  void End(Status why);
  Status Lost(const std::string& why) const;

  const std::shared_ptr<net::WebSocket> socket_;
  const bool forward_;
  const Duration silence_;
  const boost::asio::any_io_executor strand_;
  const std::shared_ptr<net::Signal> changed_;  // there may be something to write, or an end

  wire::SessionCredit credit_;
  std::deque<std::string> received_;  // whole messages of channels 1 and 2
  bool output_closed_ = false;        // a port-forward's
  std::optional<interlink::v1::SessionStatus> exit_;
  node::Reply<node::SessionOutput> reader_;  // waits
  std::deque<node::SessionInput> out_;
  bool input_closed_ = false;
  std::function<void(Status)> writer_;  // waits
  Status over_;
};

}  // namespace interlink::site_client

#endif  // INTERLINK_SITE_CLIENT_SESSION_WIRE_H_
