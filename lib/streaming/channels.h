// Kubernetes' channels over WebSocket messages: which subprotocols there are, and one message <->
// its channel. Pure.
#ifndef INTERLINK_STREAMING_CHANNELS_H_
#define INTERLINK_STREAMING_CHANNELS_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink::streaming {

// Of exec and attach.
enum class Channel : uint8_t { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4 };
inline constexpr uint8_t kChannelClose = 255;  // v5: the byte behind it names the channel

struct ChannelProtocol {
  std::string_view name;     // of the subprotocol; "": none was asked for
  bool base64 = false;       // texts: a digit, then base64
  bool json_status = false;  // else the older plain text
  bool can_close = false;    // the client can end its stdin
};

// Those of exec and attach, and of port-forward over channels.
std::span<const ChannelProtocol> CommandProtocols();
std::span<const ChannelProtocol> ForwardProtocols();
// A port-forward's other form: SPDY in binary messages.
inline constexpr std::string_view kTunnelProtocol = "SPDY/3.1+portforward.k8s.io";

struct ChannelMessage {
  uint8_t channel = 0;
  std::string bytes;
};

// `message` is not empty. kInvalidArgument: no digit, no base64.
Result<ChannelMessage> DecodeMessage(const ChannelProtocol& protocol, std::string message);
// What a message begins with, before the payload.
std::string MessagePrefix(const ChannelProtocol& protocol, uint8_t channel);

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_CHANNELS_H_
