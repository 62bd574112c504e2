#include "images/one_pull.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/id.h"
#include "base/rollback.h"
#include "images/folder.h"
#include "images/free_space.h"

namespace interlink::images {
namespace {

// How often a waiting pull looks whether its caller is still there and tells its progress.
constexpr auto kLook = std::chrono::milliseconds(200);

}  // namespace

Result<site::Pulled> ImageStore::OnePull::Run(const Reference& name, Credentials credentials) {
  ASSIGN_OR_RETURN(auto endpoints, Endpoints(store_.options_.mirrors, name.host, name.path));
  registry_ = std::make_shared<Registry>(*store_.transport_, std::move(endpoints), name.path,
                                         std::move(credentials));
  Catalog::NewImage image;
  image.name = name;
  ASSIGN_OR_RETURN(const Manifest manifest, FetchManifest(name, image.manifest));
  image.id = manifest.config.digest;
  image.size = manifest.config.size;
  for (const Descriptor& layer : manifest.layers) {
    image.size += layer.size;
    if (layer.size > store_.options_.max_image_bytes ||
        image.size > store_.options_.max_image_bytes)
      return ResourceExhausted("the image is larger than " +
                               std::to_string(store_.options_.max_image_bytes) + " bytes");
  }
  ASSIGN_OR_RETURN(image.config, FetchConfig(manifest.config));
  ASSIGN_OR_RETURN(const ParsedConfig config, ParseImageConfig(image.config));
  RETURN_IF_ERROR(CheckConfig(config, manifest));
  for (size_t i = 0; i < manifest.layers.size(); ++i)
    layers_.push_back({manifest.layers[i], config.diff_ids[i], false, false, {}});
  for (size_t i = 0; i < layers_.size(); ++i) {
    auto layer = TakeLayer(i, image.layers);
    if (!layer.ok()) return layer.status();
    image.layers.push_back(*std::move(layer));
  }
  RETURN_IF_ERROR(call_.Check("pulling the image"));
  return store_.catalog_->AddImage(node_, image);
}

// `named`: the digest that the name means; of the index, when there is one.
Result<Manifest> ImageStore::OnePull::FetchManifest(const Reference& name, Digest& named) {
  ASSIGN_OR_RETURN(auto fetched, registry_->GetManifest(call_, name.Wanted()));
  named = fetched.digest;
  for (int depth = 0; depth < 3; ++depth) {
    ASSIGN_OR_RETURN(auto parsed, ParseManifest(fetched.bytes, fetched.content_type));
    if (auto* manifest = std::get_if<Manifest>(&parsed)) return std::move(*manifest);
    ASSIGN_OR_RETURN(const Descriptor chosen,
                     ChoosePlatform(std::get<ManifestIndex>(parsed), HostPlatform()));
    ASSIGN_OR_RETURN(fetched, registry_->GetManifest(call_, chosen.digest.str()));
  }
  return InvalidArgument("the image is an index of indexes of indexes");
}

Result<std::string> ImageStore::OnePull::FetchConfig(const Descriptor& config) {
  std::string bytes;
  BlobSink sink;
  sink.restart = [&bytes]() -> Status {
    bytes.clear();
    return {};
  };
  // GetBlob takes no more than the descriptor's size, which ParseManifest has bounded.
  sink.write = [&bytes](std::string_view more) -> Status {
    bytes += more;
    return {};
  };
  const Status got = registry_->GetBlob(call_, config, sink);
  if (!got.ok()) return got.WithContext("the image's config");
  return bytes;
}

Status ImageStore::OnePull::CheckConfig(const ParsedConfig& config,
                                        const Manifest& manifest) const {
  if (config.diff_ids.size() != manifest.layers.size()) {
    return InvalidArgument("the image's config names " + std::to_string(config.diff_ids.size()) +
                           " layers, its manifest " + std::to_string(manifest.layers.size()));
  }
  const Platform host = HostPlatform();
  if (Fit(host, config.platform) == 0)
    return InvalidArgument("the image is for " + config.platform.ToString() + ", this site is " +
                           host.ToString());
  return {};
}

Result<LayerPin> ImageStore::OnePull::TakeLayer(size_t index, const std::vector<LayerPin>& lowers) {
  RETURN_IF_ERROR(StartDownloads(index));
  Layer& layer = layers_[index];
  const std::string which = "layer " + layer.blob.digest.str();
  while (true) {
    RETURN_IF_ERROR(call_.Check(which));
    auto known = store_.catalog_->FindLayer(layer.blob.digest, layer.diff_id, lowers);
    if (!known.ok()) return known.status().WithContext(which);
    if (*known) {
      const Status proven = Prove(layer);
      if (!proven.ok()) return proven.WithContext(which);
      layer.share = {};
      finished_ += layer.blob.size;
      Tell(0);
      return *std::move(known);
    }
    Status got = layer.downloading ? Status() : StartDownload(layer);
    if (got.ok()) got = WaitForBlob(layer);
    if (!got.ok()) return got.WithContext(which);
    RETURN_IF_ERROR(BeginUnpacking(layer.blob.digest));
    Rollback turn;
    turn.Push("let others unpack", [&]() -> Status {
      EndUnpacking(layer.blob.digest);
      return {};
    });
    // Somebody else may have unpacked it while we waited.
    known = store_.catalog_->FindLayer(layer.blob.digest, layer.diff_id, lowers);
    if (known.ok() && *known) continue;
    auto unpacked = Unpack(layer, lowers);
    layer.share = {};
    if (!unpacked.ok()) return unpacked.status().WithContext(which);
    return unpacked;
  }
}

// Keeps a few downloads going, `from` on.
Status ImageStore::OnePull::StartDownloads(size_t from) {
  const size_t until = std::min(
      layers_.size(), from + static_cast<size_t>(std::max(1, store_.options_.parallel_downloads)));
  for (size_t i = from; i < until; ++i) {
    Layer& layer = layers_[i];
    if (layer.downloading || store_.catalog_->HasLayer(layer.blob.digest, layer.diff_id)) continue;
    const Status started = StartDownload(layer);
    if (!started.ok()) return started.WithContext("layer " + layer.blob.digest.str());
  }
  return {};
}

Status ImageStore::OnePull::StartDownload(Layer& layer) {
  layer.share = store_.downloads_->Start(layer.blob, registry_);
  layer.downloading = true;
  // What others fetch with their credentials is ours only when our own would have done.
  if (layer.share.joined()) return Prove(layer);
  layer.proven = true;
  return {};
}

Status ImageStore::OnePull::Prove(Layer& layer) {
  if (layer.proven || store_.catalog_->NodeHasBlob(node_, layer.blob.digest)) return {};
  RETURN_IF_ERROR(registry_->CheckBlob(call_, layer.blob));
  layer.proven = true;
  return {};
}

Status ImageStore::OnePull::WaitForBlob(Layer& layer) {
  while (true) {
    while (!layer.share.Wait(kLook)) {
      RETURN_IF_ERROR(call_.Check("downloading"));
      Tell(0);
    }
    const Status result = layer.share.result();
    if (result.ok() || !layer.share.joined()) return result;
    // Who began it may have failed for reasons of their own: try with our credentials.
    layer.share = {};
    RETURN_IF_ERROR(StartDownload(layer));
  }
}

Result<LayerPin> ImageStore::OnePull::Unpack(Layer& layer, const std::vector<LayerPin>& lowers) {
  const std::string temp = store_.options_.root + "/temp/layer-" + RandomHex(8);
  UnpackRequest request;
  request.blob_path = layer.share.path();
  request.target = temp + "/fs";
  request.diff_id = layer.diff_id;
  request.limits = store_.options_.unpack;
  request.keep_free = store_.options_.keep_free_bytes;
  request.progress = [this](uint64_t bytes) { Tell(bytes); };
  for (const LayerPin& lower : lowers) {
    if (lower->unpacked.root_opaque) request.lowers.clear();
    request.lowers.push_back(store_.catalog_->LayerFolder(*lower));
  }
  RETURN_IF_ERROR(
      CheckRoom(store_.options_.root, layer.blob.size, store_.options_.keep_free_bytes));
  Rollback undo;
  undo.Push("discard the unpacked part", [&] { return store_.trash_->Discard(temp, 0, 0); });
  RETURN_IF_ERROR(MakeDirectories(temp, 0700));
  if (::mkdir(request.target.c_str(), 0755) != 0 || ::chmod(request.target.c_str(), 0755) != 0)
    return ErrnoStatus(errno, "make \"" + request.target + "\"");
  auto unpacked = UnpackLayer(call_, request);
  if (!unpacked.ok()) return undo.Fail(unpacked.status());
  finished_ += layer.blob.size + unpacked->bytes;
  ASSIGN_OR_RETURN(LayerPin pin, store_.catalog_->AddLayer(temp, layer.blob.digest, layer.diff_id,
                                                           *std::move(unpacked)));
  undo.Dismiss();
  return pin;
}

// One pull unpacks a blob; the others wait for what it makes.
Status ImageStore::OnePull::BeginUnpacking(const Digest& blob) {
  while (true) {
    RETURN_IF_ERROR(call_.Check("waiting for the layer's unpacking"));
    MutexLock lock(store_.mutex_);
    const bool free = store_.unpacked_.WaitFor(
        store_.mutex_, kLook,
        [&]() REQUIRES_LOCK(store_.mutex_) { return store_.unpacking_.count(blob.str()) == 0; });
    if (!free) continue;
    store_.unpacking_.insert(blob.str());
    return {};
  }
}

void ImageStore::OnePull::EndUnpacking(const Digest& blob) {
  MutexLock lock(store_.mutex_);
  store_.unpacking_.erase(blob.str());
  store_.unpacked_.NotifyAll();
}

// Never less than before: whoever times out without progress compares.
void ImageStore::OnePull::Tell(uint64_t unpacked) {
  uint64_t bytes = finished_ + unpacked;
  for (const Layer& layer : layers_)
    if (layer.downloading && layer.share.started()) bytes += layer.share.bytes_done();
  if (bytes <= told_ || !progress_) return;
  told_ = bytes;
  progress_(bytes);
}

}  // namespace interlink::images
