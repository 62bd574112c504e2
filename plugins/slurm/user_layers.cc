#include "slurm/user_layers.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "engine/list_folder.h"
#include "slurm/numbers.h"

namespace interlink::slurm {
namespace {

constexpr auto kSweepAllEvery = std::chrono::seconds(30);

}  // namespace

Result<std::unique_ptr<UserLayers>> UserLayers::Create(std::string root, const Clock& clock,
                                                       Log& log) {
  std::unique_ptr<UserLayers> layers(new UserLayers(std::move(root), clock, log));
  ASSIGN_OR_RETURN(layers->own_, JobLayers::Create({.root = layers->root_,
                                                    .owner = {geteuid(), getegid()},
                                                    .owners = geteuid() == 0 ? LayerOwners::kKept
                                                                             : LayerOwners::kOne},
                                                   clock, log));
  RETURN_IF_ERROR(layers->OpenFound());
  layers->sweeper_ =
      std::jthread([self = layers.get()](const std::stop_token& stop) { self->Run(stop); });
  return layers;
}

UserLayers::~UserLayers() {
  sweeper_.request_stop();
  {
    const MutexLock lock(mutex_);
    stopped_.NotifyAll();
  }
  if (sweeper_.joinable()) sweeper_.join();
}

// Also of users of whom there is no pod any more: their layers go when their time is over.
Status UserLayers::OpenFound() {
  const size_t slash = root_.rfind('/');
  const std::string prefix = root_.substr(slash + 1) + "-";
  ASSIGN_OR_RETURN(const auto names, engine::ListFolder(root_.substr(0, slash)));
  for (const std::string& name : names) {
    if (!name.starts_with(prefix)) continue;
    const auto uid = ParseDigits<uid_t>(std::string_view(name).substr(prefix.size()));
    struct stat about {};
    const std::string path = root_.substr(0, slash) + "/" + name;
    if (!uid || lstat(path.c_str(), &about) != 0 || about.st_uid != *uid) continue;
    const auto opened = LayersOf(FileOwner{*uid, about.st_gid});
    if (!opened.ok()) {
      log_.Warning("the image layers of a user cannot be used yet",
                   {{"folder", path}, {"why", opened.status().ToString()}});
    }
  }
  return {};
}

Result<JobLayers*> UserLayers::LayersOf(const User& user) {
  if (!user) return own_.get();
  const MutexLock lock(mutex_);
  auto& found = others_[user->uid];
  if (found == nullptr) {
    // Under the lock: two of one folder would delete each other's.
    auto opened = JobLayers::Create({.root = root_ + "-" + std::to_string(user->uid),
                                     .owner = *user,
                                     .owners = LayerOwners::kOne},
                                    clock_, log_);
    if (!opened.ok()) {
      others_.erase(user->uid);
      return opened.status();
    }
    found = *std::move(opened);
  }
  return found.get();
}

std::vector<JobLayers*> UserLayers::All() const {
  std::vector<JobLayers*> all = {own_.get()};
  const MutexLock lock(mutex_);
  for (const auto& [uid, layers] : others_) all.push_back(layers.get());
  return all;
}

Status UserLayers::Prepare(const Call& call, const User& user, const sdk::UnpackedImage& image) {
  ASSIGN_OR_RETURN(JobLayers* const layers, LayersOf(user));
  return layers->Prepare(call, image);
}

Result<sdk::UnpackedImage> UserLayers::Hold(const User& user, const ContainerId& holder,
                                            const sdk::UnpackedImage& image) {
  ASSIGN_OR_RETURN(JobLayers* const layers, LayersOf(user));
  return layers->Hold(holder, image);
}

void UserLayers::Release(const ContainerId& holder) {
  for (JobLayers* layers : All()) layers->Release(holder);
}

void UserLayers::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    for (JobLayers* layers : All()) layers->Sweep();
    const MutexLock lock(mutex_);
    stopped_.WaitFor(mutex_, kSweepAllEvery, [&stop] { return stop.stop_requested(); });
  }
}

}  // namespace interlink::slurm
