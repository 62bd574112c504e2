// Files that only their owner may read: the pod token and the site's CA. Thread-safe.
#ifndef INTERLINK_AGENT_SECRET_FILE_H_
#define INTERLINK_AGENT_SECRET_FILE_H_

#include <string>

#include "base/status.h"

namespace interlink::agent {

// The file's text without white space at its end. kPermissionDenied: it is not a regular file of
// ours (or of root) with mode 0600 or less; kInvalidArgument: it is empty.
Result<std::string> ReadSecretFile(const std::string& path);

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_SECRET_FILE_H_
