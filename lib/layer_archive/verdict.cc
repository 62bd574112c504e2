#include "layer_archive/verdict.h"

#include <algorithm>
#include <charconv>

#include "base/utf8.h"

namespace interlink::layer_archive {

std::string VerdictLine(const Status& verdict) {
  std::string words = Utf8Prefix(verdict.message(), kMaxVerdict - 16);
  std::replace(words.begin(), words.end(), '\n', ' ');
  return std::to_string(static_cast<int>(verdict.code())) + " " + words + "\n";
}

Result<Verdict> ParseVerdict(const std::string& line) {
  constexpr int kLast = static_cast<int>(Code::kUnauthenticated);
  const Status unknown = DataLoss("the agent's word about the layer is cut off or unknown");
  if (line.empty() || line.back() != '\n' || line.size() > kMaxVerdict) return unknown;
  int code = -1;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), code);
  if (error != std::errc() || *end != ' ' || code < 0 || code > kLast) return unknown;
  if (code == 0) return Verdict{};
  return Verdict{Status(static_cast<Code>(code), std::string(end + 1, &line.back()))};
}

}  // namespace interlink::layer_archive
