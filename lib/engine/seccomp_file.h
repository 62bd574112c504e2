// System call filters that the site's administrator, or kubelet, keeps as files (Localhost).
#ifndef INTERLINK_ENGINE_SECCOMP_FILE_H_
#define INTERLINK_ENGINE_SECCOMP_FILE_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink::engine {

// The value of linux.seccomp in an OCI config, written anew from what `bytes` say and no word
// beyond it. kInvalidArgument names the place that is not of the OCI runtime specification, never
// what stands there: the file may be something else. What reaches out of the container (a listener)
// is refused, and so are the conditions of Docker's own form, which an OCI runtime does not know.
// Pure.
Result<std::string> ParseSeccompProfile(std::string_view bytes);

// The same of a regular file of at most 1 MiB. `resolved`: as AllowedHostPath answers.
Result<std::string> ReadSeccompProfile(const std::string& resolved);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_SECCOMP_FILE_H_
