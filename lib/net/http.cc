#include "net/http.h"

#include <algorithm>

namespace interlink::net {

bool EqualNoCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

void Headers::Set(std::string name, std::string value) {
  std::erase_if(items_, [&name](const auto& item) { return EqualNoCase(item.first, name); });
  Add(std::move(name), std::move(value));
}

std::optional<std::string> Headers::Get(std::string_view name) const {
  for (const auto& [key, value] : items_) {
    if (EqualNoCase(key, name)) return value;
  }
  return std::nullopt;
}

}  // namespace interlink::net
