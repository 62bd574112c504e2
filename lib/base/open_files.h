// The limit of open files of this process.
#ifndef INTERLINK_BASE_OPEN_FILES_H_
#define INTERLINK_BASE_OPEN_FILES_H_

#include "base/log.h"

namespace interlink {

// Raises the soft limit to the hard one, 1 Mi at most: a program that walks every possible
// descriptor inherits it. A daemon holds a socket per connection and per session, and Debian's soft
// limit is 1024. What cannot be raised is a warning. Before threads and children.
void RaiseOpenFilesLimit(Log& log);

}  // namespace interlink

#endif  // INTERLINK_BASE_OPEN_FILES_H_
