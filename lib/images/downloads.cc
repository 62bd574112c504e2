#include "images/downloads.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/id.h"
#include "base/unique_fd.h"
#include "images/free_space.h"

namespace interlink::images {
namespace {

// A bound; progress and callers end a download earlier.
constexpr auto kLimit = std::chrono::hours(24);

Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return ErrnoStatus(errno, "write a layer's blob");
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return {};
}

}  // namespace

struct Downloads::Flight {
  Descriptor blob;
  std::string path;
  Call call = Call::WithTimeout(kLimit);
  std::atomic<uint64_t> done{0};
  std::atomic<bool> thread_ended{false};

  Mutex mutex;
  CondVar changed;
  int shares GUARDED_BY(mutex) = 0;
  bool ended GUARDED_BY(mutex) = false;
  Status result GUARDED_BY(mutex);
};

Downloads::Downloads(std::string temp, uint64_t keep_free)
    : temp_(std::move(temp)), keep_free_(keep_free) {}

Downloads::~Downloads() {
  std::vector<Runner> runners;
  {
    MutexLock lock(mutex_);
    for (const Runner& runner : runners_) runner.flight->call.Cancel();
    runners.swap(runners_);
  }
}

void Downloads::Reap() {
  // A thread that has set the flag only returns after it: joining does not wait.
  runners_.erase(std::remove_if(runners_.begin(), runners_.end(),
                                [](const Runner& r) { return r.flight->thread_ended.load(); }),
                 runners_.end());
}

Downloads::Share Downloads::Start(const Descriptor& blob, std::shared_ptr<Registry> registry) {
  Share share;
  share.owner_ = this;
  MutexLock lock(mutex_);
  Reap();
  auto& slot = flights_[blob.digest.str()];
  share.joined_ = slot != nullptr;
  if (!slot) {
    slot = std::make_shared<Flight>();
    slot->blob = blob;
    slot->path = temp_ + "/blob-" + RandomHex(8);
  }
  share.flight_ = slot;
  {
    // Before the thread: a download without shares is nobody's.
    MutexLock flight_lock(slot->mutex);
    ++slot->shares;
  }
  if (!share.joined_) {
    runners_.push_back(
        {slot, std::jthread([flight = slot, registry, keep_free = keep_free_]() mutable {
           Run(flight, std::move(registry), keep_free);
           flight->thread_ended = true;
         })});
  }
  return share;
}

void Downloads::Run(const std::shared_ptr<Flight>& flight, std::shared_ptr<Registry> registry,
                    uint64_t keep_free) {
  const UniqueFd file(::open(flight->path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  Status status;
  if (!file) {
    status = ErrnoStatus(errno, "create \"" + flight->path + "\"");
  } else {
    BlobSink sink;
    sink.restart = [&]() -> Status {
      if (::ftruncate(file.get(), 0) != 0 || ::lseek(file.get(), 0, SEEK_SET) != 0)
        return ErrnoStatus(errno, "begin a layer's blob again");
      return {};
    };
    sink.write = [&](std::string_view bytes) -> Status {
      flight->done += bytes.size();
      return WriteAll(file.get(), bytes);
    };
    status = CheckRoom(flight->path, flight->blob.size, keep_free);
    if (status.ok()) status = registry->GetBlob(flight->call, flight->blob, sink);
  }
  // With it go the credentials of who began.
  registry.reset();
  MutexLock lock(flight->mutex);
  flight->ended = true;
  flight->result = std::move(status);
  if (flight->shares == 0) ::unlink(flight->path.c_str());  // see Leave
  flight->changed.NotifyAll();
}

Downloads::Share& Downloads::Share::operator=(Share&& other) noexcept {
  if (this != &other) {
    Leave();
    owner_ = std::exchange(other.owner_, nullptr);
    flight_ = std::move(other.flight_);
    joined_ = other.joined_;
  }
  return *this;
}

Downloads::Share::~Share() { Leave(); }

void Downloads::Share::Leave() {
  if (!flight_) return;
  {
    MutexLock lock(owner_->mutex_);
    bool last = false;
    {
      MutexLock flight_lock(flight_->mutex);
      last = --flight_->shares == 0;
    }
    const auto found = owner_->flights_.find(flight_->blob.digest.str());
    const bool failed = [this] {
      MutexLock flight_lock(flight_->mutex);
      return flight_->ended && !flight_->result.ok();
    }();
    // A failed one is not joined any more: the next to ask begins anew.
    if ((last || failed) && found != owner_->flights_.end() && found->second == flight_)
      owner_->flights_.erase(found);
    if (last) flight_->call.Cancel();
    // Nobody will unpack it any more. What is still being written ends in Run.
    if (last) ::unlink(flight_->path.c_str());
  }
  flight_.reset();
}

uint64_t Downloads::Share::bytes_done() const { return flight_->done; }

bool Downloads::Share::Wait(Duration patience) const {
  Flight& flight = *flight_;
  MutexLock lock(flight.mutex);
  return flight.changed.WaitFor(flight.mutex, patience,
                                [&flight]() REQUIRES_LOCK(flight.mutex) { return flight.ended; });
}

Status Downloads::Share::result() const {
  MutexLock lock(flight_->mutex);
  return flight_->result;
}

const std::string& Downloads::Share::path() const { return flight_->path; }

}  // namespace interlink::images
