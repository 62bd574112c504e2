// Small text without a C++ runtime library: a bounded buffer, a scanner. Not thread-safe.
#ifndef INTERLINK_SHIM_TEXT_H_
#define INTERLINK_SHIM_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace interlink::shim {

// The first `length` bytes; all of it when it is shorter. (string_view::substr may throw.)
constexpr std::string_view Prefix(std::string_view text, size_t length) {
  return {text.data(), text.size() < length ? text.size() : length};
}

// Appends to memory that the caller owns. What does not fit sets overflow() and is not added.
class TextBuffer {
 public:
  TextBuffer(char* buffer, size_t capacity) : buffer_(buffer), capacity_(capacity) {}

  TextBuffer& Add(std::string_view text) {
    if (overflow_ || text.size() > capacity_ - size_) {
      overflow_ = true;
    } else if (!text.empty()) {
      std::memcpy(buffer_ + size_, text.data(), text.size());
      size_ += text.size();
    }
    return *this;
  }
  TextBuffer& AddUnsigned(uint64_t number) {
    char digits[20];
    size_t at = sizeof digits;
    do {
      digits[--at] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    return Add({digits + at, sizeof digits - at});
  }
  TextBuffer& AddNumber(int64_t number) {
    if (number >= 0) return AddUnsigned(static_cast<uint64_t>(number));
    return Add("-").AddUnsigned(~static_cast<uint64_t>(number) + 1);
  }

  size_t size() const { return size_; }
  bool overflow() const { return overflow_; }
  std::string_view view() const { return {buffer_, size_}; }
  void Clear() {
    size_ = 0;
    overflow_ = false;
  }

 private:
  char* buffer_;
  size_t capacity_;
  size_t size_ = 0;
  bool overflow_ = false;
};

// A TextBuffer with its own memory, always usable as a C string. Not copyable.
template <size_t kCapacity>
class Text : public TextBuffer {
 public:
  Text() : TextBuffer(memory_, kCapacity) {}
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;

  const char* c_str() {
    memory_[size()] = '\0';
    return memory_;
  }

 private:
  char memory_[kCapacity + 1] = {};
};

// Reads text from the front; each step answers whether it was there and consumes nothing if not.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool Skip(std::string_view expected) {
    if (Prefix(rest_, expected.size()) != expected) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  // Decimal digits without sign or leading zeros, at most 2^64 - 1.
  bool Unsigned(uint64_t& number) {
    uint64_t value = 0;
    size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      const auto digit = static_cast<uint64_t>(rest_[digits] - '0');
      if (value > (UINT64_MAX - digit) / 10) return false;
      if (digits == 1 && value == 0) return false;
      value = value * 10 + digit;
    }
    if (digits == 0) return false;
    rest_.remove_prefix(digits);
    number = value;
    return true;
  }
  bool Number(int64_t& number) {
    const std::string_view before = rest_;
    const bool negative = Skip("-");
    uint64_t value = 0;
    if (!Unsigned(value) || value > static_cast<uint64_t>(INT64_MAX)) {
      rest_ = before;
      return false;
    }
    number = negative ? -static_cast<int64_t>(value) : static_cast<int64_t>(value);
    return true;
  }
  // What stands before `end`, which is consumed too.
  bool Until(char end, std::string_view& found) {
    const void* at = rest_.empty() ? nullptr : std::memchr(rest_.data(), end, rest_.size());
    if (at == nullptr) return false;
    const auto length = static_cast<size_t>(static_cast<const char*>(at) - rest_.data());
    found = {rest_.data(), length};
    rest_.remove_prefix(length + 1);
    return true;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace interlink::shim

#endif  // INTERLINK_SHIM_TEXT_H_
