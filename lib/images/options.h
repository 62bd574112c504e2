// What an administrator sets for the image store (lib/config fills it from DataRootFolder and the
// Images section).
#ifndef INTERLINK_IMAGES_OPTIONS_H_
#define INTERLINK_IMAGES_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "images/endpoint.h"
#include "images/layer_source.h"

namespace interlink::images {

struct Options {
  // An absolute path; made when absent, mode 0700.
  std::string root;
  // DOCKER_REGISTRY: the registry of image names without a host, with a path if wanted
  // ("registry.example:5000/lab").
  std::string default_registry = "docker.io";
  // Registry host -> URLs that are asked before it, in order.
  Mirrors mirrors;
  // Registry hosts that may be pulled from; empty: all.
  std::vector<std::string> allowed_registries;
  // PEM of the CAs of registries and mirrors; empty: the system's.
  std::string ca_file;
  // Compressed bytes of one image.
  uint64_t max_image_bytes = 128ULL << 30U;
  UnpackLimits unpack;
  // Of the file system below `root`: pulls are refused before less is left.
  uint64_t keep_free_bytes = 256ULL << 20U;
  // Layers of one image that are downloaded at once. 1 to 16.
  int parallel_downloads = 3;
  // How long deleted layers stay, how many files are deleted per second, and how long pulls may
  // put that off.
  Duration delete_delay = std::chrono::seconds(60);
  int deletes_per_second = 5000;
  Duration delete_pause = std::chrono::minutes(5);
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_OPTIONS_H_
