#include "images/json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace interlink::images {
namespace {

std::string Path(const std::string& where, const char* name) {
  return "\"" + (where.empty() ? std::string() : where + ".") + name + "\"";
}

// Levels of nesting, counted over the bytes: nothing is built yet.
int Depth(std::string_view bytes) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<nlohmann::json> ParseObject(std::string_view bytes, const std::string& what) {
  constexpr int kMaxDepth = 64;
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || bytes[first] != '{')
    return InvalidArgument(what + " is not a JSON object");
  if (Depth(bytes) > kMaxDepth) return InvalidArgument(what + " is nested deeper than 64 levels");
  nlohmann::json root = nlohmann::json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return InvalidArgument(what + " is not a JSON object");
  return root;
}

Result<std::string> TextField(const nlohmann::json& object, const char* name,
                              const std::string& where) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return std::string();
  if (!found->is_string()) return InvalidArgument(Path(where, name) + " is not a string");
  std::string text = found->get<std::string>();
  if (text.find('\0') != std::string::npos)
    return InvalidArgument(Path(where, name) + " holds a NUL");
  return text;
}

Result<std::vector<std::string>> TextListField(const nlohmann::json& object, const char* name,
                                               const std::string& where) {
  std::vector<std::string> out;
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return out;
  if (!found->is_array()) return InvalidArgument(Path(where, name) + " is not a list");
  for (const auto& item : *found) {
    if (!item.is_string()) return InvalidArgument(Path(where, name) + " is not a list of strings");
    out.push_back(item.get<std::string>());
    if (out.back().find('\0') != std::string::npos)
      return InvalidArgument(Path(where, name) + " holds a NUL");
  }
  return out;
}

std::string Printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200)) out += (c >= 0x20 && c < 0x7f) ? c : '?';
  if (text.size() > 200) out += "...";
  return out;
}

}  // namespace interlink::images
