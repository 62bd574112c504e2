#include "base/base64url.h"

#include <catch2/catch.hpp>
#include <random>

namespace interlink {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// RFC 4648, section 5, without padding; bit by bit.
std::string Encoded(const std::string& bytes) {
  std::string text;
  for (size_t bit = 0; bit < bytes.size() * 8; bit += 6) {
    unsigned digit = 0;
    for (size_t i = bit; i < bit + 6; ++i) {
      const auto byte = i / 8 < bytes.size() ? static_cast<unsigned char>(bytes[i / 8]) : 0U;
      digit = digit << 1U | (byte >> (7 - i % 8) & 1U);
    }
    text += kDigits[digit];
  }
  return text;
}

TEST_CASE("base64url: the vectors of RFC 4648, without their padding") {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"}};
  for (const auto& [bytes, text] : vectors) {
    INFO(text);
    CHECK(DecodeBase64Url(text).value() == bytes);
  }
}

TEST_CASE("base64url: bytes of every length come back") {
  std::mt19937 random(1);  // NOLINT(cert-msc32-c, cert-msc51-cpp): the same bytes each time
  for (size_t size = 0; size < 200; ++size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    INFO(size);
    CHECK(DecodeBase64Url(Encoded(bytes)).value() == bytes);
  }
}

TEST_CASE("base64url: what is no digit is refused wherever it is") {
  for (size_t size = 2; size <= 12; ++size) {
    if (size % 4 == 1) continue;
    for (size_t at = 0; at < size; ++at) {
      for (int c = 0; c < 256; ++c) {
        const char digit = static_cast<char>(c);
        if (kDigits.find(digit) != std::string_view::npos) continue;
        std::string text(size, 'A');
        text[at] = digit;
        const auto bytes = DecodeBase64Url(text);
        INFO(size << " digits, " << c << " at " << at);
        REQUIRE(bytes.status().code() == Code::kInvalidArgument);
        REQUIRE(bytes.status().message() == "no base64url: a character is none of it");
      }
    }
  }
}

TEST_CASE("base64url: one text for the same bytes, of a length that has bytes") {
  for (const char digit : kDigits) {
    const auto value = static_cast<unsigned>(kDigits.find(digit));
    INFO(digit);
    CHECK(DecodeBase64Url(std::string("A") + digit).ok() == (value % 16 == 0));
    CHECK(DecodeBase64Url(std::string("AAAAAA") + digit).ok() == (value % 4 == 0));
    CHECK(DecodeBase64Url(std::string("AAA") + digit).ok());
  }
  for (const char* text : {"A", "AAAAA", "!"})
    CHECK(DecodeBase64Url(text).status().message() == "no base64url: its length is of no bytes");
}

}  // namespace
}  // namespace interlink
