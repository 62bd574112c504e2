#include "images/free_space.h"

#include <sys/statvfs.h>

#include <cerrno>

namespace interlink::images {
namespace {

// More than are made between two looks.
constexpr uint64_t kKeepInodes = 2048;

std::string MiB(uint64_t bytes) { return std::to_string(bytes >> 20U) + " MiB"; }

}  // namespace

Status CheckRoom(const std::string& path, uint64_t bytes, uint64_t keep_free) {
  struct statvfs about {};
  if (::statvfs(path.c_str(), &about) != 0) return ErrnoStatus(errno, "ask for free space");
  const uint64_t free = static_cast<uint64_t>(about.f_bavail) * about.f_frsize;
  // 0: a file system that makes them as it needs them.
  if (about.f_files != 0 && about.f_favail < kKeepInodes) {
    return ResourceExhausted("the site's image store has " + std::to_string(about.f_favail) +
                             " inodes left");
  }
  if (free >= keep_free && free - keep_free >= bytes) return {};
  return ResourceExhausted("the site's image store has " + MiB(free) + " left, of which " +
                           MiB(keep_free) + " stay free: too little for " +
                           MiB(bytes + (1ULL << 20U) - 1) + " more");
}

}  // namespace interlink::images
