// The catalog at the start of the process.
#include <algorithm>

#include "base/file.h"
#include "images/catalog.h"
#include "images/folder.h"

namespace interlink::images {
namespace {

// Reads one record; an error says which file and what can be done.
template <typename T>
Result<T> LoadRecord(const std::string& path, Result<T> (*parse)(std::string_view)) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  auto record = parse(bytes);
  if (record.ok()) return record;
  return record.status().WithContext("\"" + path + "\" (move it away to go on without it)");
}

}  // namespace

Result<std::unique_ptr<Catalog>> Catalog::Open(const std::string& root,
                                               const std::string& default_registry, Trash& trash,
                                               Log& log) {
  std::unique_ptr<Catalog> catalog(new Catalog(root, default_registry, trash, log));
  RETURN_IF_ERROR(catalog->Load());
  return catalog;
}

Status Catalog::Load() {
  ASSIGN_OR_RETURN(const auto unfinished, ListFolder(root_ + "/temp"));
  for (const std::string& name : unfinished)
    RETURN_IF_ERROR(trash_.Discard(root_ + "/temp/" + name, 0, 0));
  RETURN_IF_ERROR(LoadLayers());
  RETURN_IF_ERROR(LoadImages());
  ASSIGN_OR_RETURN(const auto nodes, ListFolder(root_ + "/nodes"));
  for (const std::string& name : nodes) RETURN_IF_ERROR(LoadNode(root_ + "/nodes/" + name));
  RETURN_IF_ERROR(LoadHolds());
  Collect();
  return {};
}

Status Catalog::LoadLayers() {
  ASSIGN_OR_RETURN(const auto names, ListFolder(root_ + "/layers"));
  for (const std::string& name : names) {
    const std::string folder = root_ + "/layers/" + name;
    ASSIGN_OR_RETURN(StoredLayer layer, LoadRecord(folder + "/layer.json", ParseLayer));
    if (std::to_string(layer.number) != name)
      return DataLoss("\"" + folder + "\" holds the record of layer " +
                      std::to_string(layer.number));
    MutexLock lock(mutex_);
    next_layer_ = std::max(next_layer_, layer.number + 1);
    std::set<std::string> blobs = layer.blobs;
    // Old: without an image it is collected at once.
    layers_[layer.number] = {std::make_shared<const StoredLayer>(std::move(layer)),
                             std::move(blobs), true, SteadyTime()};
  }
  return {};
}

Status Catalog::LoadImages() {
  ASSIGN_OR_RETURN(const auto names, ListFolder(root_ + "/images"));
  for (const std::string& name : names) {
    const std::string folder = root_ + "/images/" + name;
    ASSIGN_OR_RETURN(const auto files, ListFolder(folder));
    if (std::find(files.begin(), files.end(), "image.json") == files.end()) {
      // A pull ended between its config and its record.
      RETURN_IF_ERROR(trash_.Discard(folder, 0, 0));
      continue;
    }
    auto image = std::make_shared<LiveImage>();
    ASSIGN_OR_RETURN(image->stored, LoadRecord(folder + "/image.json", ParseImage));
    ASSIGN_OR_RETURN(const std::string config, ReadFile(folder + "/config.json"));
    if (Digest::Of(config).str() != image->stored.id || ImageFolder(image->stored.id) != folder)
      return DataLoss("\"" + folder + "\" does not hold the image of its name");
    auto parsed = ParseImageConfig(config);
    if (!parsed.ok()) return parsed.status().WithContext("\"" + folder + "/config.json\"");
    image->config = *std::move(parsed);
    image->info = VerboseInfo(config, image->config.diff_ids);
    MutexLock lock(mutex_);
    for (const uint64_t number : image->stored.layers) {
      const auto layer = layers_.find(number);
      if (layer == layers_.end())
        return DataLoss("\"" + folder + "\" needs layer " + std::to_string(number) +
                        ", which is gone");
      image->layers.push_back(layer->second.pin);
    }
    images_[image->stored.id] = image;
  }
  return {};
}

Status Catalog::LoadNode(const std::string& folder) {
  ASSIGN_OR_RETURN(const auto names, ListFolder(folder));
  for (const std::string& name : names) {
    const std::string path = folder + "/" + name;
    if (!name.ends_with(".json")) {  // a temporary file of WriteFileAtomically
      RETURN_IF_ERROR(RemoveDurably(path));
      continue;
    }
    ASSIGN_OR_RETURN(const NodeReference reference, LoadRecord(path, ParseNodeReference));
    if (path != NodeFolder(reference.node) + "/" + reference.image.substr(7) + ".json")
      return DataLoss("\"" + path + "\" does not hold the reference of its name");
    MutexLock lock(mutex_);
    if (images_.count(reference.image) == 0)
      return DataLoss("\"" + path + "\" refers to an image that is gone");
    nodes_[reference.node][reference.image] = reference;
  }
  return {};
}

Status Catalog::LoadHolds() {
  ASSIGN_OR_RETURN(const auto names, ListFolder(root_ + "/holds"));
  for (const std::string& name : names) {
    const std::string path = root_ + "/holds/" + name;
    const std::string holder = name.substr(0, name.find('.'));
    const bool is_hold =
        IsFullId(holder) && (name == holder || IsFullId(name.substr(holder.size() + 1)));
    if (!is_hold) {  // a temporary file of WriteFileAtomically
      RETURN_IF_ERROR(RemoveDurably(path));
      continue;
    }
    ASSIGN_OR_RETURN(const StoredHold hold, LoadRecord(path, ParseHold));
    if (name != holder && name.substr(holder.size() + 1) != hold.image.substr(7))
      return DataLoss("\"" + path + "\" does not hold the image of its name");
    MutexLock lock(mutex_);
    if (images_.count(hold.image) == 0)
      return DataLoss("\"" + path + "\" holds an image that is gone");
    holds_[ContainerId(holder)][hold.image] = name;
    left_.insert(ContainerId(holder));
  }
  return {};
}

}  // namespace interlink::images
