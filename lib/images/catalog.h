// Catalog: which layers, images, references and holds there are: in memory for reading, each change
// on disk before it is answered. Thread-safe.
//
// Nothing is on disk without a reason for long: a layer lives while an image or a pull has it, an
// image while a node's reference or a holder has it.
#ifndef INTERLINK_IMAGES_CATALOG_H_
#define INTERLINK_IMAGES_CATALOG_H_

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/trash.h"
#include "images/image_config.h"
#include "images/records.h"
#include "images/reference.h"
#include "images/turn.h"
#include "site/images.h"

namespace interlink::images {

// A layer that is in use. Owners: the catalog, the images made of it, and pulls in progress; while
// any but the catalog has it, it is not collected.
using LayerPin = std::shared_ptr<const StoredLayer>;

class Catalog {
 public:
  // `root` and its folders exist (records.h); what is in temp/ is discarded. Fails rather than
  // forget anything: kDataLoss and kFailedPrecondition name the file.
  static Result<std::unique_ptr<Catalog>> Open(const std::string& root,
                                               const std::string& default_registry, Trash& trash,
                                               Log& log);

  // --- layers
  // A layer that the blob is known to unpack to, or null. Reads the disk to compare the folders
  // that the layer implies with the layers below it.
  Result<LayerPin> FindLayer(const Digest& blob, const Digest& diff_id,
                             const std::vector<LayerPin>& lowers);
  // True when some form of that layer is there, whatever is below it.
  bool HasLayer(const Digest& blob, const Digest& diff_id) const;
  // True when an image that the node refers to has that blob: it needs no new proof.
  bool NodeHasBlob(const NodeId& node, const Digest& blob) const;
  // Takes the folder `temp`/fs over. An equal layer that is already there learns the blob instead.
  Result<LayerPin> AddLayer(const std::string& temp, const Digest& blob, const Digest& diff_id,
                            UnpackedLayer unpacked);
  std::string LayerFolder(const StoredLayer& layer) const;

  // --- images
  struct NewImage {
    Digest id;
    std::string config;  // bytes
    std::vector<LayerPin> layers;
    uint64_t size = 0;
    Reference name;
    Digest manifest;  // that the name means
  };
  // The image, and this node's names for it. A tag that meant another image moves: that one is a
  // loser.
  Result<site::Pulled> AddImage(const NodeId& node, const NewImage& image);
  Result<std::vector<site::Image>> Find(const NodeId& node, const std::string& name) const;
  std::vector<site::Image> List(const NodeId& node) const;
  Result<std::string> Remove(const NodeId& node, const std::string& name);

  // --- holders
  Result<sdk::UnpackedImage> Hold(const ContainerId& holder, const std::string& image_id);
  Status Release(const ContainerId& holder);
  // Releases what an earlier process has left, unless its holder is living or has held since.
  void KeepHolders(const std::vector<ContainerId>& living);

  // Deletes the images and layers that nobody has. Layers of a pull that failed stay ten minutes:
  // it will be repeated. An image that cannot be discarded stays, with its layers, until the next
  // time.
  void Collect();

  struct Size {
    uint64_t bytes = 0;
    uint64_t inodes = 0;
  };
  Size size() const;

 private:
  struct LiveImage {
    StoredImage stored;
    std::vector<LayerPin> layers;
    ParsedConfig config;
    std::string info;
  };
  struct LiveLayer {
    LayerPin pin;
    std::set<std::string> blobs;  // the pin's own are those of its making
    bool in_image = false;
    SteadyTime since;
  };
  using NodeImages = std::map<std::string, NodeReference>;  // by image id

  Catalog(std::string root, std::string default_registry, Trash& trash, Log& log)
      : root_(std::move(root)),
        default_registry_(std::move(default_registry)),
        trash_(trash),
        log_(log) {}
  // catalog_load.cc
  Status Load();
  Status LoadLayers();
  Status LoadImages();
  Status LoadNode(const std::string& folder);
  Status LoadHolds();
  // catalog.cc
  Result<std::string> FindId(const NodeId& node, const std::string& name) const
      REQUIRES_LOCK(mutex_);
  site::Image ShowLocked(const LiveImage& image, const NodeReference& reference) const
      REQUIRES_LOCK(mutex_);
  // Some node refers to the image or some holder holds it.
  bool Wanted(const std::string& id) const REQUIRES_LOCK(mutex_);
  Turns& TurnOf(const ContainerId& holder);
  // REQUIRES: the holder's turn. True: an image of it is wanted by nobody now.
  Result<bool> ReleaseInTurn(const ContainerId& holder);
  Status WriteReference(const NodeReference& reference);
  Status WriteImage(const NewImage& image);
  // Answers the ids of the images that had it.
  Result<std::vector<std::string>> MoveTag(const NodeId& node, const std::string& tag,
                                           const std::string& to_image);
  Status WriteLayer(const std::string& folder, const StoredLayer& layer) const;
  Status LearnBlob(const StoredLayer& layer, const Digest& blob);
  std::string NodeFolder(const std::string& node) const;
  std::string ImageFolder(const std::string& id) const;
  void CollectImages();
  void CollectLayers();

  const std::string root_;
  const std::string default_registry_;
  Trash& trash_;
  Log& log_;

  Turns turns_;  // of changes to layers, images and references
  // Of changes to one holder: its files and what is known of them change together. Each serves
  // many.
  std::array<Turns, 64> holder_turns_;
  mutable Mutex mutex_;
  std::map<uint64_t, LiveLayer> layers_ GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<const LiveImage>> images_ GUARDED_BY(mutex_);
  std::map<std::string, NodeImages> nodes_ GUARDED_BY(mutex_);
  // By holder and image: the name of the hold's file.
  std::map<ContainerId, std::map<std::string, std::string>> holds_ GUARDED_BY(mutex_);
  std::set<ContainerId> left_ GUARDED_BY(mutex_);  // holders that only an earlier process has known
  uint64_t next_layer_ GUARDED_BY(mutex_) = 1;
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_CATALOG_H_
