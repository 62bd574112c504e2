// CRI log lines: "2006-01-02T15:04:05.000000000Z stdout F content\n".
//
// A container's lines have strictly increasing times over both streams: a reader that lost its
// place skips what is not later than the last time it has. Content is at most 16 KiB; longer lines
// are cut into P(artial) lines and a last F(ull) one. What has no line end when the stream ends is
// a P line. Content is bytes, not text. Not thread-safe.
#ifndef INTERLINK_SHIM_CRI_LOG_H_
#define INTERLINK_SHIM_CRI_LOG_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace interlink::shim {

enum class LogStream : uint8_t { kStdout = 0, kStderr = 1 };

inline constexpr size_t kMaxLogContent = size_t{16} * 1024;
inline constexpr size_t kLogTime = 30;               // "2006-01-02T15:04:05.000000000Z"
inline constexpr size_t kLogHeader = kLogTime + 10;  // " stdout F "
inline constexpr size_t kMaxLogLine = kLogHeader + kMaxLogContent + 1;
inline constexpr uint64_t kNanoseconds = 1'000'000'000;

struct LogLine {
  uint64_t time_ns = 0;  // Unix time
  LogStream stream = LogStream::kStdout;
  bool partial = false;
  std::string_view content;  // without the line end
};

namespace log_time {

inline void PutDigits(char* to, uint64_t number, size_t width) {
  for (size_t i = width; i > 0; --i) {
    to[i - 1] = static_cast<char>('0' + number % 10);
    number /= 10;
  }
}

// " stdout F "
inline void PutTag(char* to, LogStream stream, bool partial) {
  const std::string_view name = stream == LogStream::kStdout ? " stdout " : " stderr ";
  std::memcpy(to, name.data(), name.size());
  to[8] = partial ? 'P' : 'F';
  to[9] = ' ';
}

inline bool GetDigits(const char* from, size_t width, uint64_t& number) {
  number = 0;
  for (size_t i = 0; i < width; ++i) {
    if (from[i] < '0' || from[i] > '9') return false;
    number = number * 10 + static_cast<uint64_t>(from[i] - '0');
  }
  return true;
}

// Days after 1970-01-01 of a date in the Gregorian calendar; years start in March to put the leap
// day last.
constexpr uint64_t DaysFromDate(uint64_t year, uint64_t month, uint64_t day) {
  if (month <= 2) --year;
  const uint64_t shifted = month > 2 ? month - 3 : month + 9;
  return 365 * year + year / 4 - year / 100 + year / 400 + (153 * shifted + 2) / 5 + day - 1 -
         719468;
}

}  // namespace log_time

// Writes kLogTime bytes. REQUIRES: before the year 10000.
inline void FormatLogTime(uint64_t time_ns, char* to) {
  using log_time::PutDigits;
  const uint64_t seconds = time_ns / kNanoseconds;
  const uint64_t days = seconds / 86400 + 719468;  // after 0000-03-01
  const uint64_t era = days / 146097;
  const uint64_t of_era = days % 146097;
  const uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint64_t shifted = (5 * of_year + 2) / 153;
  const uint64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  PutDigits(to, era * 400 + year_of_era + (month <= 2 ? 1 : 0), 4);
  to[4] = '-';
  PutDigits(to + 5, month, 2);
  to[7] = '-';
  PutDigits(to + 8, of_year - (153 * shifted + 2) / 5 + 1, 2);
  to[10] = 'T';
  PutDigits(to + 11, seconds / 3600 % 24, 2);
  to[13] = ':';
  PutDigits(to + 14, seconds / 60 % 60, 2);
  to[16] = ':';
  PutDigits(to + 17, seconds % 60, 2);
  to[19] = '.';
  PutDigits(to + 20, time_ns % kNanoseconds, 9);
  to[29] = 'Z';
}

