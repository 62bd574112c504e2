#include "images/catalog.h"

#include <algorithm>

#include "base/file.h"
#include "images/folder.h"

namespace interlink::images {
namespace {

constexpr mode_t kPrivate = 0600;
constexpr mode_t kPrivateFolder = 0700;

}  // namespace

std::string Catalog::NodeFolder(const std::string& node) const {
  return root_ + "/nodes/" + std::string(Digest::Of(node).hex());
}

std::string Catalog::ImageFolder(const std::string& id) const {
  return root_ + "/images/" + id.substr(id.find(':') + 1);
}

site::Image Catalog::ShowLocked(const LiveImage& image, const NodeReference& reference) const {
  site::Image out;
  out.image.set_id(image.stored.id);
  for (const std::string& tag : reference.tags) out.image.add_repo_tags(tag);
  for (const std::string& digest : reference.digests) out.image.add_repo_digests(digest);
  out.image.set_size(image.stored.size);
  SetUser(image.config.config.user, out.image);
  out.image.mutable_spec()->set_image(image.stored.id);
  out.info = image.info;
  return out;
}

// The id that `name` means for this node, "" when none. kInvalidArgument: a prefix of several ids.
Result<std::string> Catalog::FindId(const NodeId& node, const std::string& name) const {
  const auto found = nodes_.find(node.str());
  if (found == nodes_.end()) return std::string();
  const NodeImages& images = found->second;
  const auto prefix = IdPrefix(name);
  if (prefix && images.count("sha256:" + *prefix) != 0) return "sha256:" + *prefix;
  if (const auto reference = ParseReference(name, default_registry_); reference.ok()) {
    for (const auto& [id, names] : images) {
      const bool hit = reference->digest
                           ? names.digests.count(reference->Digested(*reference->digest)) != 0
                           : names.tags.count(reference->Tagged()) != 0;
      if (hit) return id;
    }
  }
  if (!prefix) return std::string();
  std::string only;
  for (auto it = images.lower_bound("sha256:" + *prefix);
       it != images.end() && it->first.compare(7, prefix->size(), *prefix) == 0; ++it) {
    if (!only.empty())
      return InvalidArgument("\"" + name + "\" is the beginning of several image ids");
    only = it->first;
  }
  return only;
}

Result<std::vector<site::Image>> Catalog::Find(const NodeId& node, const std::string& name) const {
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(const std::string id, FindId(node, name));
  std::vector<site::Image> out;
  if (!id.empty()) out.push_back(ShowLocked(*images_.at(id), nodes_.at(node.str()).at(id)));
  return out;
}

std::vector<site::Image> Catalog::List(const NodeId& node) const {
  std::vector<site::Image> out;
  MutexLock lock(mutex_);
  const auto found = nodes_.find(node.str());
  if (found == nodes_.end()) return out;
  for (const auto& [id, reference] : found->second)
    out.push_back(ShowLocked(*images_.at(id), reference));
  return out;
}

Status Catalog::WriteReference(const NodeReference& reference) {
  const std::string folder = NodeFolder(reference.node);
  RETURN_IF_ERROR(MakeDirectories(folder, kPrivateFolder));
  return WriteFileAtomically(folder + "/" + reference.image.substr(7) + ".json", ToJson(reference),
                             kPrivate);
}

// image.json is written last: with it the image is complete.
Status Catalog::WriteImage(const NewImage& image) {
  const std::string folder = ImageFolder(image.id.str());
  RETURN_IF_ERROR(MakeDirectories(folder, kPrivateFolder));
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/config.json", image.config, kPrivate));
  StoredImage stored{image.id.str(), {}, image.size};
  for (const LayerPin& layer : image.layers) stored.layers.push_back(layer->number);
  RETURN_IF_ERROR(WriteFileAtomically(folder + "/image.json", ToJson(stored), kPrivate));
  auto live = std::make_shared<LiveImage>();
  ASSIGN_OR_RETURN(live->config, ParseImageConfig(image.config));
  live->info = VerboseInfo(image.config, live->config.diff_ids);
  live->stored = std::move(stored);
  live->layers = image.layers;
  MutexLock lock(mutex_);
  for (const LayerPin& layer : image.layers) layers_.at(layer->number).in_image = true;
  images_[image.id.str()] = std::move(live);
  return {};
}

// REQUIRES: the turn.
Result<std::vector<std::string>> Catalog::MoveTag(const NodeId& node, const std::string& tag,
                                                  const std::string& to_image) {
  std::vector<NodeReference> losers;  // two after a crash in the middle of a move
  {
    MutexLock lock(mutex_);
    for (const auto& [id, reference] : nodes_[node.str()])
      if (id != to_image && reference.tags.count(tag) != 0) losers.push_back(reference);
  }
  std::vector<std::string> ids;
  for (NodeReference& loser : losers) {
    loser.tags.erase(tag);
    RETURN_IF_ERROR(WriteReference(loser));
    MutexLock lock(mutex_);
    nodes_[node.str()][loser.image] = loser;
    ids.push_back(loser.image);
  }
  return ids;
}

Result<site::Pulled> Catalog::AddImage(const NodeId& node, const NewImage& image) {
  const std::string id = image.id.str();
  const Turn turn(turns_);
  NodeReference reference{node.str(), id, {}, {}};
  bool known = false;
  {
    MutexLock lock(mutex_);
    known = images_.count(id) != 0;
    const NodeImages& images = nodes_[node.str()];
    if (const auto found = images.find(id); found != images.end()) reference = found->second;
  }
  if (!known) RETURN_IF_ERROR(WriteImage(image));
  // Only the name that was asked for: with a digest in it the tag may mean something else by now.
  if (!image.name.digest) reference.tags.insert(image.name.Tagged());
  reference.digests.insert(image.name.Digested(image.manifest));
  RETURN_IF_ERROR(WriteReference(reference));
  site::Pulled pulled;
  if (!image.name.digest) {
    ASSIGN_OR_RETURN(pulled.losers, MoveTag(node, image.name.Tagged(), id));
  }
  MutexLock lock(mutex_);
  nodes_[node.str()][id] = reference;
  pulled.image = ShowLocked(*images_.at(id), reference);
  return pulled;
}

Result<std::string> Catalog::Remove(const NodeId& node, const std::string& name) {
  std::string id;
  {
    const Turn turn(turns_);
    {
      MutexLock lock(mutex_);
      ASSIGN_OR_RETURN(id, FindId(node, name));
    }
    if (id.empty()) return id;
    const std::string path = NodeFolder(node.str()) + "/" + id.substr(7) + ".json";
    RETURN_IF_ERROR(RemoveDurably(path));
    MutexLock lock(mutex_);
    nodes_[node.str()].erase(id);
  }
  Collect();
  return id;
}

Turns& Catalog::TurnOf(const ContainerId& holder) {
  return holder_turns_[std::hash<std::string>()(holder.str()) % holder_turns_.size()];
}

Result<sdk::UnpackedImage> Catalog::Hold(const ContainerId& holder, const std::string& image_id) {
  if (!IsFullId(holder.str())) return InvalidArgument("a holder's name must be 64 hex digits");
  const Turn turn(TurnOf(holder));
  std::shared_ptr<const LiveImage> image;
  std::string file;
  bool fresh = false;
  {
    MutexLock lock(mutex_);
    const auto prefix = IdPrefix(image_id);
    const auto found = images_.find(prefix ? "sha256:" + *prefix : image_id);
    if (found == images_.end())
      return NotFound("the image \"" + image_id + "\" is not at this site; pull it first");
    image = found->second;
    // Before its file is there: the collector must not take the image meanwhile.
    auto& files = holds_[holder];
    const std::string hex = image->stored.id.substr(7);
    const auto [hold, added] =
        files.emplace(image->stored.id, files.empty() ? holder.str() : holder.str() + "." + hex);
    file = hold->second;
    fresh = added;
    left_.erase(holder);
  }
  if (fresh) {
    const Status written = WriteFileAtomically(root_ + "/holds/" + file,
                                               ToJson(StoredHold{image->stored.id}), kPrivate);
    if (!written.ok()) {
      MutexLock lock(mutex_);
      auto& files = holds_[holder];
      files.erase(image->stored.id);
      if (files.empty()) holds_.erase(holder);
      return written;
    }
  }
  sdk::UnpackedImage out;
  out.id = image->stored.id;
  out.config = image->config.config;
  for (const LayerPin& layer : image->layers) {
    if (layer->unpacked.root_opaque) out.layers.clear();
    const std::string folder = LayerFolder(*layer);
    // The same layer further down adds nothing to it, and overlayfs takes no folder twice.
    std::erase(out.layers, folder);
    out.layers.push_back(folder);
  }
  return out;
}

bool Catalog::Wanted(const std::string& id) const {
  return std::any_of(holds_.begin(), holds_.end(),
                     [&id](const auto& hold) { return hold.second.count(id) != 0; }) ||
         std::any_of(nodes_.begin(), nodes_.end(),
                     [&id](const auto& node) { return node.second.count(id) != 0; });
}

Status Catalog::Release(const ContainerId& holder) {
  bool unwanted = false;
  {
    const Turn turn(TurnOf(holder));
    ASSIGN_OR_RETURN(unwanted, ReleaseInTurn(holder));
  }
  if (unwanted) Collect();
  return {};
}

Result<bool> Catalog::ReleaseInTurn(const ContainerId& holder) {
  std::map<std::string, std::string> files;
  {
    MutexLock lock(mutex_);
    const auto found = holds_.find(holder);
    if (found == holds_.end()) return false;
    files = found->second;
  }
  bool unwanted = false;
  for (const auto& [image, file] : files) {
    RETURN_IF_ERROR(RemoveDurably(root_ + "/holds/" + file));
    MutexLock lock(mutex_);
    auto& held = holds_[holder];
    held.erase(image);
    if (held.empty()) {
      holds_.erase(holder);
      left_.erase(holder);
    }
    unwanted = unwanted || !Wanted(image);
  }
  return unwanted;
}

void Catalog::KeepHolders(const std::vector<ContainerId>& living) {
  std::set<ContainerId> drop;
  {
    MutexLock lock(mutex_);
    drop = left_;
  }
  for (const ContainerId& holder : living) drop.erase(holder);
  bool unwanted = false;
  for (const ContainerId& holder : drop) {
    const Turn turn(TurnOf(holder));
    {
      MutexLock lock(mutex_);
      if (left_.count(holder) == 0) continue;  // it has held, or was released, since
    }
    const auto released = ReleaseInTurn(holder);
    if (released.ok()) {
      unwanted = unwanted || *released;
    } else {
      log_.Warning("could not release an image",
                   {{"holder", holder.str()}, {"error", released.status().message()}});
    }
  }
  if (unwanted) Collect();
}

Catalog::Size Catalog::size() const {
  Size out;
  MutexLock lock(mutex_);
  for (const auto& [number, layer] : layers_) {
    out.bytes += layer.pin->unpacked.bytes;
    out.inodes += layer.pin->unpacked.entries;
  }
  return out;
}

void Catalog::Collect() {
  const Turn turn(turns_);
  CollectImages();
  CollectLayers();
}

void Catalog::CollectImages() {
  std::vector<std::shared_ptr<const LiveImage>> dead;
  {
    MutexLock lock(mutex_);
    for (auto it = images_.begin(); it != images_.end();) {
      if (!Wanted(it->first)) {
        dead.push_back(it->second);
        it = images_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (const auto& image : dead) {
    const Status gone = trash_.Discard(ImageFolder(image->stored.id), 0, 0);
    if (gone.ok()) continue;
    log_.Warning("could not discard an image", {{"error", gone.message()}});
    // What is on disk keeps its layers: the next start reads it. It is tried again.
    MutexLock lock(mutex_);
    images_.emplace(image->stored.id, image);
  }
}

void Catalog::CollectLayers() {
  constexpr auto kKeepUnused = std::chrono::minutes(10);
  const auto now = std::chrono::steady_clock::now();
  std::vector<LayerPin> dead;
  {
    MutexLock lock(mutex_);
    for (auto it = layers_.begin(); it != layers_.end();) {
      // Pins are copied from the map under this lock, so a count of one stays one.
      const LiveLayer& layer = it->second;
      const bool fresh = !layer.in_image && now - layer.since < kKeepUnused;
      if (layer.pin.use_count() == 1 && !fresh) {
        dead.push_back(layer.pin);
        it = layers_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (const LayerPin& layer : dead) {
    const Status gone = trash_.Discard(root_ + "/layers/" + std::to_string(layer->number),
                                       layer->unpacked.bytes, layer->unpacked.entries);
    if (!gone.ok()) log_.Warning("could not discard a layer", {{"error", gone.message()}});
  }
}

}  // namespace interlink::images
