#include "streaming/channels.h"

#include "net/base64.h"

namespace interlink::streaming {
namespace {

constexpr ChannelProtocol kCommand[] = {
    {.name = "v5.channel.k8s.io", .json_status = true, .can_close = true},
    {.name = "v4.channel.k8s.io", .json_status = true},
    {.name = "v4.base64.channel.k8s.io", .base64 = true, .json_status = true},
    {.name = "channel.k8s.io"},
    {.name = "base64.channel.k8s.io", .base64 = true},
    {.name = ""},
};
constexpr ChannelProtocol kForward[] = {
    {.name = "v4.channel.k8s.io"},
    {.name = "v4.base64.channel.k8s.io", .base64 = true},
    {.name = ""},
};

}  // namespace

std::span<const ChannelProtocol> CommandProtocols() { return kCommand; }
std::span<const ChannelProtocol> ForwardProtocols() { return kForward; }

Result<ChannelMessage> DecodeMessage(const ChannelProtocol& protocol, std::string message) {
  ChannelMessage decoded;
  if (protocol.base64) {
    if (message[0] < '0' || message[0] > '9')
      return InvalidArgument("a message must begin with the digit of its channel");
    decoded.channel = static_cast<uint8_t>(message[0] - '0');
    auto bytes = net::DecodeBase64(std::string_view(message).substr(1));
    if (!bytes.ok()) return bytes.status().WithContext("a message");
    decoded.bytes = *std::move(bytes);
    return decoded;
  }
  decoded.channel = static_cast<uint8_t>(message[0]);
  message.erase(0, 1);
  decoded.bytes = std::move(message);
  return decoded;
}

std::string MessagePrefix(const ChannelProtocol& protocol, uint8_t channel) {
  return std::string(1, static_cast<char>(protocol.base64 ? '0' + channel : channel));
}

}  // namespace interlink::streaming
