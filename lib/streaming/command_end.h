// The end of a command in the words of each protocol version (remotecommand of Kubernetes). Pure.
#ifndef INTERLINK_STREAMING_COMMAND_END_H_
#define INTERLINK_STREAMING_COMMAND_END_H_

#include <string>

#include "streaming/transport.h"

namespace interlink::streaming {

// v4 and v5: a metav1.Status. What is not UTF-8 is replaced.
std::string CommandEndJson(const CommandEnd& end);
// Older ones: a text on failure, nothing on success.
std::string CommandEndText(const CommandEnd& end);

}  // namespace interlink::streaming

#endif  // INTERLINK_STREAMING_COMMAND_END_H_
