// Any bytes as the archive of a layer: refused, or made beneath its folder and nowhere else.
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "base/file.h"
#include "layer_archive/read_layer.h"

namespace {

// In memory where there is such a file system: thousands of folders a second.
std::string MakeFolder() {
  std::string pattern =
      access("/dev/shm", W_OK) == 0 ? "/dev/shm/layer-fuzz-XXXXXX" : "/tmp/layer-fuzz-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) abort();
  return pattern;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace interlink;  // NOLINT(google-build-using-namespace): a program of one function
  static const std::string kFolder = MakeFolder();
  static const bool kLeaves = atexit([] { static_cast<void>(RemoveTree(kFolder)); }) == 0;
  if (!kLeaves) abort();
  std::string_view rest(reinterpret_cast<const char*>(bytes), size);
  const auto source = [&rest](char* buffer, size_t most) -> Result<size_t> {
    const size_t piece = std::min(rest.size(), most);
    std::memcpy(buffer, rest.data(), piece);
    rest.remove_prefix(piece);
    return piece;
  };
  static_cast<void>(layer_archive::ReadLayer(Call::WithTimeout(std::chrono::seconds(10)), source,
                                             kFolder + "/to", layer_archive::LayerOwners::kOne,
                                             {.max_bytes = 1U << 20U, .max_entries = 1000}));
  if (!RemoveTree(kFolder + "/to").ok()) abort();
  // Nothing lies beside it.
  if (rmdir(kFolder.c_str()) != 0 || mkdir(kFolder.c_str(), 0700) != 0) abort();
  return 0;
}
