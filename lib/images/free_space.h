// CheckRoom: what the image store leaves free on its disk. Thread-safe.
#ifndef INTERLINK_IMAGES_FREE_SPACE_H_
#define INTERLINK_IMAGES_FREE_SPACE_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace interlink::images {

// kResourceExhausted when writing `bytes` to the file system of `path` would leave less than
// `keep_free` bytes to those without its reserve, or when it has hardly an inode left.
Status CheckRoom(const std::string& path, uint64_t bytes, uint64_t keep_free);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_FREE_SPACE_H_
