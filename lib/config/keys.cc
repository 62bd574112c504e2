// The kinds of keys that schema.h declares.
#include <algorithm>
#include <charconv>
#include <chrono>

#include "config/scalars.h"
#include "config/schema.h"

namespace interlink::config {
namespace {

constexpr size_t kShown = 64;  // of a wrong value in a message

Key MakeKey(std::string path, std::string takes, std::string doc) {
  Key key;
  key.path = std::move(path);
  key.takes = std::move(takes);
  key.doc = std::move(doc);
  return key;
}

std::string Joined(const std::vector<std::string>& words, const std::string& separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

std::string ShowList(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& item : list) text += (text.empty() ? "" : ", ") + Quoted(item);
  return "[" + text + "]";
}

// Reads each item of a list with `read_item(item, path)`, which answers Result<std::string>.
template <typename ReadItem>
Result<std::vector<std::string>> ReadList(const Value& value, const std::string& path,
                                          const std::string& takes, ReadItem read_item) {
  if (value.kind != Value::Kind::kList) return MustBe(value, path, takes);
  std::vector<std::string> list;
  for (size_t i = 0; i < value.items.size(); ++i) {
    ASSIGN_OR_RETURN(std::string item,
                     read_item(value.items[i], path + "[" + std::to_string(i) + "]"));
    list.push_back(std::move(item));
  }
  return list;
}

// A key whose scalar is read by `parse(text)`, which answers an optional, and shown by
// `format(value)`.
template <typename T, typename Parse, typename Format>
Key ScalarKey(Key key, T* target, Parse parse, Format format) {
  key.read = [target, parse, takes = key.takes](const Value& value,
                                                const std::string& path) -> Status {
    ASSIGN_OR_RETURN(const std::string text, ReadText(value, path));
    const auto parsed = parse(text);
    if (!parsed) return MustBe(value, path, takes);
    *target = *parsed;
    return {};
  };
  key.show = [target, format] { return format(*target); };
  return key;
}

template <typename T>
std::optional<T> InRange(std::optional<T> value, T smallest, T largest) {
  return value && *value >= smallest && *value <= largest ? value : std::nullopt;
}

std::optional<int64_t> ParseNumber(const std::string& text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

}  // namespace

Status MustBe(const Value& value, const std::string& path, const std::string& takes) {
  std::string is = "empty";
  if (value.kind == Value::Kind::kList) is = "a list";
  if (value.kind == Value::Kind::kMap) is = "a map";
  if (value.kind == Value::Kind::kScalar)
    is = Quoted(value.scalar.size() > kShown ? value.scalar.substr(0, kShown) + "..."
                                             : value.scalar);
  return InvalidArgument(value.where + ": " + path + " must be " + takes + ", it is " + is);
}

Result<std::string> ReadText(const Value& value, const std::string& path) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (value.kind != Value::Kind::kScalar) return MustBe(value, path, "a text");
  if (std::any_of(value.scalar.begin(), value.scalar.end(), control))
    return MustBe(value, path, "one line without control characters");
  return value.scalar;
}

Result<bool> ReadBoolean(const Value& value, const std::string& path) {
  if (value.kind == Value::Kind::kScalar && !value.quoted) {
    if (value.scalar == "true") return true;
    if (value.scalar == "false") return false;
  }
  return MustBe(value, path, "true or false (without quotes)");
}

Result<std::string> ReadPath(const Value& value, const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, ReadText(value, path));
  if (!IsAbsolutePath(text)) return MustBe(value, path, "an absolute path without \"..\"");
  return text;
}

bool IsAbsolutePath(const std::string& text) {
  if (!text.starts_with('/') || text.size() > 4095) return false;
  for (size_t begin = 1; begin <= text.size();) {
    const size_t end = std::min(text.find('/', begin), text.size());
    const std::string component = text.substr(begin, end - begin);
    if (component == "." || component == "..") return false;
    begin = end + 1;
  }
  return true;
}

std::string Quoted(const std::string& text) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      quoted += "\\x";
      quoted += kHex[byte >> 4U];
      quoted += kHex[byte & 0x0FU];
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

Key WithExample(Key key, std::string example) {
  key.example = std::move(example);
  return key;
}

Key TextKey(std::string path, std::string* target, std::string doc) {
  return ScalarKey(
      MakeKey(std::move(path), "a text", std::move(doc)), target,
      [](const std::string& text) { return std::optional(text); },
      [](const std::string& text) { return text.empty() ? "" : Quoted(text); });
}

Key BooleanKey(std::string path, bool* target, std::string doc) {
  Key key = MakeKey(std::move(path), "true or false (without quotes)", std::move(doc));
  key.read = [target](const Value& value, const std::string& where) -> Status {
    ASSIGN_OR_RETURN(*target, ReadBoolean(value, where));
    return {};
  };
  key.show = [target] { return std::string(*target ? "true" : "false"); };
  return key;
}

