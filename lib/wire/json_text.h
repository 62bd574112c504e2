// Lexical half of strict_json: one RFC 8259 token at a time. Not a public header of lib/wire.
#ifndef INTERLINK_WIRE_JSON_TEXT_H_
#define INTERLINK_WIRE_JSON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink::wire {

// Walks over a text from its first byte. Errors name line and column.
class JsonText {
 public:
  explicit JsonText(std::string_view text) : text_(text) {}

  void SkipSpace();
  bool AtEnd() const { return position_ == text_.size(); }
  // The next byte, '\0' at the end.
  char Peek() const { return AtEnd() ? '\0' : text_[position_]; }
  // Consumes `c` if it is next.
  bool Take(char c);
  // Consumes `word` ("true", "null") or fails.
  Status Word(std::string_view word);
  // Consumes a string and answers it unescaped.
  Result<std::string> String();
  // Consumes a number and answers its text.
  Result<std::string_view> Number();
  // "not strict JSON at line 2, column 7: <what>".
  Status Error(std::string_view what) const;

 private:
  Status Escape(std::string* out);
  Result<uint32_t> FourHexDigits();
  // Consumes one UTF-8 sequence whose first byte is not ASCII.
  Status MultiByte(std::string* out);
  bool Digits();

  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_JSON_TEXT_H_
