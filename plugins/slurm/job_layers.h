// JobLayers: the form of the site's image layers that jobs can read (copy_layer.h), below one
// folder that the site shares with the machines of the cluster. Thread-safe.
//
//   ROOT/              0700, of the user whose jobs read it. Of one site: who else used it would
//                      lose its layers. Everything in it is durable before it is announced
//     vN-INODE-TIME/   the copy of one of the site's layers, whole; named by the inode of the
//                      site's folder and its time, because the image store uses its numbers again
//     holders/ID       "1", then the layers that a container holds, a line each
//     temp/ trash/     copies under way, and what is being deleted; swept at the start
//
// A layer lives while a container holds it, and unheld for ten minutes more: the next pod may want
// it.
#ifndef INTERLINK_PLUGINS_SLURM_JOB_LAYERS_H_
#define INTERLINK_PLUGINS_SLURM_JOB_LAYERS_H_

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "sdk/host.h"
#include "slurm/copy_layer.h"
#include "slurm/file_owner.h"

namespace interlink::slurm {

class JobLayers {
 public:
  struct Options {
    std::string root;  // absolute; made if its parent is there
    FileOwner owner;   // who runs the jobs
    LayerOwners owners = LayerOwners::kOne;
    Duration unheld = std::chrono::minutes(10);
  };

  // Finds what an earlier process left. kDataLoss names a damaged file; kFailedPrecondition: the
  // folder is somebody else's, or what is made in it does not become the owner's;
  // kPermissionDenied: this process may not act as the owner. `clock` and `log` outlive it.
  static Result<std::unique_ptr<JobLayers>> Create(Options options, const Clock& clock, Log& log);
  // REQUIRES: no call is under way.
  ~JobLayers() = default;
  JobLayers(const JobLayers&) = delete;
  JobLayers& operator=(const JobLayers&) = delete;

  // Copies the layers that are not there yet, each once, whoever asks for it. May block until the
  // call's deadline; a layer that is not finished by then is begun anew by the next call. REQUIRES:
  // the image is held at the site meanwhile. Errors: as CopyLayer.
  Status Prepare(const Call& call, const sdk::UnpackedImage& image);

  // The image with the copies as its layers. A holder may hold several images. Idempotent.
  // kFailedPrecondition: not prepared. REQUIRES: calls for one holder come one at a time.
  Result<sdk::UnpackedImage> Hold(const ContainerId& holder, const sdk::UnpackedImage& image);
  // All that it holds; nothing is OK. What the disk refuses is repeated by Sweep.
  void Release(const ContainerId& holder);

  // Deletes what nobody has any more, and is done when it returns: user_layers.h calls it.
  void Sweep() EXCLUDES_LOCK(sweep_);

 private:
  enum class State { kAbsent, kCopying, kReady, kGoing };
  struct Layer {
    State state = State::kAbsent;
    int users = 0;  // calls of Prepare for an image that has it
    int holders = 0;
    SteadyTime since{};  // unheld and unused
  };
  struct Holder {
    std::set<std::string> layers;
    bool released = false;  // its file remains
    bool busy = false;      // its file changes
  };
  struct Added {
    std::vector<std::string> fresh;
    std::set<std::string> all;
  };
  class Use;

  JobLayers(Options options, const Clock& clock, Log& log)
      : options_(std::move(options)), clock_(clock), log_(log) {}
  Status OpenRoot();
  Status MakeRoot() const;
  Status CheckOwnership() const;
  Status Load();
  Status LoadHolder(const std::string& id);
  Status PrepareLayer(const Call& call, const std::string& from, const std::string& name);
  // True: it is there. False: the caller makes it.
  Result<bool> AwaitLayer(const Call& call, const std::string& name);
  Status CopyInto(const Call& call, const std::string& from, const std::string& name);
  Status Publish(const std::string& temporary, const std::string& name) const;
  // What is new to the holder, who is busy then; nothing: it has them.
  Result<std::optional<Added>> AddToHolder(const ContainerId& holder,
                                           const std::vector<std::string>& names,
                                           const std::string& image_id);
  Status WriteHolder(const ContainerId& holder, const std::set<std::string>& layers) const;
  void DropHolder(const ContainerId& holder);
  void DropLayers();
  void Discard(const std::string& path);

  const Options options_;
  const Clock& clock_;
  Log& log_;
  Mutex sweep_;  // taken before mutex_
  Mutex mutex_;
  CondVar changed_;
  std::map<std::string, Layer> layers_ GUARDED_BY(mutex_);
  std::map<ContainerId, Holder> holders_ GUARDED_BY(mutex_);
  std::set<std::string> discarded_ GUARDED_BY(mutex_);  // paths below temp/ and trash/
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_JOB_LAYERS_H_
