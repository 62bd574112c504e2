// The config of an image: what a container runs with, and the digests of its unpacked layers. Pure.
#ifndef INTERLINK_IMAGES_IMAGE_CONFIG_H_
#define INTERLINK_IMAGES_IMAGE_CONFIG_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "images/digest.h"
#include "images/platform.h"
#include "runtime/v1/api.pb.h"
#include "sdk/host.h"

namespace interlink::images {

struct ParsedConfig {
  sdk::ImageConfig config;
  std::vector<Digest> diff_ids;  // lowest first
  Platform platform;
};

// OCI image-spec config or Docker's. kInvalidArgument names the field.
Result<ParsedConfig> ParseImageConfig(std::string_view bytes);

// OCI's ChainID of a stack of layers; empty for no layers.
std::string ChainId(const std::vector<Digest>& diff_ids);

// The verbose info of CRI's ImageStatus: {"chainID": ..., "imageSpec": <the config as it is>}.
// REQUIRES: ParseImageConfig accepted `bytes`.
std::string VerboseInfo(std::string_view bytes, const std::vector<Digest>& diff_ids);

// Image.uid or Image.username from Config.User ("1002", "1003:1004", "www-data:1004"). "" sets
// none.
void SetUser(const std::string& user, runtime::v1::Image& image);

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_IMAGE_CONFIG_H_
