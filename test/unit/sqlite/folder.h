#ifndef INTERLINK_TEST_SQLITE_FOLDER_H_
#define INTERLINK_TEST_SQLITE_FOLDER_H_

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "base/file.h"

namespace interlink::sqlite {

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "sqlite-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { CHECK(RemoveTree(path_).ok()); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace interlink::sqlite

#endif  // INTERLINK_TEST_SQLITE_FOLDER_H_
