#include "streaming/channels.h"

#include <catch2/catch.hpp>

namespace interlink::streaming {
namespace {

TEST_CASE("a message is a channel and its bytes") {
  const ChannelProtocol binary{.name = "v4.channel.k8s.io"};
  const ChannelProtocol text{.name = "base64.channel.k8s.io", .base64 = true};

  CHECK(DecodeMessage(binary, std::string("\x00hi", 3))->bytes == "hi");
  CHECK(DecodeMessage(binary, std::string("\xff\x00", 2))->channel == 255);
  CHECK(DecodeMessage(binary, std::string("\x04"))->bytes.empty());
  CHECK(DecodeMessage(text, "0Zm9v")->bytes == "foo");
  CHECK(DecodeMessage(text, "4")->channel == 4);
  CHECK(DecodeMessage(text, "xZm9v").status().code() == Code::kInvalidArgument);
  CHECK(DecodeMessage(text, "0Zm9").status().code() == Code::kInvalidArgument);
  CHECK(MessagePrefix(binary, 3) == "\x03");
  CHECK(MessagePrefix(text, 3) == "3");
}

}  // namespace
}  // namespace interlink::streaming
