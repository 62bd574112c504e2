// Folders: listing and durable changes of names. Thread-safe.
#ifndef INTERLINK_IMAGES_FOLDER_H_
#define INTERLINK_IMAGES_FOLDER_H_

#include <string>
#include <vector>

#include "base/status.h"

namespace interlink::images {

// The names in `path`, sorted, without "." and "..".
Result<std::vector<std::string>> ListFolder(const std::string& path);

// unlink and fsync of the folder that it was in; absent is OK.
Status RemoveDurably(const std::string& path);

// Everything below `from` reaches the disk.
Status FlushTree(const std::string& from);

// rename and fsync of the new folder.
Status RenameDurably(const std::string& from, const std::string& to);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_FOLDER_H_
