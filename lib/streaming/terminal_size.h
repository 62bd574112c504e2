// The sizes of a terminal that a client sends: JSON objects one after the other,
// {"Width":80,"Height":24}. Not thread-safe.
#ifndef INTERLINK_STREAMING_TERMINAL_SIZE_H_
#define INTERLINK_STREAMING_TERMINAL_SIZE_H_

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "node/session.h"

namespace interlink::streaming {

class TerminalSizes {
 public:
  // Takes bytes as they come, cut anywhere; answers the last whole size among them: the earlier
  // ones are past, and not looked at. kInvalidArgument: it is no size.
  Result<std::optional<node::SessionInput>> Feed(std::string_view bytes);

 private:
  std::string rest_;
};

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_TERMINAL_SIZE_H_
