#include "net/base64.h"

#include <catch2/catch.hpp>

namespace interlink::net {
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

}  // namespace
}  // namespace interlink::net
