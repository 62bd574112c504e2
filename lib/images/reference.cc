#include "images/reference.h"

#include <algorithm>
#include <cctype>

namespace interlink::images {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxTag = 128;
constexpr size_t kMaxReference = 1024;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsAlphanumeric(char c) { return IsDigit(c) || IsLower(c) || IsUpper(c); }

// What came in, safe to print.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kMaxName))
    out += (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') ? c : '?';
  if (text.size() > kMaxName) out += "...";
  return out + "\"";
}

bool IsPort(std::string_view port) {
  return !port.empty() && port.size() <= 5 && std::all_of(port.begin(), port.end(), IsDigit) &&
         std::stoi(std::string(port)) <= 65535;
}

// domain = component *("." component) [":" port] / "[" IPv6 "]" [":" port]
bool IsHost(std::string_view host) {
  if (!host.empty() && host.front() == '[') {
    const size_t close = host.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    const std::string_view inside = host.substr(1, close - 1);
    if (!std::all_of(inside.begin(), inside.end(), [](char c) {
          return std::isxdigit(static_cast<unsigned char>(c)) || c == ':';
        }))
      return false;
    const std::string_view rest = host.substr(close + 1);
    return rest.empty() || (rest.front() == ':' && IsPort(rest.substr(1)));
  }
  const size_t colon = host.find(':');
  if (colon != std::string_view::npos && !IsPort(host.substr(colon + 1))) return false;
  std::string_view names = host.substr(0, colon);
  while (true) {
    const size_t dot = names.find('.');
    const std::string_view part = names.substr(0, dot);
    if (part.empty() || part.front() == '-' || part.back() == '-') return false;
    if (!std::all_of(part.begin(), part.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-'; }))
      return false;
    if (dot == std::string_view::npos) return true;
    names.remove_prefix(dot + 1);
  }
}

// path-component = alphanumeric *( ("." / "_" / "__" / 1*"-") alphanumeric ), lower case
bool IsPathComponent(std::string_view part) {
  const auto plain = [](char c) { return IsLower(c) || IsDigit(c); };
  if (part.empty() || !plain(part.front()) || !plain(part.back())) return false;
  for (size_t i = 0; i < part.size();) {
    if (plain(part[i])) {
      ++i;
      continue;
    }
    const size_t begin = i;
    while (i < part.size() && !plain(part[i])) ++i;
    const std::string_view separator = part.substr(begin, i - begin);
    const bool dashes = separator.find_first_not_of('-') == std::string_view::npos;
    if (!dashes && separator != "." && separator != "_" && separator != "__") return false;
  }
  return true;
}

bool IsPath(std::string_view path) {
  while (true) {
    const size_t slash = path.find('/');
    if (!IsPathComponent(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool IsTag(std::string_view tag) {
  if (tag.empty() || tag.size() > kMaxTag || tag.front() == '.' || tag.front() == '-') return false;
  return std::all_of(tag.begin(), tag.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

bool LooksLikeHost(std::string_view first) {
  return first == "localhost" || first.find_first_of(".:[") != std::string_view::npos ||
         std::any_of(first.begin(), first.end(), IsUpper);
}

// Splits host and path; fills in the default registry and "library/".
void SplitName(std::string_view name, const std::string& default_registry, Reference& out) {
  const size_t slash = name.find('/');
  const bool has_host = slash != std::string_view::npos && LooksLikeHost(name.substr(0, slash));
  if (has_host) {
    out.host = name.substr(0, slash);
    out.path = name.substr(slash + 1);
  } else {
    const size_t split = default_registry.find('/');
    out.host = default_registry.substr(0, split);
    out.path = split == std::string::npos
                   ? std::string(name)
                   : default_registry.substr(split + 1) + "/" + std::string(name);
  }
  if (out.host == "index.docker.io") out.host = "docker.io";
  if (out.host == "docker.io" && out.path.find('/') == std::string::npos)
    out.path.insert(0, "library/");
}

}  // namespace

std::string Reference::ToString() const {
  std::string out = Name();
  if (!tag.empty()) out += ":" + tag;
  if (digest) out += "@" + digest->str();
  return out;
}

Result<Reference> ParseReference(std::string_view text, const std::string& default_registry) {
  const std::string quoted = Quoted(text);
  if (text.empty()) return InvalidArgument("the image name is empty");
  if (text.size() > kMaxReference)
    return InvalidArgument("the image name " + quoted + " is too long");
  Reference out;
  std::string_view rest = text;
  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    auto digest = Digest::Parse(rest.substr(at + 1));
    if (!digest.ok()) return digest.status().WithContext("the image name " + quoted);
    out.digest = *digest;
    rest = rest.substr(0, at);
  }
  const size_t last_slash = rest.rfind('/');
  const size_t name_begin = last_slash == std::string_view::npos ? 0 : last_slash + 1;
  if (const size_t colon = rest.find(':', name_begin); colon != std::string_view::npos) {
    const std::string_view tag = rest.substr(colon + 1);
    if (!IsTag(tag)) {
      return InvalidArgument("the image name " + quoted +
                             " has a bad tag (letters, digits, \"_\", \".\", \"-\"; at most 128)");
    }
    out.tag = tag;
    rest = rest.substr(0, colon);
  }
  if (rest.size() == 64 && IsLowerHex(rest))
    return InvalidArgument("the image name " + quoted + " is an image id, which has no registry");
  SplitName(rest, default_registry, out);
  if (!IsHost(out.host))
    return InvalidArgument("the image name " + quoted + " has a bad registry host");
  if (std::any_of(out.path.begin(), out.path.end(), IsUpper))
    return InvalidArgument("the image name " + quoted + " has upper-case letters in its path");
  if (!IsPath(out.path)) return InvalidArgument("the image name " + quoted + " is not valid");
  if (out.Name().size() > kMaxName)
    return InvalidArgument("the image name " + quoted + " is longer than 255 characters");
  if (out.tag.empty() && !out.digest) out.tag = "latest";
  return out;
}

std::optional<std::string> IdPrefix(std::string_view text) {
  if (text.substr(0, 7) == "sha256:") text.remove_prefix(7);
  if (text.empty() || text.size() > 64 || !IsLowerHex(text)) return std::nullopt;
  return std::string(text);
}

}  // namespace interlink::images
