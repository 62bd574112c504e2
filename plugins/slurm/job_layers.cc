#include "slurm/job_layers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/unique_fd.h"
#include "slurm/copy_layer.h"

namespace interlink::slurm {
namespace {

constexpr std::string_view kHolderVersion = "1\n";
constexpr size_t kMaxHolderFile = 1U << 20U;
// A cancelled call ends its wait for another's copy within this.
constexpr auto kLookEvery = std::chrono::milliseconds(500);
constexpr auto kHolderWait = std::chrono::seconds(5);

// A change of the form is a new name.
std::string_view PrefixOf(LayerOwners owners) {
  return owners == LayerOwners::kKept ? "v2-" : "v1-";
}

// The inode alone may come again, and so may the path: the image store counts its layers anew.
Result<std::string> LayerName(const std::string& folder, LayerOwners owners) {
  struct stat about {};
  if (stat(folder.c_str(), &about) != 0)
    return ErrnoStatus(errno, "stat the layer \"" + folder + "\"");
  if (!S_ISDIR(about.st_mode)) return InvalidArgument("the layer \"" + folder + "\" is no folder");
  return std::string(PrefixOf(owners)) + std::to_string(about.st_ino) + "-" +
         std::to_string(about.st_ctim.tv_sec) + "." + std::to_string(about.st_ctim.tv_nsec);
}

Result<std::vector<std::string>> LayerNamesOf(const sdk::UnpackedImage& image, LayerOwners owners) {
  std::vector<std::string> names;
  for (const std::string& folder : image.layers) {
    ASSIGN_OR_RETURN(std::string name, LayerName(folder, owners));
    names.push_back(std::move(name));
  }
  return names;
}

Result<std::vector<std::string>> NamesInFolder(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator it(folder, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error))
    names.push_back(it->path().filename().string());
  if (error) return ErrnoStatus(error.value(), "list \"" + folder + "\"");
  return names;
}

Status FlushFileSystemOf(const std::string& folder) {
  const UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || syncfs(fd.get()) != 0) return ErrnoStatus(errno, "flush \"" + folder + "\"");
  return {};
}

}  // namespace

