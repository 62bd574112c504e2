// Port: the site's content-addressed image store. lib/images implements it. Thread-safe.
//
// It knows nodes: names and references are per (node, image); layers and configs are shared.
// Everything that it answered OK is durable. The domain calls Pull on its `pulls` threads; all else
// is short.
#ifndef INTERLINK_SITE_IMAGES_H_
#define INTERLINK_SITE_IMAGES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/id.h"
#include "base/status.h"
#include "runtime/v1/api.pb.h"
#include "sdk/host.h"

namespace interlink::site {

struct Image {
  runtime::v1::Image
      image;         // id = config digest "sha256:..."; repo_tags and repo_digests of this node
  std::string info;  // JSON {"chainID", "imageSpec"}
};

struct Pulled {
  Image image;
  // Ids of the node's other images that had its tag until now.
  std::vector<std::string> losers;
};

class Images {
 public:
  virtual ~Images() = default;

  // Blocks until the image is complete for this node, or call is cancelled or its deadline passes.
  // Single-flight per content: another caller's pull is joined and goes on when this caller leaves.
  // `progress` gets the bytes done so far, from any thread. Credentials are used for this pull
  // only. Messages start with kubelet's sentinel (RegistryUnavailable, ...) where one fits.
  virtual Result<Pulled> Pull(const Call& call, const NodeId& node,
                              const runtime::v1::ImageSpec& spec,
                              const runtime::v1::AuthConfig& auth,
                              std::function<void(uint64_t)> progress) = 0;
  // Any name, name@digest, id or unique id prefix. Absent: nothing.
  virtual Result<std::vector<Image>> Find(const NodeId& node, const std::string& name) const = 0;
  virtual std::vector<Image> List(const NodeId& node) const = 0;
  // All tags and digests of the image that `name` means, for this node. Answers its id, or "" when
  // absent. Bytes go with the last reference and holder.
  virtual Result<std::string> Remove(const NodeId& node, const std::string& name) = 0;

  // See sdk::Host. Holders survive restarts.
  virtual Result<sdk::UnpackedImage> Hold(const ContainerId& holder,
                                          const std::string& image_id) = 0;
  virtual void Release(const ContainerId& holder) = 0;
  // Drops what holders before this process have left, of all but these: called once all backends
  // are recovered. What has been held since Open stays: its holder may be younger than the list.
  virtual void KeepHolders(const std::vector<ContainerId>& living) = 0;

  virtual Result<runtime::v1::FilesystemUsage> Usage() const = 0;
  virtual std::string root() const = 0;
};

}  // namespace interlink::site

#endif  // INTERLINK_SITE_IMAGES_H_
