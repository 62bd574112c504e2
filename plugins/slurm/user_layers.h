// UserLayers: the layers that jobs can read (job_layers.h), for each user of whom there are jobs.
// No user's folder is another's: what one makes of his own harms nobody else. Thread-safe.
//
//   ROOT/        of the plugin's own user
//   ROOT-UID/    of that user
#ifndef INTERLINK_PLUGINS_SLURM_USER_LAYERS_H_
#define INTERLINK_PLUGINS_SLURM_USER_LAYERS_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/call.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "sdk/host.h"
#include "slurm/file_owner.h"
#include "slurm/job_layers.h"

namespace interlink::slurm {

class UserLayers {
 public:
  // A user; nothing: the plugin's own.
  using User = std::optional<FileOwner>;

  // Opens what an earlier process left. An error: the own folder cannot be used
  // (JobLayers::Create). Another user's that cannot is told in the log and tried again when it is
  // needed. `clock` and `log` outlive it.
  static Result<std::unique_ptr<UserLayers>> Create(std::string root, const Clock& clock, Log& log);
  // Waits until one layer is deleted, if that was begun. REQUIRES: no call is under way.
  ~UserLayers();
  UserLayers(const UserLayers&) = delete;
  UserLayers& operator=(const UserLayers&) = delete;

  // As those of JobLayers, whose errors they answer.
  Status Prepare(const Call& call, const User& user, const sdk::UnpackedImage& image);
  Result<sdk::UnpackedImage> Hold(const User& user, const ContainerId& holder,
                                  const sdk::UnpackedImage& image);
  // Whoever's it is.
  void Release(const ContainerId& holder);

 private:
  UserLayers(std::string root, const Clock& clock, Log& log)
      : root_(std::move(root)), clock_(clock), log_(log) {}
  Status OpenFound();
  Result<JobLayers*> LayersOf(const User& user) EXCLUDES_LOCK(mutex_);
  std::vector<JobLayers*> All() const EXCLUDES_LOCK(mutex_);
  void Run(const std::stop_token& stop);

  const std::string root_;
  const Clock& clock_;
  Log& log_;
  std::unique_ptr<JobLayers> own_;
  mutable Mutex mutex_;
  CondVar stopped_;
  // Only grows, so what it has may be used without the lock.
  std::map<uid_t, std::unique_ptr<JobLayers>> others_ GUARDED_BY(mutex_);
  std::jthread sweeper_;
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_USER_LAYERS_H_
