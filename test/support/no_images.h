// A site::Images that has every image and holds nothing: for tests of other things. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_NO_IMAGES_H_
#define INTERLINK_TEST_SUPPORT_NO_IMAGES_H_

#include "site/images.h"

namespace interlink::test {

class NoImages : public site::Images {
 public:
  Result<site::Pulled> Pull(const Call&, const NodeId&, const runtime::v1::ImageSpec& spec,
                            const runtime::v1::AuthConfig&,
                            std::function<void(uint64_t)>) override {
    site::Pulled pulled;
    pulled.image.image.set_id("sha256:" + spec.image());
    return pulled;
  }
  Result<std::vector<site::Image>> Find(const NodeId&, const std::string&) const override {
    return std::vector<site::Image>{};
  }
  std::vector<site::Image> List(const NodeId&) const override { return {}; }
  Result<std::string> Remove(const NodeId&, const std::string& name) override { return name; }
  Result<sdk::UnpackedImage> Hold(const ContainerId&, const std::string& id) override {
    return sdk::UnpackedImage{id, {}, {}};
  }
  void Release(const ContainerId&) override {}
  void KeepHolders(const std::vector<ContainerId>&) override {}
  Result<runtime::v1::FilesystemUsage> Usage() const override {
    return runtime::v1::FilesystemUsage();
  }
  std::string root() const override { return "/images"; }
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_NO_IMAGES_H_
