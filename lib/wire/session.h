// Messages of a session's WebSocket (proto/interlink/v1/session.proto) <-> bytes, and the credit
// that bounds them. Pure; both sides use it. Value types, not thread-safe.
#ifndef INTERLINK_WIRE_SESSION_H_
#define INTERLINK_WIRE_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"
#include "interlink/v1/session.pb.h"

namespace interlink::wire {

enum class Channel : uint8_t {
  kStdin = 0,
  kStdout = 1,
  kStderr = 2,
  kStatus = 3,
  kResize = 4,
  kCredit = 5,
  kClose = 255,
};

// Who has sent a message: each side has its own channels.
enum class Sender { kNode, kSite };

inline constexpr size_t kMaxSessionPayload = size_t{64} * 1024;
// What may be on the way, or wait at the receiver, in each direction.
inline constexpr uint32_t kSessionWindow = 1U << 20U;
inline constexpr Duration kSessionBeat = std::chrono::seconds(5);
inline constexpr Duration kSessionSilence = std::chrono::seconds(30);

// A decoded channel message; views point into the message.
struct ChannelMessage {
  Channel channel = Channel::kCredit;
  std::string_view data;                // kStdin, kStdout, kStderr
  Channel closed = Channel::kStdin;     // kClose
  interlink::v1::SessionStatus status;  // kStatus
  interlink::v1::SessionResize resize;  // kResize
  uint32_t credit = 0;                  // kCredit
};

// kInvalidArgument: not a message that `sender` may send.
Result<ChannelMessage> DecodeChannel(Sender sender, std::string_view message);

// REQUIRES: a data channel, bytes.size() <= kMaxSessionPayload.
std::string EncodeData(Channel channel, std::string_view bytes);
std::string EncodeClose(Channel closed);
std::string EncodeCredit(uint32_t bytes);
std::string EncodeResize(uint32_t columns, uint32_t rows);
std::string EncodeStatus(const interlink::v1::SessionStatus& status);

// Status <-> message. A problem without a proper code is kUnknown.
interlink::v1::SessionProblem ToProblem(const Status& status);
Status FromProblem(const interlink::v1::SessionProblem& problem);

// One side's account of both directions. A message costs its bytes, an empty one nothing.
class SessionCredit {
 public:
  // --- what we send
  // Bytes that may be sent now, at most kMaxSessionPayload; 0: wait for Granted.
  size_t Sendable() const;
  // REQUIRES: bytes <= Sendable()
  void Sent(size_t bytes) { send_left_ -= bytes; }
  // kInvalidArgument: more credit than there ever was data.
  Status Granted(uint32_t bytes);

  // --- what we receive
  // kInvalidArgument: the peer sends more than it may.
  Status Received(size_t bytes);
  // `bytes` of what was received have left for their destination.
  void Consumed(size_t bytes) { owed_ += bytes; }
  // The credit to give now; 0: not yet (few large grants instead of many small ones).
  uint32_t TakeGrant();

 private:
  uint64_t send_left_ = kSessionWindow;
  uint64_t receive_left_ = kSessionWindow;
  uint64_t owed_ = 0;
};

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_SESSION_H_
