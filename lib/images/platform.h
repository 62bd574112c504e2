// Platform: which of an index's images runs here. Pure, but for HostPlatform.
#ifndef INTERLINK_IMAGES_PLATFORM_H_
#define INTERLINK_IMAGES_PLATFORM_H_

#include <string>

namespace interlink::images {

// In Go's words: "linux", "amd64", "v8".
struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;

  std::string ToString() const;
};

// Of this machine (uname).
Platform HostPlatform();

// How well an image for `image` runs on `host`: 0 = not at all, higher is better. An empty
// architecture or os in `image` says nothing and fits, badly.
int Fit(const Platform& host, const Platform& image);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_PLATFORM_H_