// While it lives none of these layers is swept.
class JobLayers::Use {
 public:
  Use(JobLayers& layers, const std::vector<std::string>& names)
      : layers_(layers), names_(names.begin(), names.end()) {
    MutexLock lock(layers_.mutex_);
    for (const std::string& name : names_) ++layers_.layers_[name].users;
  }
  ~Use() {
    MutexLock lock(layers_.mutex_);
    for (const std::string& name : names_) {
      Layer& layer = layers_.layers_[name];
      --layer.users;
      layer.since = layers_.clock_.Steady();
      if (layer.state == State::kAbsent && layer.users == 0) layers_.layers_.erase(name);
    }
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  JobLayers& layers_;
  const std::set<std::string> names_;
};

Result<std::unique_ptr<JobLayers>> JobLayers::Create(Options options, const Clock& clock,
                                                     Log& log) {
  RETURN_IF_ERROR(CheckMayActAs(options.owner));
  std::unique_ptr<JobLayers> layers(new JobLayers(std::move(options), clock, log));
  RETURN_IF_ERROR(layers->OpenRoot());
  RETURN_IF_ERROR(layers->Load());
  return layers;
}

Status JobLayers::OpenRoot() {
  const std::string& root = options_.root;
  RETURN_IF_ERROR(MakeRoot());
  const OwnersRights rights(options_.owner);
  struct stat about {};
  if (lstat(root.c_str(), &about) != 0) return ErrnoStatus(errno, "stat \"" + root + "\"");
  if (!S_ISDIR(about.st_mode) || about.st_uid != options_.owner.uid) {
    return FailedPrecondition("\"" + root + "\" must be a folder of user " +
                              std::to_string(options_.owner.uid) + ", whose jobs read it");
  }
  // A group that is handed down would be a stranger in the job's user namespace.
  if (lchown(root.c_str(), static_cast<uid_t>(-1), options_.owner.gid) != 0) {
    return ErrnoStatus(errno,
                       "give \"" + root + "\" to group " + std::to_string(options_.owner.gid));
  }
  if (chmod(root.c_str(), S_IRWXU) != 0) return ErrnoStatus(errno, "chmod \"" + root + "\"");
  for (const char* name : {"/holders", "/temp", "/trash"})
    RETURN_IF_ERROR(MakeDirectories(root + name, S_IRWXU));
  return CheckOwnership();
}

Status JobLayers::MakeRoot() const {
  const std::string& root = options_.root;
  int error = 0;
  {
    const OwnersRights rights(options_.owner);
    error = mkdir(root.c_str(), S_IRWXU) == 0 ? 0 : errno;
  }
  // Its parent is the site's: nobody else can put something in the way.
  const bool try_as_root = geteuid() == 0 && (error == EACCES || error == EPERM);
  if (!try_as_root) {
    return error == 0 || error == EEXIST ? Status::Ok()
                                         : ErrnoStatus(error, "make \"" + root + "\"");
  }
  if (mkdir(root.c_str(), S_IRWXU) != 0)
    return errno == EEXIST ? Status::Ok() : ErrnoStatus(errno, "make \"" + root + "\"");
  if (lchown(root.c_str(), options_.owner.uid, options_.owner.gid) != 0) {
    return ErrnoStatus(errno,
                       "give \"" + root + "\" to user " + std::to_string(options_.owner.uid));
  }
  return {};
}

Status JobLayers::CheckOwnership() const {
  const std::string probe = options_.root + "/temp/probe-" + RandomHex(8);
  struct stat about {};
  if (mkdir(probe.c_str(), S_IRWXU) != 0 || stat(probe.c_str(), &about) != 0)
    return ErrnoStatus(errno, "make \"" + probe + "\"");
  if (rmdir(probe.c_str()) != 0) return ErrnoStatus(errno, "remove \"" + probe + "\"");
  if (about.st_uid == options_.owner.uid && about.st_gid == options_.owner.gid) return {};
  return FailedPrecondition("what is made in \"" + options_.root + "\" belongs to " +
                            std::to_string(about.st_uid) + ":" + std::to_string(about.st_gid) +
                            ", it must belong to " + std::to_string(options_.owner.uid) + ":" +
                            std::to_string(options_.owner.gid) +
                            " (does the file server map users, or the mount hand down groups?)");
}

Status JobLayers::Load() {
  const OwnersRights rights(options_.owner);
  ASSIGN_OR_RETURN(const auto names, NamesInFolder(options_.root));
  {
    MutexLock lock(mutex_);
    for (const std::string& name : names)
      if (name.starts_with(PrefixOf(options_.owners)))
        layers_[name] = {State::kReady, 0, 0, clock_.Steady()};
  }
  for (const std::string& folder :
       {std::string("/holders"), std::string("/temp"), std::string("/trash")}) {
    ASSIGN_OR_RETURN(const auto left, NamesInFolder(options_.root + folder));
    for (const std::string& name : left) {
      if (folder == "/holders" && IsFullId(name)) {
        RETURN_IF_ERROR(LoadHolder(name));
      } else {
        Discard(options_.root + folder + "/" + name);  // a crash left it half made
      }
    }
  }
  return {};
}

Status JobLayers::LoadHolder(const std::string& id) {
  const std::string path = options_.root + "/holders/" + id;
  ASSIGN_OR_RETURN(const std::string text, ReadPlainFile(path, kMaxHolderFile));
  if (!text.starts_with(kHolderVersion) || !text.ends_with('\n'))
    return DataLoss("\"" + path + "\" is damaged");
  std::vector<std::string> absent;
  {
    MutexLock lock(mutex_);
    Holder& holder = holders_[ContainerId(id)];
    for (size_t at = kHolderVersion.size(); at < text.size();) {
      const size_t end = text.find('\n', at);
      const std::string name = text.substr(at, end - at);
      at = end + 1;
      const auto layer = layers_.find(name);
      if (layer == layers_.end()) {
        absent.push_back(name);
      } else if (holder.layers.insert(name).second) {
        ++layer->second.holders;
      }
    }
  }
  for (const std::string& name : absent) {
    log_.Warning("a layer that a container holds is not there",
                 {{"container", id}, {"layer", name}});
  }
  return {};
}

Status JobLayers::Prepare(const Call& call, const sdk::UnpackedImage& image) {
  ASSIGN_OR_RETURN(const auto names, LayerNamesOf(image, options_.owners));
  const Use use(*this, names);
  for (size_t i = 0; i < names.size(); ++i)
    RETURN_IF_ERROR(PrepareLayer(call, image.layers[i], names[i]));
  return {};
}

Result<bool> JobLayers::AwaitLayer(const Call& call, const std::string& name) {
  MutexLock lock(mutex_);
  while (true) {
    Layer& layer = layers_[name];
    if (layer.state == State::kReady) return true;
    if (layer.state == State::kAbsent) {
      layer.state = State::kCopying;
      return false;
    }
    RETURN_IF_ERROR(call.Check("waiting for a layer that another call copies"));
    const auto settled = [&layer]() NO_LOCK_ANALYSIS {
      return layer.state == State::kReady || layer.state == State::kAbsent;
    };
    changed_.WaitUntil(
        mutex_, std::min(call.deadline(), std::chrono::steady_clock::now() + kLookEvery), settled);
  }
}

Status JobLayers::PrepareLayer(const Call& call, const std::string& from, const std::string& name) {
  ASSIGN_OR_RETURN(const bool there, AwaitLayer(call, name));
  if (there) return {};
  const Status copied = CopyInto(call, from, name);
  MutexLock lock(mutex_);
  layers_[name].state = copied.ok() ? State::kReady : State::kAbsent;
  changed_.NotifyAll();
  return copied;
}

Status JobLayers::CopyInto(const Call& call, const std::string& from, const std::string& name) {
  const std::string temporary = options_.root + "/temp/" + name + "-" + RandomHex(8);
  Status done = CopyLayer(call, from, temporary, options_.owner, options_.owners);
  if (done.ok()) done = Publish(temporary, name);
  if (!done.ok()) Discard(temporary);
  return done.WithContext("prepare the layer \"" + from + "\" for jobs");
}

Status JobLayers::Publish(const std::string& temporary, const std::string& name) const {
  const OwnersRights rights(options_.owner);
  RETURN_IF_ERROR(FlushFileSystemOf(temporary));
  const std::string path = options_.root + "/" + name;
  // There already: an earlier call put it there, and could not make its name durable.
  const bool renamed = rename(temporary.c_str(), path.c_str()) == 0;
  if (!renamed && errno != ENOTEMPTY && errno != EEXIST)
    return ErrnoStatus(errno, "rename \"" + temporary + "\" to \"" + path + "\"");
  RETURN_IF_ERROR(SyncDirectoryOf(path));
  return renamed ? Status::Ok() : RemoveTree(temporary);
}

Result<sdk::UnpackedImage> JobLayers::Hold(const ContainerId& holder,
                                           const sdk::UnpackedImage& image) {
  if (!IsFullId(holder.str())) return InvalidArgument("a holder's name must be 64 hex digits");
  ASSIGN_OR_RETURN(const auto names, LayerNamesOf(image, options_.owners));
  ASSIGN_OR_RETURN(const auto added, AddToHolder(holder, names, image.id));
  if (added) {
    const Status written = WriteHolder(holder, added->all);
    MutexLock lock(mutex_);
    Holder& its = holders_[holder];
    its.busy = false;
    changed_.NotifyAll();
    if (!written.ok()) {
      for (const std::string& name : added->fresh) {
        its.layers.erase(name);
        --layers_[name].holders;
      }
      if (its.layers.empty()) holders_.erase(holder);
      return written;
    }
  }
  sdk::UnpackedImage held = image;
  for (size_t i = 0; i < names.size(); ++i) held.layers[i] = options_.root + "/" + names[i];
  return held;
}

Result<std::optional<JobLayers::Added>> JobLayers::AddToHolder(
    const ContainerId& holder, const std::vector<std::string>& names, const std::string& image_id) {
  MutexLock lock(mutex_);
  for (const std::string& name : names) {
    const auto layer = layers_.find(name);
    if (layer != layers_.end() && layer->second.state == State::kReady) continue;
    return FailedPrecondition("image \"" + image_id + "\" is not prepared for jobs");
  }
  const auto idle = [&]() NO_LOCK_ANALYSIS {
    const auto found = holders_.find(holder);
    return found == holders_.end() || !found->second.busy;
  };
  if (!changed_.WaitFor(mutex_, kHolderWait, idle))
    return Unavailable("its layers are being released");
  const bool known = holders_.count(holder) != 0;
  Holder& its = holders_[holder];
  Added added;
  for (const std::string& name : names) {
    if (!its.layers.insert(name).second) continue;
    ++layers_[name].holders;
    added.fresh.push_back(name);
  }
  // Nothing to write: its file names them all.
  if (known && added.fresh.empty() && !its.released) return std::optional<Added>();
  its.released = false;
  its.busy = true;
  added.all = its.layers;
  return std::optional<Added>(std::move(added));
}

Status JobLayers::WriteHolder(const ContainerId& holder,
                              const std::set<std::string>& layers) const {
  std::string text(kHolderVersion);
  for (const std::string& name : layers) text += name + "\n";
  const OwnersRights rights(options_.owner);
  return WriteFileAtomically(options_.root + "/holders/" + holder.str(), text, 0600);
}

void JobLayers::Release(const ContainerId& holder) {
  {
    MutexLock lock(mutex_);
    const auto found = holders_.find(holder);
    if (found == holders_.end()) return;
    found->second.released = true;
  }
  DropHolder(holder);
}

void JobLayers::DropHolder(const ContainerId& holder) {
  {
    MutexLock lock(mutex_);
    // Another thread may be at it: its caller is told that the layers are free when they are.
    const auto idle = [&]() NO_LOCK_ANALYSIS {
      const auto found = holders_.find(holder);
      return found == holders_.end() || !found->second.busy;
    };
    if (!changed_.WaitFor(mutex_, kHolderWait, idle)) return;  // Sweep comes again
    const auto found = holders_.find(holder);
    if (found == holders_.end() || !found->second.released) return;
    found->second.busy = true;
  }
  const std::string path = options_.root + "/holders/" + holder.str();
  Status gone;
  {
    const OwnersRights rights(options_.owner);
    if (unlink(path.c_str()) != 0 && errno != ENOENT)
      gone = ErrnoStatus(errno, "remove \"" + path + "\"");
    if (gone.ok()) gone = SyncDirectoryOf(path);
  }
  if (!gone.ok()) {
    log_.Warning("layers of a container are not released yet",
                 {{"container", holder.str()}, {"error", gone.ToString()}});
  }
  MutexLock lock(mutex_);
  const auto found = holders_.find(holder);
  found->second.busy = false;
  changed_.NotifyAll();
  if (!gone.ok()) return;
  for (const std::string& name : found->second.layers) {
    Layer& layer = layers_[name];
    --layer.holders;
    layer.since = clock_.Steady();
  }
  holders_.erase(found);
}

void JobLayers::Discard(const std::string& path) {
  MutexLock lock(mutex_);
  discarded_.insert(path);
}

void JobLayers::Sweep() {
  MutexLock one_at_a_time(sweep_);
  std::vector<ContainerId> released;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, holder] : holders_)
      if (holder.released) released.push_back(id);
  }
  for (const ContainerId& id : released) DropHolder(id);
  DropLayers();
  std::set<std::string> discarded;
  {
    MutexLock lock(mutex_);
    discarded.swap(discarded_);
  }
  for (const std::string& path : discarded) {
    Status removed;
    {
      const OwnersRights rights(options_.owner);
      removed = RemoveTree(path);
    }
    if (removed.ok()) continue;
    log_.Warning("a layer cannot be deleted yet", {{"error", removed.ToString()}});
    Discard(path);
  }
}

