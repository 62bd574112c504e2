#include "telemetry/log_text.h"

#include <nlohmann/json.hpp>
#include <set>

namespace interlink::telemetry {
namespace {

constexpr size_t kMaxValue = 8192;

// The length of the valid UTF-8 sequence at the front of `text`, 0 when there is none.
size_t SequenceLength(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t length = first < 0x80   ? 1U
                        : first < 0xc2 ? 0U
                        : first < 0xe0 ? 2U
                        : first < 0xf0 ? 3U
                        : first < 0xf5 ? 4U
                                       : 0U;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0U) != 0x80U) return 0;
  }
  if (length < 3) return length;
  const auto second = static_cast<unsigned char>(text[1]);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool outside = (first == 0xed && second >= 0xa0) || (first == 0xf4 && second >= 0x90);
  return overlong || outside ? 0 : length;
}

// C1 controls (U+0080 to U+009F) steer terminals as ESC does.
bool IsSecondControl(std::string_view sequence) {
  return sequence.size() == 2 && static_cast<unsigned char>(sequence[0]) == 0xc2 &&
         static_cast<unsigned char>(sequence[1]) < 0xa0;
}

void AppendByte(std::string& out, char byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto value = static_cast<unsigned char>(byte);
  out += "\\x";
  out += kDigits[value >> 4U];
  out += kDigits[value & 15U];
}

// Returns whether anything was escaped.
bool AppendEscaped(std::string& out, std::string_view text) {
  bool escaped = false;
  while (!text.empty()) {
    const char byte = text[0];
    const size_t length = SequenceLength(text);
    if (byte == '\n' || byte == '\t' || byte == '\r') {
      out += byte == '\n' ? "\\n" : byte == '\t' ? "\\t" : "\\r";
      escaped = true;
    } else if (byte == '"' || byte == '\\') {
      out += '\\';
      out += byte;
      escaped = true;
    } else if (length == 0 || (length == 1 && (byte < 0x20 || byte == 0x7f))) {
      AppendByte(out, byte);
      escaped = true;
    } else if (IsSecondControl(text.substr(0, length))) {
      AppendByte(out, text[0]);
      AppendByte(out, text[1]);
      escaped = true;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return escaped;
}

std::string Cut(std::string_view value) {
  if (value.size() <= kMaxValue) return std::string(value);
  return std::string(value.substr(0, kMaxValue)) + "... (" +
         std::to_string(value.size() - kMaxValue) + " bytes more)";
}

std::string JsonString(std::string_view text) {
  using nlohmann::json;
  return json(Cut(text)).dump(-1, ' ', true, json::error_handler_t::replace);
}

}  // namespace

std::string ToLogText(std::string_view message, const std::vector<LogField>& fields) {
  std::string out;
  AppendEscaped(out, Cut(message));
  for (const LogField& field : fields) {
    std::string value;
    const bool escaped = AppendEscaped(value, Cut(field.value));
    const bool quoted = escaped || value.empty() || value.find_first_of(" =") != std::string::npos;
    out += ' ';
    out += field.key;
    out += '=';
    if (quoted) out += '"';
    out += value;
    if (quoted) out += '"';
  }
  return out;
}

std::string ToLogJson(std::string_view message, const std::vector<LogField>& fields) {
  std::string out = "\"message\":" + JsonString(message);
  std::set<std::string, std::less<>> names = {"time", "level", "message"};
  for (const LogField& field : fields) {
    std::string name(field.key);
    while (!names.insert(name).second) name += '_';
    out += ',' + JsonString(name) + ':' + JsonString(field.value);
  }
  return out;
}

}  // namespace interlink::telemetry
