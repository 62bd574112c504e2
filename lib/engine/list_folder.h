// The names in a folder of the machine, which may change or fail meanwhile. Never throws, unlike
// the loops of std::filesystem.
#ifndef INTERLINK_ENGINE_LIST_FOLDER_H_
#define INTERLINK_ENGINE_LIST_FOLDER_H_

#include <string>
#include <vector>

#include "base/status.h"

namespace interlink::engine {

// Without "." and "..", in no order. kNotFound: no such folder.
Result<std::vector<std::string>> ListFolder(const std::string& path);

// Its folders, without links; none where it cannot be read.
std::vector<std::string> FoldersIn(const std::string& path);

}  // namespace interlink::engine

#endif  // INTERLINK_ENGINE_LIST_FOLDER_H_
