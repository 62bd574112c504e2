// What there is below a folder, as text: for comparing two of them file by file.
#ifndef INTERLINK_TEST_UNIT_LAYER_ARCHIVE_TREE_FACTS_H_
#define INTERLINK_TEST_UNIT_LAYER_ARCHIVE_TREE_FACTS_H_

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <climits>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace interlink::test {

// Where a file has bytes, to the block.
inline std::string ExtentsOf(const std::string& path, off_t size) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  REQUIRE(file);
  std::string out;
  for (off_t at = 0; at < size;) {
    const off_t begin = lseek(file.get(), at, SEEK_DATA);
    if (begin < 0) break;
    at = lseek(file.get(), begin, SEEK_HOLE);
    REQUIRE(at > begin);
    out += " " + std::to_string(begin) + "-" + std::to_string(at);
  }
  return out;
}

inline std::string AttributesOf(const std::string& path) {
  std::string names(XATTR_LIST_MAX, '\0');
  const ssize_t size = llistxattr(path.c_str(), names.data(), names.size());
  if (size <= 0) return "";
  names.resize(static_cast<size_t>(size));
  std::vector<std::string> all;
  for (size_t at = 0; at < names.size();) {
    const std::string name = names.c_str() + at;
    at += name.size() + 1;
    std::string value(XATTR_SIZE_MAX, '\0');
    const ssize_t length = lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    REQUIRE(length >= 0);
    value.resize(static_cast<size_t>(length));
    all.push_back(name + "=" + value);
  }
  std::sort(all.begin(), all.end());
  std::string out;
  for (const std::string& one : all) out += " [" + one + "]";
  return out;
}

inline std::string BytesOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

struct Fact {
  struct stat about {};
  std::string more;  // contents, target, attributes, first name of a hard link

  bool operator==(const Fact& other) const {
    const auto& a = about;
    const auto& b = other.about;
    // A folder's size and links are its file system's.
    const bool same = a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid &&
                      a.st_rdev == b.st_rdev && more == other.more &&
                      a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
                      a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
    return same && (S_ISDIR(a.st_mode) || (a.st_size == b.st_size && a.st_nlink == b.st_nlink));
  }
  std::string text() const {
    std::ostringstream out;
    out << std::oct << about.st_mode << std::dec << " " << about.st_uid << ":" << about.st_gid
        << " size " << about.st_size << " links " << about.st_nlink << " device " << about.st_rdev
        << " time " << about.st_mtim.tv_sec << "." << about.st_mtim.tv_nsec << " "
        << more.substr(0, 300);
    return out.str();
  }
};

using Facts = std::map<std::string, Fact>;  // by path; the folder itself is ""

// Contents of files above 64 MiB are not compared, their extents are.
inline Facts FactsOf(const std::string& folder) {
  constexpr off_t kLarge = off_t{64} << 20U;
  Facts facts;
  std::map<ino_t, std::string> first;  // names are sorted: the same in both
  std::vector<std::string> paths = {""};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    paths.push_back(entry.path().string().substr(folder.size() + 1));
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    const std::string whole = path.empty() ? folder : folder + "/" + path;
    Fact& fact = facts[path];
    REQUIRE(lstat(whole.c_str(), &fact.about) == 0);
    fact.more = AttributesOf(whole);
    if (!S_ISDIR(fact.about.st_mode) && fact.about.st_nlink > 1) {
      fact.more += " same as " + first.try_emplace(fact.about.st_ino, path).first->second;
    }
    if (S_ISREG(fact.about.st_mode)) {
      fact.more += ExtentsOf(whole, fact.about.st_size);
      if (fact.about.st_size < kLarge) fact.more += " " + BytesOf(whole);
    }
    if (S_ISLNK(fact.about.st_mode)) {
      fact.more += " -> " + std::filesystem::read_symlink(whole).string();
    }
  }
  return facts;
}

// Empty: they are the same.
inline std::string Difference(const Facts& a, const Facts& b) {
  std::string out;
  for (const auto& [path, fact] : a) {
    const auto other = b.find(path);
    if (other == b.end()) {
      out += "missing: " + path + "\n";
    } else if (!(fact == other->second)) {
      out += path + ":\n  " + fact.text() + "\n  " + other->second.text() + "\n";
    }
  }
  for (const auto& [path, fact] : b) {
    if (a.count(path) == 0) out += "not expected: " + path + "\n";
  }
  return out;
}

}  // namespace interlink::test

#endif  // INTERLINK_TEST_UNIT_LAYER_ARCHIVE_TREE_FACTS_H_
