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
  int refused = 0;  // negative: one of them is no digit
  const auto next = [&refused](char c) {
    const int value = kBase64UrlValues[static_cast<unsigned char>(c)];
    refused |= value;
    return static_cast<uint32_t>(value) & 0x3fU;
  };
  // Four digits are three bytes.
  while (text.size() >= 4) {
    const uint32_t bits =
        next(text[0]) << 18U | next(text[1]) << 12U | next(text[2]) << 6U | next(text[3]);
    *byte++ = static_cast<char>(bits >> 16U);
    *byte++ = static_cast<char>((bits >> 8U) & 0xffU);
    *byte++ = static_cast<char>(bits & 0xffU);
    text.remove_prefix(4);
  }
  uint32_t left = 0;
  if (text.size() >= 2) {
    left = next(text[0]) << 12U | next(text[1]) << 6U | (text.size() == 3 ? next(text[2]) : 0);
    *byte++ = static_cast<char>(left >> 10U);
    left &= 0x3ffU;
  }
  if (text.size() == 3) {
    *byte++ = static_cast<char>(left >> 2U);
    left &= 0x3U;
  }
  if (refused < 0) return InvalidArgument("no base64url: a character is none of it");
  if (left != 0) return InvalidArgument("no base64url: there are bits behind the last byte");
  return bytes;
}

}  // namespace interlink
