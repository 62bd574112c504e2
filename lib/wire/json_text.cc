#include "wire/json_text.h"

#include <algorithm>

namespace interlink::wire {
namespace {

void AppendUtf8(uint32_t point, std::string* out) {
  const auto put = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0U | point >> 6U);
    put(0x80U | (point & 0x3FU));
  } else if (point < 0x10000) {
    put(0xE0U | point >> 12U);
    put(0x80U | (point >> 6U & 0x3FU));
    put(0x80U | (point & 0x3FU));
  } else {
    put(0xF0U | point >> 18U);
    put(0x80U | (point >> 12U & 0x3FU));
    put(0x80U | (point >> 6U & 0x3FU));
    put(0x80U | (point & 0x3FU));
  }
}

bool IsHighSurrogate(uint32_t unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool IsLowSurrogate(uint32_t unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

}  // namespace

void JsonText::SkipSpace() {
  while (!AtEnd() && (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r'))
    ++position_;
}

bool JsonText::Take(char c) {
  if (AtEnd() || text_[position_] != c) return false;
  ++position_;
  return true;
}

Status JsonText::Word(std::string_view word) {
  if (text_.substr(position_, word.size()) != word)
    return Error("a value (object, list, string, number, true, false, null) must stand here");
  position_ += word.size();
  return {};
}

Result<std::string> JsonText::String() {
  if (!Take('"')) return Error("a string in double quotes must stand here");
  std::string out;
  while (true) {
    if (AtEnd()) return Error("the text ends inside a string");
    const auto byte = static_cast<unsigned char>(text_[position_]);
    if (byte == '"') break;
    if (byte < 0x20) return Error("a control character inside a string must be escaped");
    if (byte == '\\') {
      RETURN_IF_ERROR(Escape(&out));
    } else if (byte >= 0x80) {
      RETURN_IF_ERROR(MultiByte(&out));
    } else {
      out.push_back(text_[position_++]);
    }
  }
  ++position_;
  return out;
}

Status JsonText::Escape(std::string* out) {
  static constexpr std::string_view kNames = "\"\\/bfnrt";
  static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  ++position_;
  if (AtEnd()) return Error("the text ends inside a string");
  if (const size_t index = kNames.find(Peek()); index != std::string_view::npos) {
    out->push_back(kMeanings[index]);
    ++position_;
    return {};
  }
  if (!Take('u')) return Error("unknown escape in a string");
  ASSIGN_OR_RETURN(uint32_t point, FourHexDigits());
  if (IsLowSurrogate(point)) return Error("a low surrogate without a high one before it");
  if (IsHighSurrogate(point)) {
    if (!Take('\\') || !Take('u')) return Error("a high surrogate without a low one after it");
    ASSIGN_OR_RETURN(const uint32_t low, FourHexDigits());
    if (!IsLowSurrogate(low)) return Error("a high surrogate without a low one after it");
    point = 0x10000U + ((point - 0xD800U) << 10U) + (low - 0xDC00U);
  }
  AppendUtf8(point, out);
  return {};
}

Result<uint32_t> JsonText::FourHexDigits() {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i, ++position_) {
    const char c = Peek();
    uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint32_t>(c - 'a') + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<uint32_t>(c - 'A') + 10;
    } else {
      return Error("four hexadecimal digits must follow \\u");
    }
    value = value << 4U | digit;
  }
  return value;
}

Status JsonText::MultiByte(std::string* out) {
  const auto at = [this](size_t i) -> uint32_t {
    return position_ + i < text_.size() ? static_cast<unsigned char>(text_[position_ + i]) : 0U;
  };
  const uint32_t first = at(0);
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  static constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  uint32_t point = length == 4 ? first & 0x07U : length == 3 ? first & 0x0FU : first & 0x1FU;
  bool valid = first >= 0xC2 && first <= 0xF4;
  for (size_t i = 1; i < length; ++i) {
    valid = valid && (at(i) & 0xC0U) == 0x80U;
    point = point << 6U | (at(i) & 0x3FU);
  }
  // Overlong forms, surrogates, and what lies above Unicode.
  valid = valid && point >= kSmallest[length] && point <= 0x10FFFF && !IsHighSurrogate(point) &&
          !IsLowSurrogate(point);
  if (!valid) return Error("invalid UTF-8");
  out->append(text_.substr(position_, length));
  position_ += length;
  return {};
}

bool JsonText::Digits() {
  const size_t begin = position_;
  while (Peek() >= '0' && Peek() <= '9') ++position_;
  return position_ > begin;
}

Result<std::string_view> JsonText::Number() {
  const size_t begin = position_;
  Take('-');
  if (Take('0')) {
    if (Peek() >= '0' && Peek() <= '9') return Error("a number must not begin with 0");
  } else if (!Digits()) {
    return Error("a digit must stand here");
  }
  if (Take('.') && !Digits()) return Error("a digit must follow the point");
  if (Take('e') || Take('E')) {
    if (!Take('+')) Take('-');
    if (!Digits()) return Error("a digit must stand in the exponent");
  }
  return text_.substr(begin, position_ - begin);
}

Status JsonText::Error(std::string_view what) const {
  const std::string_view before = text_.substr(0, position_);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t last = before.rfind('\n');
  const size_t column = 1 + (last == std::string_view::npos ? position_ : position_ - last - 1);
  return InvalidArgument("not strict JSON at line " + std::to_string(line) + ", column " +
                         std::to_string(column) + ": " + std::string(what));
}

}  // namespace interlink::wire
