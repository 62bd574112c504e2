// What an agent answers to a layer: one line. Pure.
#ifndef INTERLINK_LAYER_ARCHIVE_VERDICT_H_
#define INTERLINK_LAYER_ARCHIVE_VERDICT_H_

#include <cstddef>
#include <string>

#include "base/status.h"

namespace interlink::layer_archive {

inline constexpr size_t kMaxVerdict = 4096;

// The code's number, a space, the words (0: none), a line feed; at most kMaxVerdict bytes.
std::string VerdictLine(const Status& verdict);

// kDataLoss: it is no such line, or cut off.
struct Verdict {
  Status status;
};
Result<Verdict> ParseVerdict(const std::string& line);

}  // namespace interlink::layer_archive

#endif  // INTERLINK_LAYER_ARCHIVE_VERDICT_H_