// Moves what nobody had for long out of the way; it may be made anew at once.
void JobLayers::DropLayers() {
  std::vector<std::string> going;
  {
    MutexLock lock(mutex_);
    for (auto& [name, layer] : layers_) {
      if (layer.state != State::kReady || layer.holders > 0 || layer.users > 0 ||
          clock_.Steady() - layer.since < options_.unheld) {
        continue;
      }
      layer.state = State::kGoing;
      going.push_back(name);
    }
  }
  for (const std::string& name : going) {
    const std::string trash = options_.root + "/trash/" + name + "-" + RandomHex(8);
    int error = 0;
    {
      const OwnersRights rights(options_.owner);
      if (rename((options_.root + "/" + name).c_str(), trash.c_str()) != 0) error = errno;
    }
    const bool gone = error == 0 || error == ENOENT;
    if (gone) {
      Discard(trash);
    } else {
      log_.Warning("a layer cannot be removed yet",
                   {{"error", ErrnoStatus(error, "rename \"" + name + "\"").ToString()}});
    }
    MutexLock lock(mutex_);
    Layer& layer = layers_[name];
    layer.state = gone ? State::kAbsent : State::kReady;
    layer.since = clock_.Steady();
    if (gone && layer.users == 0) layers_.erase(name);
    changed_.NotifyAll();
  }
}

}  // namespace interlink::slurm
