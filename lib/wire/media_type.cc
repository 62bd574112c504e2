#include "wire/media_type.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace interlink::wire {
namespace {

constexpr std::string_view kSpace = " \t";

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

// Splits at `separator`, not inside quoted strings.
std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  bool quoted = false;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == separator && !quoted)) {
      parts.push_back(Trimmed(text.substr(begin, i - begin)));
      begin = i + 1;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == '\\' && quoted && i + 1 < text.size()) {
      ++i;
    }
  }
  return parts;
}

struct MediaRange {
  std::string type;     // "application/json", lower case
  std::string charset;  // lower case, without quotes
  int q = 1000;         // thousandths
};

// 0, 1, 0.5, 1.000 as thousandths.
std::optional<int> ParseQ(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return std::nullopt;
  int q = (text[0] - '0') * 1000;
  if (text.size() == 1) return q;
  if (text[1] != '.') return std::nullopt;
  int unit = 100;
  for (const char c : text.substr(2)) {
    if (c < '0' || c > '9') return std::nullopt;
    q += (c - '0') * unit;
    unit /= 10;
  }
  return q <= 1000 ? std::optional(q) : std::nullopt;
}

std::optional<MediaRange> ParseRange(std::string_view text) {
  const auto parts = Split(text, ';');
  MediaRange range{.type = Lower(parts[0]), .charset = "", .q = 1000};
  const size_t slash = range.type.find('/');
  if (slash == 0 || slash == std::string::npos || slash + 1 == range.type.size() ||
      range.type.find_first_of(" \t\"") != std::string::npos)
    return std::nullopt;
  for (size_t i = 1; i < parts.size(); ++i) {
    const size_t equals = parts[i].find('=');
    if (equals == std::string_view::npos) continue;  // tolerated: it changes nothing
    const std::string key = Lower(Trimmed(parts[i].substr(0, equals)));
    std::string value = Lower(Trimmed(parts[i].substr(equals + 1)));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    if (key == "charset") range.charset = value;
    if (key == "q") {
      const auto q = ParseQ(value);
      if (!q) return std::nullopt;
      range.q = *q;
    }
  }
  return range;
}

// 0: does not match; more specific ranges are higher.
int Specificity(const MediaRange& range, Encoding encoding) {
  if (range.type == "*/*") return 1;
  if (range.type == "application/*") return 2;
  if (range.type == MediaType(encoding) || range.type == StreamMediaType(encoding)) return 3;
  return 0;
}

int QualityOf(const std::vector<MediaRange>& ranges, Encoding encoding) {
  int best = 0;
  int q = 0;
  for (const MediaRange& range : ranges) {
    const int specificity = Specificity(range, encoding);
    if (specificity > best || (specificity == best && best > 0 && range.q > q)) {
      best = specificity;
      q = range.q;
    }
  }
  return q;
}

}  // namespace

std::string_view MediaType(Encoding encoding) {
  return encoding == Encoding::kJson ? kMediaJson : kMediaProtobuf;
}

std::string_view StreamMediaType(Encoding encoding) {
  return encoding == Encoding::kJson ? kMediaNdjson : kMediaProtobuf;
}

Result<Encoding> EncodingOfBody(std::string_view content_type, bool has_body) {
  if (Trimmed(content_type).empty() && !has_body) return Encoding::kProtobuf;
  const auto range = ParseRange(Trimmed(content_type));
  if (range && (range->charset.empty() || range->charset == "utf-8")) {
    for (const Encoding encoding : {Encoding::kProtobuf, Encoding::kJson}) {
      if (Specificity(*range, encoding) == 3) return encoding;
    }
  }
  return InvalidArgument("Content-Type \"" + std::string(content_type.substr(0, 128)) +
                         "\" is not supported: send application/json or application/x-protobuf");
}

Result<Encoding> EncodingOfAnswer(std::string_view accept, Encoding preferred) {
  if (Trimmed(accept).empty()) return preferred;
  std::vector<MediaRange> ranges;
  for (const std::string_view part : Split(accept, ',')) {
    if (part.empty()) continue;  // RFC 9110 5.6.1: empty list members are ignored
    const auto range = ParseRange(part);
    if (!range)
      return InvalidArgument("Accept has a malformed media range: \"" +
                             std::string(part.substr(0, 128)) + "\"");
    ranges.push_back(*range);
  }
  const Encoding other = preferred == Encoding::kJson ? Encoding::kProtobuf : Encoding::kJson;
  const int q_preferred = QualityOf(ranges, preferred);
  const int q_other = QualityOf(ranges, other);
  if (q_preferred == 0 && q_other == 0)
    return InvalidArgument("Accept \"" + std::string(accept.substr(0, 128)) +
                           "\" allows neither application/json nor application/x-protobuf");
  return q_other > q_preferred ? other : preferred;
}

bool IsProblem(std::string_view content_type) {
  const auto range = ParseRange(Trimmed(content_type));
  return range && range->type == kMediaProblem;
}

}  // namespace interlink::wire
