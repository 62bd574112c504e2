// ImageStore: the site's images. Implements the domain's port; see records.h for what is on disk.
// Thread-safe.
//
// A pull: name -> manifest (its own credentials, always) -> config -> layers. Each blob is checked
// against its digest before it is used, each layer against its diff id; layers are downloaded a few
// at a time and unpacked lowest first, once per diff id. Layers that are already here are used only
// after the registry let this pull's credentials see them.
#ifndef INTERLINK_IMAGES_IMAGE_STORE_H_
#define INTERLINK_IMAGES_IMAGE_STORE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/unique_fd.h"
#include "images/catalog.h"
#include "images/downloads.h"
#include "images/options.h"
#include "images/transport.h"
#include "site/images.h"

namespace interlink::images {

class ImageStore final : public site::Images {
 public:
  // Opens the store below options.root. kFailedPrecondition: another process has it, or another
  // version wrote it; kDataLoss: damaged, and where. `log` outlives the store.
  static Result<std::unique_ptr<ImageStore>> Open(Options options,
                                                  std::unique_ptr<RegistryTransport> transport,
                                                  Log& log);
  ~ImageStore() override;

  Result<site::Pulled> Pull(const Call& call, const NodeId& node,
                            const runtime::v1::ImageSpec& spec, const runtime::v1::AuthConfig& auth,
                            std::function<void(uint64_t)> progress) override;
  Result<std::vector<site::Image>> Find(const NodeId& node, const std::string& name) const override;
  std::vector<site::Image> List(const NodeId& node) const override;
  Result<std::string> Remove(const NodeId& node, const std::string& name) override;
  Result<sdk::UnpackedImage> Hold(const ContainerId& holder, const std::string& image_id) override;
  void Release(const ContainerId& holder) override;
  void KeepHolders(const std::vector<ContainerId>& living) override;
  Result<runtime::v1::FilesystemUsage> Usage() const override;
  std::string root() const override { return options_.root; }

 private:
  class OnePull;
  ImageStore(Options options, std::unique_ptr<RegistryTransport> transport, Log& log);

  const Options options_;
  Log& log_;
  UniqueFd lock_;
  std::unique_ptr<RegistryTransport> transport_;
  std::unique_ptr<Trash> trash_;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<Downloads> downloads_;
  // Blob digests that some pull is unpacking now: another one waits for its result.
  Mutex mutex_;
  CondVar unpacked_;
  std::set<std::string> unpacking_ GUARDED_BY(mutex_);
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_IMAGE_STORE_H_
