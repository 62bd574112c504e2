// Internal: carries an open session between a node's WebSocket (proto/interlink/v1/session.proto)
// and the backend's descriptor. Runs on the connection's strand.
//
//   ReadSocket -> input_ -> WriteEnd        at most wire::kSessionWindow wait in between
//   ReadEnd -> the socket                   only as much as the node gave credit for
//   Run                                     credit, heartbeats, the end
//
// What ends it: the exit status; the node (its close, its silence for 30 s); the descriptor's end;
// the edge's stop. The descriptor is closed in each case: what that means for a command is the
// backend's (stdin closed, HUP, after 10 s KILL).
#ifndef INTERLINK_REST_SESSION_PUMP_H_
#define INTERLINK_REST_SESSION_PUMP_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/reply_wait.h"
#include "net/websocket.h"
#include "shim/frames.h"
#include "shim/messages.h"
#include "wire/session.h"

namespace interlink::rest {

class SessionPump : public std::enable_shared_from_this<SessionPump> {
 public:
  // What the descriptor carries: frames of lib/shim (exec, attach), or bare bytes (port-forward).
  enum class Kind { kFrames, kBytes };
  struct Parts {
    std::shared_ptr<net::WebSocket> socket;
    std::shared_ptr<net::Connection> end;  // the descriptor, on the socket's strand
    std::shared_ptr<void> counted;         // kept until the pump has ended
    std::shared_ptr<net::Signal> signal;   // set when the edge stops
    std::function<bool()> stopping;
  };

  SessionPump(Kind kind, Parts parts);

  // Until the session is over and the node knows; returns why. OK: in the regular way.
  net::Awaitable<Status> Run();

 private:
  using Self = std::shared_ptr<SessionPump>;

  static net::Awaitable<void> ReadSocket(Self self);
  static net::Awaitable<void> WriteEnd(Self self);
  static net::Awaitable<void> ReadEnd(Self self);
  net::Awaitable<Status> ReadFrames();
  net::Awaitable<Status> ReadBytes();
  // True: `frame` was the last one.
  net::Awaitable<Result<bool>> SendFrame(shim::Frame frame);
  net::Awaitable<Status> SendData(wire::Channel channel, std::string_view bytes);
  net::Awaitable<Status> WriteInput(std::string message);
  net::Awaitable<Status> WriteResize(shim::WindowSize size);
  net::Awaitable<Status> CloseInput();
  net::Awaitable<void> SayLastWords();
  Status Take(std::string message);
  // The session ends, once: `last` (may be empty) and a close frame with `code` are still sent.
  void End(Status why, std::string last, uint16_t code);
  void EndWithProblem(const Status& why, uint16_t code);
  // A port-forward whose two directions have ended.
  void EndWhenBothClosed();

  const Kind kind_;
  const Parts parts_;
  const boost::asio::any_io_executor strand_;
  const std::shared_ptr<net::Signal> input_changed_;
  const std::shared_ptr<net::Signal> credit_came_;

  wire::SessionCredit credit_;
  std::deque<std::string> input_;  // whole messages of channel 0
  std::optional<shim::WindowSize> resize_;
  bool input_closed_ = false;  // the node has said that nothing follows
  bool input_ended_ = false;   // the descriptor was told, or takes nothing any more
  bool input_dead_ = false;    // it takes nothing: what comes is dropped
  bool output_ended_ = false;  // kBytes
  bool over_ = false;
  bool peer_gone_ = false;  // nothing can be said any more
  bool reader_done_ = false;
  Status why_;
  std::string last_;
  uint16_t code_ = 1000;
};

}  // namespace interlink::rest

#endif  // INTERLINK_REST_SESSION_PUMP_H_
