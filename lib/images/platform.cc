#include "images/platform.h"

#include <sys/utsname.h>

#include <string_view>

namespace interlink::images {

std::string Platform::ToString() const {
  return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

Platform HostPlatform() {
  utsname name{};
  if (uname(&name) != 0) return {"linux", "amd64", ""};
  const std::string_view machine = name.machine;
  if (machine == "x86_64") return {"linux", "amd64", ""};
  if (machine == "aarch64") return {"linux", "arm64", "v8"};
  if (machine == "i686" || machine == "i386") return {"linux", "386", ""};
  if (machine.substr(0, 4) == "armv")
    return {"linux", "arm", "v" + std::string(machine.substr(4, 1))};
  return {"linux", std::string(machine), ""};  // ppc64le, s390x, riscv64 have the same names
}

int Fit(const Platform& host, const Platform& image) {
  if (image.os.empty() && image.architecture.empty()) return 1;
  if (!image.os.empty() && image.os != host.os) return 0;
  if (!image.architecture.empty() && image.architecture != host.architecture) return 0;
  if (image.variant == host.variant) return 4;
  if (image.variant.empty()) return 3;
  // "arm64" means v8; baseline x86-64 is v1. A higher level than the host states may not run.
  if (host.architecture == "amd64") return image.variant == "v1" ? 3 : 0;
  if (host.architecture == "arm") return image.variant < host.variant ? 2 : 0;
  return 0;
}

}  // namespace interlink::images
