#include "streaming/terminal_size.h"

#include <nlohmann/json.hpp>

namespace interlink::streaming {
namespace {

constexpr size_t kMaxSizeText = 1024;  // of one size

Status Refuse() {
  return InvalidArgument(
      "a terminal's size must be {\"Width\":0-65535,\"Height\":0-65535} in JSON");
}

// A number of `size` under `name`; absent: 0, which is ignored.
Result<uint16_t> Number(const nlohmann::json& size, const char* name) {
  const auto it = size.find(name);
  if (it == size.end()) return uint16_t{0};
  if (!it->is_number_unsigned() || it->get<uint64_t>() > 65535) return Refuse();
  return it->get<uint16_t>();
}

Result<node::SessionInput> Parse(std::string_view text) {
  const auto size = nlohmann::json::parse(text, nullptr, false);
  if (!size.is_object()) return Refuse();
  node::SessionInput input;
  input.kind = node::SessionInput::Kind::kResize;
  ASSIGN_OR_RETURN(input.columns, Number(size, "Width"));
  ASSIGN_OR_RETURN(input.rows, Number(size, "Height"));
  return input;
}

}  // namespace

Result<std::optional<node::SessionInput>> TerminalSizes::Feed(std::string_view bytes) {
  rest_.append(bytes);
  std::optional<node::SessionInput> last;
  // A size has no nested objects: each ends at its first brace.
  if (const size_t end = rest_.rfind('}'); end != std::string::npos) {
    const size_t before = end == 0 ? std::string::npos : rest_.rfind('}', end - 1);
    const size_t begin = before == std::string::npos ? 0 : before + 1;
    const std::string_view text = std::string_view(rest_).substr(begin, end + 1 - begin);
    if (text.size() > kMaxSizeText) return Refuse();
    ASSIGN_OR_RETURN(last, Parse(text));
    rest_.erase(0, end + 1);
  }
  if (rest_.size() > kMaxSizeText) return Refuse();
  return last;
}

}  // namespace interlink::streaming
