#include "wire/position.h"

#include <charconv>

namespace interlink::wire {
namespace {

bool ParseNumber(std::string_view text, uint64_t* number) {
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, *number);
  return error == std::errc() && rest == end;
}

}  // namespace

Result<interlink::v1::Position> ParsePosition(std::string_view text) {
  interlink::v1::Position position;
  if (text.empty()) return position;
  const size_t colon = text.find(':');
  uint64_t epoch = 0;
  uint64_t number = 0;
  if (colon == std::string_view::npos || !ParseNumber(text.substr(0, colon), &epoch) ||
      !ParseNumber(text.substr(colon + 1), &number))
    return InvalidArgument("\"after\" must be EPOCH:N, two decimal numbers, e.g. 3:1200");
  position.set_epoch(epoch);
  position.set_number(number);
  return position;
}

std::string FormatPosition(const interlink::v1::Position& position) {
  return std::to_string(position.epoch()) + ":" + std::to_string(position.number());
}

}  // namespace interlink::wire
