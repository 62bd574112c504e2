#include "base/utf8.h"

#include <cstdint>

namespace interlink {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

uint8_t At(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// Bytes of the character that `text` begins with (RFC 3629: no surrogates, no overlong forms); 0:
// none.
size_t CharacterSize(std::string_view text) {
  const uint8_t first = At(text, 0);
  if (first < 0x80) return 1;
  size_t size = 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    size = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    size = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    size = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  }
  if (size == 0 || text.size() < size || At(text, 1) < low || At(text, 1) > high) return 0;
  for (size_t i = 2; i < size; ++i) {
    if ((At(text, i) & 0xC0) != 0x80) return 0;
  }
  return size;
}

}  // namespace

std::string Utf8Prefix(std::string_view text, size_t max_bytes) {
  std::string valid;
  while (!text.empty()) {
    const size_t size = CharacterSize(text);
    const std::string_view piece = size == 0 ? kReplacement : text.substr(0, size);
    if (valid.size() + piece.size() > max_bytes) break;
    valid += piece;
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return valid;
}

std::string OneLine(std::string_view text, size_t max_bytes) {
  const auto is_space = [](char c) { return static_cast<uint8_t>(c) <= ' ' || c == 0x7F; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  std::string line = Utf8Prefix(text, max_bytes);
  for (char& c : line) {
    if (is_space(c)) c = ' ';
  }
  return line;
}

}  // namespace interlink
