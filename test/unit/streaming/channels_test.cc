#include "streaming/channels.h"

#include <catch2/catch.hpp>

namespace interlink::streaming {
namespace {

TEST_CASE("base64 is that of RFC 4648") {
  const auto [plain, text] = GENERATE(table<std::string, std::string>({
      {"", ""},
      {"f", "Zg=="},
      {"fo", "Zm8="},
      {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="},
      {"fooba", "Zm9vYmE="},
      {"foobar", "Zm9vYmFy"},
      {std::string("\xff\xef\xbe\x00", 4), "/+++AA=="},
  }));
  CHECK(EncodeBase64(plain) == text);
  const auto decoded = DecodeBase64(text);
  REQUIRE(decoded.ok());
  CHECK(*decoded == plain);
}

TEST_CASE("what is no base64 is refused") {
  const std::string text = GENERATE("Z", "Zg", "Zg=", "Zg==\n", "Z===", "====", "Zm9v!A==", "Z=9v",
                                    "Zg==Zg==", "Zm-_", "Zm 9v");
  INFO(text);
  CHECK(DecodeBase64(text).status().code() == Code::kInvalidArgument);
}

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
