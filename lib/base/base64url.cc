#include "base/base64url.h"

#include <array>
#include <cstdint>

namespace interlink {
namespace {

constexpr int kNoDigit = -1;
constexpr std::string_view kBase64UrlDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<int, 256> Base64UrlValues() {
  std::array<int, 256> values{};
  for (int& value : values) value = kNoDigit;
  for (size_t i = 0; i < kBase64UrlDigits.size(); ++i)
    values[static_cast<unsigned char>(kBase64UrlDigits[i])] = static_cast<int>(i);
  return values;
}

constexpr std::array<int, 256> kBase64UrlValues = Base64UrlValues();

}  // namespace

Result<std::string> DecodeBase64Url(std::string_view text) {
  if (text.size() % 4 == 1) return InvalidArgument("no base64url: its length is of no bytes");
  std::string bytes(text.size() * 3 / 4, '\0');
  char* byte = bytes.data();
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = kBase64UrlValues[static_cast<unsigned char>(c)];
    if (value == kNoDigit) return InvalidArgument("no base64url: a character is none of it");
    bits = (bits << 6U) | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    *byte++ = static_cast<char>((bits >> static_cast<unsigned>(count)) & 0xffU);
  }
  if ((bits & ((1U << static_cast<unsigned>(count)) - 1U)) != 0)
    return InvalidArgument("no base64url: there are bits behind the last byte");
  return bytes;
}

}  // namespace interlink
