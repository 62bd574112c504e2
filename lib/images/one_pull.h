// OnePull: the steps of one pull, on its caller's thread. See image_store.h.
#ifndef INTERLINK_IMAGES_ONE_PULL_H_
#define INTERLINK_IMAGES_ONE_PULL_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "images/image_store.h"
#include "images/manifest.h"
#include "images/registry.h"

namespace interlink::images {

class ImageStore::OnePull {
 public:
  OnePull(ImageStore& store, const Call& call, const NodeId& node,
          std::function<void(uint64_t)> progress)
      : store_(store), call_(call), node_(node), progress_(std::move(progress)) {}

  Result<site::Pulled> Run(const Reference& name, Credentials credentials);

 private:
  struct Layer {
    Descriptor blob;
    Digest diff_id;
    bool proven = false;  // the registry let us see it
    bool downloading = false;
    Downloads::Share share;
  };

  Result<Manifest> FetchManifest(const Reference& name, Digest& named);
  Result<std::string> FetchConfig(const Descriptor& config);
  Status CheckConfig(const ParsedConfig& config, const Manifest& manifest) const;
  Result<LayerPin> TakeLayer(size_t index, const std::vector<LayerPin>& lowers);
  Status StartDownloads(size_t from);
  Status StartDownload(Layer& layer);
  Status Prove(Layer& layer);
  Status WaitForBlob(Layer& layer);
  Result<LayerPin> Unpack(Layer& layer, const std::vector<LayerPin>& lowers);
  Status BeginUnpacking(const Digest& blob);
  void EndUnpacking(const Digest& blob);
  void Tell(uint64_t unpacked);

  ImageStore& store_;
  const Call call_;
  const NodeId node_;
  const std::function<void(uint64_t)> progress_;
  std::shared_ptr<Registry> registry_;  // owners: this pull and the downloads that it began
  std::vector<Layer> layers_;
  uint64_t finished_ = 0;  // bytes of the layers that are done, packed and unpacked
  uint64_t told_ = 0;
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_ONE_PULL_H_