// The inverse, strict: nine digits of fraction and Z.
inline bool ParseLogTime(std::string_view text, uint64_t& time_ns) {
  using log_time::GetDigits;
  if (text.size() != kLogTime) return false;
  const char* at = text.data();
  uint64_t year = 0;
  uint64_t month = 0;
  uint64_t day = 0;
  uint64_t hour = 0;
  uint64_t minute = 0;
  uint64_t second = 0;
  uint64_t fraction = 0;
  if (!GetDigits(at, 4, year) || at[4] != '-' || !GetDigits(at + 5, 2, month) || at[7] != '-' ||
      !GetDigits(at + 8, 2, day) || at[10] != 'T' || !GetDigits(at + 11, 2, hour) ||
      at[13] != ':' || !GetDigits(at + 14, 2, minute) || at[16] != ':' ||
      !GetDigits(at + 17, 2, second) || at[19] != '.' || !GetDigits(at + 20, 9, fraction) ||
      at[29] != 'Z') {
    return false;
  }
  if (year < 1970 || year > 2500 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
      minute > 59 || second > 59) {
    return false;
  }
  time_ns = (((log_time::DaysFromDate(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) *
                kNanoseconds +
            fraction;
  return true;
}

// One line without its line end. False: not a CRI log line.
inline bool ParseLogLine(std::string_view text, LogLine& line) {
  if (text.size() < kLogHeader || !ParseLogTime({text.data(), kLogTime}, line.time_ns)) {
    return false;
  }
  const std::string_view tag(text.data() + kLogTime, kLogHeader - kLogTime);
  if (tag == " stdout F " || tag == " stdout P ") {
    line.stream = LogStream::kStdout;
  } else if (tag == " stderr F " || tag == " stderr P ") {
    line.stream = LogStream::kStderr;
  } else {
    return false;
  }
  line.partial = tag[8] == 'P';
  text.remove_prefix(kLogHeader);
  line.content = text;
  return true;
}

// Writes the header of a line, kLogHeader bytes.
inline void PutLogHeader(char* to, uint64_t time_ns, LogStream stream, bool partial) {
  FormatLogTime(time_ns, to);
  log_time::PutTag(to + kLogTime, stream, partial);
}

// LogFormatter makes lines of what a container's streams give. It keeps what has no line end yet.
// A sink is called as sink(const char*, size_t) with whole lines: once per Add, more often only
// when `out` is full.
class LogFormatter {
 public:
  // REQUIRES: capacity >= kMaxLogLine; `out` outlives the formatter.
  LogFormatter(char* out, size_t capacity) : out_(out), capacity_(capacity) {}
  LogFormatter(const LogFormatter&) = delete;
  LogFormatter& operator=(const LogFormatter&) = delete;

  template <typename Sink>
  void Add(LogStream stream, std::string_view bytes, uint64_t now_ns, Sink&& sink) {
    Carry& carry = carries_[static_cast<size_t>(stream)];
    while (!bytes.empty()) {
      const void* end = std::memchr(bytes.data(), '\n', bytes.size());
      const size_t length = end == nullptr
                                ? bytes.size()
                                : static_cast<size_t>(static_cast<const char*>(end) - bytes.data());
      const size_t room = kMaxLogContent - carry.size;
      if (length > room) {
        Emit(stream, {bytes.data(), room}, true, now_ns, sink);
        bytes.remove_prefix(room);
      } else if (end == nullptr) {
        std::memcpy(carry.bytes + carry.size, bytes.data(), length);
        carry.size += length;
        break;
      } else {
        Emit(stream, {bytes.data(), length}, false, now_ns, sink);
        bytes.remove_prefix(length + 1);
      }
    }
    Flush(sink);
  }

  // The stream has ended: what it left without a line end is a partial line.
  template <typename Sink>
  void Finish(LogStream stream, uint64_t now_ns, Sink&& sink) {
    if (carries_[static_cast<size_t>(stream)].size > 0) Emit(stream, {}, true, now_ns, sink);
    Flush(sink);
  }

  // A time that no line has had, for a line of the caller's own.
  uint64_t NextTime(uint64_t now_ns) {
    last_ns_ = now_ns > last_ns_ ? now_ns : last_ns_ + 1;
    return last_ns_;
  }

 private:
  struct Carry {
    size_t size = 0;
    char bytes[kMaxLogContent];
  };

  // The carried bytes and `rest` become a line.
  template <typename Sink>
  void Emit(LogStream stream, std::string_view rest, bool partial, uint64_t now_ns, Sink&& sink) {
    Carry& carry = carries_[static_cast<size_t>(stream)];
    if (capacity_ - size_ < kLogHeader + carry.size + rest.size() + 1) Flush(sink);
    char* to = out_ + size_;
    PutHeader(to, NextTime(now_ns), stream, partial);
    to += kLogHeader;
    if (carry.size > 0) std::memcpy(to, carry.bytes, carry.size);
    to += carry.size;
    if (!rest.empty()) std::memcpy(to, rest.data(), rest.size());
    to += rest.size();
    *to++ = '\n';
    size_ = static_cast<size_t>(to - out_);
    carry.size = 0;
  }

  // As PutLogHeader; the part above seconds is formatted once a second.
  void PutHeader(char* to, uint64_t time_ns, LogStream stream, bool partial) {
    if (time_ns / kNanoseconds != cached_second_) {
      FormatLogTime(time_ns, cached_);
      cached_second_ = time_ns / kNanoseconds;
    }
    std::memcpy(to, cached_, 20);
    log_time::PutDigits(to + 20, time_ns % kNanoseconds, 9);
    to[29] = 'Z';
    log_time::PutTag(to + kLogTime, stream, partial);
  }

  template <typename Sink>
  void Flush(Sink&& sink) {
    if (size_ > 0) sink(static_cast<const char*>(out_), size_);
    size_ = 0;
  }

  char* out_;
  size_t capacity_;
  size_t size_ = 0;
  uint64_t last_ns_ = 0;
  uint64_t cached_second_ = UINT64_MAX;
  char cached_[kLogTime];
  Carry carries_[2];
};

}  // namespace interlink::shim

#endif  // INTERLINK_SHIM_CRI_LOG_H_
