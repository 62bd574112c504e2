#include "net/base64.h"

#include <array>
#include <cstdint>

namespace interlink::net {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<uint8_t, 256> MakeValues() {
  std::array<uint8_t, 256> values{};
  for (auto& value : values) value = 255;
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    values.at(static_cast<unsigned char>(kAlphabet[i])) = static_cast<uint8_t>(i);
  return values;
}
constexpr std::array<uint8_t, 256> kValues = MakeValues();

}  // namespace

std::string EncodeBase64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  const auto byte = [&bytes](size_t at) {
    return at < bytes.size() ? static_cast<uint32_t>(static_cast<unsigned char>(bytes[at])) : 0U;
  };
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const uint32_t bits = byte(at) << 16U | byte(at + 1) << 8U | byte(at + 2);
    text += kAlphabet[bits >> 18U];
    text += kAlphabet[bits >> 12U & 63U];
    text += at + 1 < bytes.size() ? kAlphabet[bits >> 6U & 63U] : '=';
    text += at + 2 < bytes.size() ? kAlphabet[bits & 63U] : '=';
  }
  return text;
}

Result<std::string> DecodeBase64(std::string_view text) {
  const auto refuse = [] { return InvalidArgument("not proper base64"); };
  if (text.size() % 4 != 0) return refuse();
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (size_t at = 0; at < text.size(); at += 4) {
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; ++i) {
      const bool pad = at + i >= text.size() - padding;
      const uint8_t value = pad ? 0 : kValues.at(static_cast<unsigned char>(text[at + i]));
      if (value == 255) return refuse();
      bits = bits << 6U | value;
    }
    bytes += static_cast<char>(bits >> 16U);
    bytes += static_cast<char>(bits >> 8U & 255U);
    bytes += static_cast<char>(bits & 255U);
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

}  // namespace interlink::net
