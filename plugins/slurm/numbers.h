// Whole decimal numbers out of a command's answer. Pure.
#ifndef INTERLINK_PLUGINS_SLURM_NUMBERS_H_
#define INTERLINK_PLUGINS_SLURM_NUMBERS_H_

#include <charconv>
#include <optional>
#include <string_view>

namespace interlink::slurm {

// The whole text as digits, without sign or space, that fit into T; nothing otherwise.
template <typename T>
std::optional<T> ParseDigits(std::string_view text) {
  T value = 0;
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_NUMBERS_H_
