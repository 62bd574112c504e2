// The layers of the catalog.
#include <algorithm>

#include "base/file.h"
#include "images/catalog.h"
#include "images/folder.h"
#include "images/lower_layers.h"

namespace interlink::images {
namespace {

// Whether the folders that `layer` implies would get the same metadata above `lowers`.
Result<bool> Fits(const StoredLayer& layer, const LowerLayers& lowers) {
  for (const ImpliedFolder& folder : layer.unpacked.implied) {
    const auto below = lowers.Find(folder.path);
    if (!below.ok()) {
      if (below.status().code() == Code::kInvalidArgument) return false;
      return below.status();
    }
    if (!below->value_or(FolderMeta()).SameAs(folder.meta)) return false;
  }
  return true;
}

bool SameImplied(const UnpackedLayer& a, const UnpackedLayer& b) {
  return std::equal(a.implied.begin(), a.implied.end(), b.implied.begin(), b.implied.end(),
                    [](const ImpliedFolder& x, const ImpliedFolder& y) {
                      return x.path == y.path && x.meta.SameAs(y.meta);
                    });
}

}  // namespace

std::string Catalog::LayerFolder(const StoredLayer& layer) const {
  return root_ + "/layers/" + std::to_string(layer.number) + "/fs";
}

bool Catalog::HasLayer(const Digest& blob, const Digest& diff_id) const {
  MutexLock lock(mutex_);
  return std::any_of(layers_.begin(), layers_.end(), [&](const auto& item) {
    return item.second.pin->diff_id == diff_id && item.second.blobs.count(blob.str()) != 0;
  });
}

bool Catalog::NodeHasBlob(const NodeId& node, const Digest& blob) const {
  MutexLock lock(mutex_);
  const auto found = nodes_.find(node.str());
  if (found == nodes_.end()) return false;
  for (const auto& [id, reference] : found->second) {
    for (const LayerPin& layer : images_.at(id)->layers)
      if (layers_.at(layer->number).blobs.count(blob.str()) != 0) return true;
  }
  return false;
}

Result<LayerPin> Catalog::FindLayer(const Digest& blob, const Digest& diff_id,
                                    const std::vector<LayerPin>& lowers) {
  std::vector<LayerPin> candidates;
  {
    MutexLock lock(mutex_);
    for (const auto& [number, layer] : layers_)
      if (layer.pin->diff_id == diff_id && layer.blobs.count(blob.str()) != 0)
        candidates.push_back(layer.pin);
  }
  if (candidates.empty()) return LayerPin();
  std::vector<std::string> folders;
  for (const LayerPin& lower : lowers) folders.push_back(LayerFolder(*lower));
  ASSIGN_OR_RETURN(const LowerLayers below, LowerLayers::Open(folders));
  for (const LayerPin& candidate : candidates) {
    ASSIGN_OR_RETURN(const bool fits, Fits(*candidate, below));
    if (fits) return candidate;
  }
  return LayerPin();
}

Status Catalog::WriteLayer(const std::string& folder, const StoredLayer& layer) const {
  return WriteFileAtomically(folder + "/layer.json", ToJson(layer), 0600);
}

// REQUIRES: the turn.
Status Catalog::LearnBlob(const StoredLayer& layer, const Digest& blob) {
  StoredLayer more = layer;
  {
    MutexLock lock(mutex_);
    more.blobs = layers_.at(layer.number).blobs;
  }
  if (!more.blobs.insert(blob.str()).second) return {};
  RETURN_IF_ERROR(WriteLayer(root_ + "/layers/" + std::to_string(layer.number), more));
  MutexLock lock(mutex_);
  layers_.at(layer.number).blobs = std::move(more.blobs);
  return {};
}

Result<LayerPin> Catalog::AddLayer(const std::string& temp, const Digest& blob,
                                   const Digest& diff_id, UnpackedLayer unpacked) {
  RETURN_IF_ERROR(FlushTree(temp));  // before the turn: it may take seconds
  const Turn turn(turns_);
  LayerPin twin;
  StoredLayer layer;
  {
    MutexLock lock(mutex_);
    for (const auto& [number, other] : layers_)
      if (other.pin->diff_id == diff_id && SameImplied(other.pin->unpacked, unpacked))
        twin = other.pin;
    if (!twin) layer.number = next_layer_++;
  }
  if (twin) {
    RETURN_IF_ERROR(LearnBlob(*twin, blob));
    RETURN_IF_ERROR(trash_.Discard(temp, unpacked.bytes, unpacked.entries));
    return twin;
  }
  layer.diff_id = diff_id;
  layer.blobs.insert(blob.str());
  layer.unpacked = std::move(unpacked);
  RETURN_IF_ERROR(WriteLayer(temp, layer));
  RETURN_IF_ERROR(RenameDurably(temp, root_ + "/layers/" + std::to_string(layer.number)));
  const LayerPin pin = std::make_shared<const StoredLayer>(layer);
  MutexLock lock(mutex_);
  layers_[layer.number] = {pin, layer.blobs, false, std::chrono::steady_clock::now()};
  return pin;
}

}  // namespace interlink::images