Key PathKey(std::string path, std::string* target, std::string doc) {
  return ScalarKey(
      MakeKey(std::move(path), "an absolute path without \"..\"", std::move(doc)), target,
      [](const std::string& text) {
        return IsAbsolutePath(text) ? std::optional(text) : std::nullopt;
      },
      [](const std::string& text) { return text.empty() ? "" : Quoted(text); });
}

Key PortKey(std::string path, uint16_t* target, std::string doc) {
  return ScalarKey(
      MakeKey(std::move(path), "a port from 1 to 65535", std::move(doc)), target,
      [](const std::string& text) -> std::optional<uint16_t> {
        const auto number = InRange<int64_t>(ParseNumber(text), 1, 65535);
        return number ? std::optional(static_cast<uint16_t>(*number)) : std::nullopt;
      },
      [](uint16_t port) { return port == 0 ? "" : std::to_string(port); });
}

Key DurationKey(std::string path, Duration* target, Duration smallest, Duration largest,
                std::string doc) {
  const std::string takes = "a duration such as 15m, 1h30m or 250ms, from " +
                            FormatDuration(smallest) + " to " + FormatDuration(largest);
  return ScalarKey(
      MakeKey(std::move(path), takes, std::move(doc)), target,
      [smallest, largest](const std::string& text) {
        return InRange(ParseDuration(text), smallest, largest);
      },
      FormatDuration);
}

Key NeverKey(std::string path, Duration* target, std::string doc) {
  return ScalarKey(
      MakeKey(std::move(path), "never, or a duration such as 24h", std::move(doc)), target,
      [](const std::string& text) -> std::optional<Duration> {
        if (text == "never") return Duration::zero();
        const auto duration = ParseDuration(text);
        return duration && *duration > Duration::zero() ? duration : std::nullopt;
      },
      [](Duration duration) {
        return duration == Duration::zero() ? "never" : FormatDuration(duration);
      });
}

Key SizeKey(std::string path, uint64_t* target, uint64_t smallest, uint64_t largest,
            std::string doc) {
  const std::string takes =
      "a size such as 512MiB or 1GiB, from " + FormatSize(smallest) + " to " + FormatSize(largest);
  return ScalarKey(
      MakeKey(std::move(path), takes, std::move(doc)), target,
      [smallest, largest](const std::string& text) {
        return InRange(ParseSize(text), smallest, largest);
      },
      FormatSize);
}

Key NumberKey(std::string path, int64_t* target, int64_t smallest, int64_t largest,
              std::string doc) {
  const std::string takes =
      "a whole number from " + std::to_string(smallest) + " to " + std::to_string(largest);
  return ScalarKey(
      MakeKey(std::move(path), takes, std::move(doc)), target,
      [smallest, largest](const std::string& text) {
        return InRange(ParseNumber(text), smallest, largest);
      },
      [](int64_t number) { return std::to_string(number); });
}

Key WordKey(std::string path, size_t* target, std::vector<std::string> words, std::string doc) {
  return ScalarKey(
      MakeKey(std::move(path), Joined(words, " or "), std::move(doc)), target,
      [words](const std::string& text) -> std::optional<size_t> {
        const auto it = std::find(words.begin(), words.end(), text);
        if (it == words.end()) return std::nullopt;
        return static_cast<size_t>(it - words.begin());
      },
      [words](size_t index) { return words[index]; });
}

Key PathListKey(std::string path, std::vector<std::string>* target, std::string doc) {
  Key key = MakeKey(std::move(path), "a list of absolute paths", std::move(doc));
  key.read = [target, takes = key.takes](const Value& value, const std::string& where) -> Status {
    ASSIGN_OR_RETURN(*target, ReadList(value, where, takes, ReadPath));
    return {};
  };
  key.show = [target] { return ShowList(*target); };
  return key;
}

Key TextListKey(std::string path, std::vector<std::string>* target, std::string doc) {
  Key key = MakeKey(std::move(path), "a list of texts", std::move(doc));
  key.read = [target, takes = key.takes](const Value& value, const std::string& where) -> Status {
    ASSIGN_OR_RETURN(*target, ReadList(value, where, takes, ReadText));
    return {};
  };
  key.show = [target] { return ShowList(*target); };
  return key;
}

Key TextListMapKey(std::string path, std::map<std::string, std::vector<std::string>>* target,
                   std::string doc) {
  Key key = MakeKey(std::move(path), "a map of names and lists of texts", std::move(doc));
  key.read = [target, takes = key.takes](const Value& value, const std::string& where) -> Status {
    if (value.kind != Value::Kind::kMap) return MustBe(value, where, takes);
    target->clear();
    for (const Member& member : value.members) {
      ASSIGN_OR_RETURN((*target)[member.key],
                       ReadList(member.value, where + "." + member.key, "a list", ReadText));
    }
    return {};
  };
  key.show = [target] {
    std::string text;
    for (const auto& [name, list] : *target)
      text += (text.empty() ? "" : ", ") + Quoted(name) + ": " + ShowList(list);
    return "{" + text + "}";
  };
  return key;
}

}  // namespace interlink::config
