// A folder that goes with the object.
#ifndef INTERLINK_TEST_SUPPORT_TEMPORARY_FOLDER_H_
#define INTERLINK_TEST_SUPPORT_TEMPORARY_FOLDER_H_

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace interlink::test {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "interlink-test-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_TEMPORARY_FOLDER_H_
