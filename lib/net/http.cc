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

std::vector<std::string> Headers::List(std::string_view name) const {
  constexpr std::string_view kSpace = " \t";
  std::vector<std::string> list;
  for (const auto& [key, value] : items_) {
    if (!EqualNoCase(key, name)) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      std::string_view item = rest.substr(0, comma);
      item.remove_prefix(std::min(item.find_first_not_of(kSpace), item.size()));
      item = item.substr(0, item.find_last_not_of(kSpace) + 1);
      if (!item.empty()) list.emplace_back(item);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return list;
}

}  // namespace interlink::net
