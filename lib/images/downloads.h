// Downloads: one at a time per blob, whoever asks. Thread-safe.
//
// Each runs on a thread of its own and goes on while anybody waits for it; when the last one leaves
// it is cancelled and its file is deleted.
#ifndef INTERLINK_IMAGES_DOWNLOADS_H_
#define INTERLINK_IMAGES_DOWNLOADS_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/call.h"
#include "base/mutex.h"
#include "base/status.h"
#include "images/registry.h"

namespace interlink::images {

class Downloads {
 public:
  // Files are made in `temp`. `keep_free`: bytes of the file system that stay free.
  Downloads(std::string temp, uint64_t keep_free);
  // Cancels and waits for all.
  ~Downloads();
  Downloads(const Downloads&) = delete;
  Downloads& operator=(const Downloads&) = delete;

  struct Flight;
  // A share in a download; leaves it when destroyed.
  class Share {
   public:
    Share() = default;
    Share(Share&&) noexcept = default;
    Share& operator=(Share&& other) noexcept;
    ~Share();

    bool started() const { return flight_ != nullptr; }
    // Somebody else began it, with their own credentials.
    bool joined() const { return joined_; }
    uint64_t bytes_done() const;
    // Waits up to `patience`; true when it has ended.
    bool Wait(Duration patience) const;
    // How it ended. REQUIRES: ended. OK: path() is the whole blob, as its digest says.
    Status result() const;
    const std::string& path() const;

   private:
    friend class Downloads;
    void Leave();
    Downloads* owner_ = nullptr;
    std::shared_ptr<Flight> flight_;  // owners: its thread and its shares
    bool joined_ = false;
  };
  Share Start(const Descriptor& blob, std::shared_ptr<Registry> registry);

 private:
  static void Run(const std::shared_ptr<Flight>& flight, std::shared_ptr<Registry> registry,
                  uint64_t keep_free);
  void Reap() REQUIRES_LOCK(mutex_);

  const std::string temp_;
  const uint64_t keep_free_;
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<Flight>> flights_ GUARDED_BY(mutex_);  // by digest
  struct Runner {
    std::shared_ptr<Flight> flight;
    std::jthread thread;
  };
  std::vector<Runner> runners_ GUARDED_BY(mutex_);
};

}  // namespace interlink::images

#endif  // INTERLINK_IMAGES_DOWNLOADS_H_
