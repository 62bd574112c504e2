#include "images/image_store.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/file.h"
#include "images/credentials.h"
#include "images/one_pull.h"

namespace interlink::images {
namespace {

Result<UniqueFd> LockStore(const std::string& root) {
  const std::string path = root + "/lock";
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return ErrnoStatus(errno, "open \"" + path + "\"");
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return FailedPrecondition("another process uses the image store \"" + root + "\"");
    return ErrnoStatus(errno, "lock \"" + path + "\"");
  }
  return lock;
}

// The kubelet shows RegistryUnavailable as the pod's waiting reason.
Status ForKubelet(const Status& status, const std::string& name) {
  const Status named = status.WithContext("pull of \"" + name + "\"");
  if (named.code() == Code::kUnavailable)
    return Unavailable("RegistryUnavailable: " + named.message());
  return named;
}

}  // namespace

ImageStore::ImageStore(Options options, std::unique_ptr<RegistryTransport> transport, Log& log)
    : options_(std::move(options)), log_(log), transport_(std::move(transport)) {}

ImageStore::~ImageStore() = default;

Result<std::unique_ptr<ImageStore>> ImageStore::Open(Options options,
                                                     std::unique_ptr<RegistryTransport> transport,
                                                     Log& log) {
  const std::string root = options.root;
  // Configuration errors are told at the start, not at the first pull.
  RETURN_IF_ERROR(ParseReference("x", options.default_registry).status());
  for (const auto& [host, urls] : options.mirrors)
    RETURN_IF_ERROR(Endpoints(options.mirrors, host, "x").status());
  RETURN_IF_ERROR(MakeDirectories(root, 0700));
  std::unique_ptr<ImageStore> store(new ImageStore(std::move(options), std::move(transport), log));
  ASSIGN_OR_RETURN(store->lock_, LockStore(root));
  for (const char* name : {"layers", "images", "nodes", "holds", "temp", "trash"})
    RETURN_IF_ERROR(MakeDirectories(root + "/" + name, 0700));
  const Options& set = store->options_;
  store->trash_ = std::make_unique<Trash>(
      Trash::Options{root + "/trash", set.delete_delay, set.deletes_per_second, set.delete_pause},
      log);
  ASSIGN_OR_RETURN(store->catalog_, Catalog::Open(root, set.default_registry, *store->trash_, log));
  store->downloads_ = std::make_unique<Downloads>(root + "/temp", set.keep_free_bytes);
  return store;
}

Result<site::Pulled> ImageStore::Pull(const Call& call, const NodeId& node,
                                      const runtime::v1::ImageSpec& spec,
                                      const runtime::v1::AuthConfig& auth,
                                      std::function<void(uint64_t)> progress) {
  ASSIGN_OR_RETURN(const Reference name, ParseReference(spec.image(), options_.default_registry));
  const auto& allowed = options_.allowed_registries;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), name.host) == allowed.end()) {
    return PermissionDenied("this site does not pull from the registry \"" + name.host + "\"");
  }
  ASSIGN_OR_RETURN(Credentials credentials, ParseAuth(auth, name.host));
  trash_->Pause();
  auto image = OnePull(*this, call, node, std::move(progress)).Run(name, std::move(credentials));
  trash_->Resume();
  if (image.ok()) return image;
  // Of a pull that failed only layers stay, for a while.
  catalog_->Collect();
  if (image.status().code() == Code::kResourceExhausted) trash_->Hurry();
  return ForKubelet(image.status(), name.ToString());
}

Result<std::vector<site::Image>> ImageStore::Find(const NodeId& node,
                                                  const std::string& name) const {
  return catalog_->Find(node, name);
}

std::vector<site::Image> ImageStore::List(const NodeId& node) const { return catalog_->List(node); }

Result<std::string> ImageStore::Remove(const NodeId& node, const std::string& name) {
  return catalog_->Remove(node, name);
}

Result<sdk::UnpackedImage> ImageStore::Hold(const ContainerId& holder,
                                            const std::string& image_id) {
  return catalog_->Hold(holder, image_id);
}

void ImageStore::Release(const ContainerId& holder) {
  const Status released = catalog_->Release(holder);
  if (!released.ok())
    log_.Warning("could not release an image",
                 {{"holder", holder.str()}, {"error", released.message()}});
}

void ImageStore::KeepHolders(const std::vector<ContainerId>& living) {
  catalog_->KeepHolders(living);
}

Result<runtime::v1::FilesystemUsage> ImageStore::Usage() const {
  const Catalog::Size living = catalog_->size();
  const Trash::Pending dying = trash_->pending();
  runtime::v1::FilesystemUsage usage;
  usage.set_timestamp(SystemClock().WallNanos());
  usage.mutable_fs_id()->set_mountpoint(options_.root);
  usage.mutable_used_bytes()->set_value(living.bytes + dying.bytes);
  usage.mutable_inodes_used()->set_value(living.inodes + dying.inodes);
  return usage;
}

}  // namespace interlink::images
