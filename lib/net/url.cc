#include "net/url.h"

#include <charconv>

namespace interlink::net {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsUnreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

bool HasControl(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return true;
  }
  return false;
}

}  // namespace

Result<Url> ParseUrl(std::string_view text) {
  const auto bad = [text](const std::string& why) {
    return InvalidArgument("\"" + std::string(text.substr(0, 200)) +
                           "\" is not a URL that can be used: " + why);
  };
  if (HasControl(text)) return bad("it contains a space or control character");
  Url url;
  if (text.starts_with("https://")) {
    url.scheme = "https";
    url.port = 443;
  } else if (text.starts_with("http://")) {
    url.scheme = "http";
    url.port = 80;
  } else {
    return bad("it must begin with https:// or http://");
  }
  std::string_view rest = text.substr(url.scheme.size() + 3);
  const size_t slash = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, slash);
  url.target = slash == std::string_view::npos ? "/" : std::string(rest.substr(slash));
  if (url.target[0] == '?') url.target.insert(0, "/");
  if (url.target.find('#') != std::string::npos) return bad("it has a fragment");
  if (authority.find('@') != std::string_view::npos) return bad("it has a user name");
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad("\"]\" is missing");
    url.host = std::string(authority.substr(1, close - 1));
    port = authority.substr(close + 1);
  } else {
    const size_t colon = authority.find(':');
    url.host = std::string(authority.substr(0, colon));
    port = colon == std::string_view::npos ? std::string_view() : authority.substr(colon);
  }
  if (url.host.empty()) return bad("it has no host");
  if (!port.empty()) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), value);
    if (port[0] != ':' || error != std::errc() || end != port.data() + port.size() || value == 0 ||
        value > 65535) {
      return bad("the port must be 1 to 65535");
    }
    url.port = static_cast<uint16_t>(value);
    url.has_port = true;
  }
  return url;
}

bool IsLoopbackHost(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  if (!host.starts_with("127.")) return false;
  return host.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::string PercentEncode(std::string_view text, bool keep_slash) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (IsUnreserved(c) || (keep_slash && c == '/')) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += kDigits[byte >> 4U];
      encoded += kDigits[byte & 15U];
    }
  }
  return encoded;
}

Result<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
    if (high < 0 || low < 0) return InvalidArgument("a \"%\" is not followed by two hex digits");
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (decoded.find('\0') != std::string::npos)
    return InvalidArgument("a NUL character is not allowed");
  return decoded;
}

Result<Target> ParseTarget(std::string_view target) {
  if (!target.starts_with('/')) return InvalidArgument("the request target must begin with \"/\"");
  Target parsed;
  const size_t question = target.find('?');
  parsed.path = std::string(target.substr(0, question));
  if (question == std::string_view::npos) return parsed;
  std::string_view rest = target.substr(question + 1);
  while (!rest.empty()) {
    const size_t amp = rest.find('&');
    const std::string_view item = rest.substr(0, amp);
    rest = amp == std::string_view::npos ? std::string_view() : rest.substr(amp + 1);
    const size_t equals = item.find('=');
    ASSIGN_OR_RETURN(std::string key, PercentDecode(item.substr(0, equals)));
    std::string value;
    if (equals != std::string_view::npos) {
      ASSIGN_OR_RETURN(value, PercentDecode(item.substr(equals + 1)));
    }
    if (!parsed.query.emplace(std::move(key), std::move(value)).second) {
      return InvalidArgument("a query parameter is given twice");
    }
  }
  return parsed;
}

}  // namespace interlink::net
