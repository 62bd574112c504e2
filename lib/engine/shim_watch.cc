#include "engine/shim_watch.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "shim/messages.h"

namespace interlink::engine {
namespace {

using shim::FrameType;
constexpr uint64_t kWake = 0;

}  // namespace

Result<std::unique_ptr<ShimWatch>> ShimWatch::Create() {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return ErrnoStatus(errno, "epoll");
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return ErrnoStatus(errno, "eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWake;
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return ErrnoStatus(errno, "epoll");
  }
  return std::unique_ptr<ShimWatch>(new ShimWatch(std::move(epoll), std::move(wake)));
}

ShimWatch::ShimWatch(UniqueFd epoll, UniqueFd wake)
    : epoll_(std::move(epoll)), wake_(std::move(wake)), thread_([this] { Run(); }) {}

ShimWatch::~ShimWatch() {
  {
    MutexLock lock(mutex_);
    ended_ = true;
  }
  const uint64_t one = 1;
  // An eventfd that cannot take one more is readable already.
  if (write(wake_.get(), &one, sizeof one) < 0) thread_.request_stop();
  thread_.join();
}

Result<uint64_t> ShimWatch::Add(UniqueFd connection, Callbacks callbacks) {
  auto entry = std::make_shared<Entry>();
  const int fd = connection.get();
  entry->connection = std::move(connection);
  entry->callbacks = std::move(callbacks);
  MutexLock lock(mutex_);
  const uint64_t watch = next_++;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = watch;
  entries_.emplace(watch, std::move(entry));
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    const int error = errno;
    entries_.erase(watch);
    return ErrnoStatus(error, "epoll");
  }
  return watch;
}

void ShimWatch::Arm(uint64_t watch, uint64_t offset) {
  shim::LogOffset message;
  message.bytes = offset;
  std::array<char, shim::kFrameHeader + shim::LogOffset::kSize> bytes;
  const size_t size = shim::PutMessage(bytes.data(), bytes.size(), FrameType::kArm, message);
  MutexLock lock(mutex_);
  const auto found = entries_.find(watch);
  if (found == entries_.end()) return;
  // Sixteen bytes fit into a socket that its shim reads; one that ends answers by its end.
  if (send(found->second->connection.get(), bytes.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    return;
  }
}

void ShimWatch::Remove(uint64_t watch) {
  MutexLock lock(mutex_);
  entries_.erase(watch);
  if (std::this_thread::get_id() == thread_.get_id()) return;
  while (calling_ == watch && watch != 0) {
    idle_.WaitFor(mutex_, std::chrono::seconds(1),
                  [this, watch]() NO_LOCK_ANALYSIS { return calling_ != watch; });
  }
}

void ShimWatch::Receive(uint64_t watch) {
  std::shared_ptr<Entry> entry;
  {
    MutexLock lock(mutex_);
    const auto found = entries_.find(watch);
    if (found == entries_.end() || ended_) return;
    entry = found->second;
    calling_ = watch;
  }
  const auto space = entry->decoder.Space();
  const ssize_t count = recv(entry->connection.get(), space.data(), space.size(), MSG_DONTWAIT);
  bool exited = false;
  bool grew = false;
  bool over = count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);
  if (count > 0) entry->decoder.Received(static_cast<size_t>(count));
  shim::Frame frame{};
  auto outcome = shim::FrameDecoder::Outcome::kNeedMore;
  while ((outcome = entry->decoder.Next(frame)) == shim::FrameDecoder::Outcome::kFrame) {
    exited = exited || frame.type == FrameType::kExited;
    grew = grew || frame.type == FrameType::kLogGrew;
  }
  over = over || exited || outcome == shim::FrameDecoder::Outcome::kMalformed;
  if (over) {
    MutexLock lock(mutex_);
    entries_.erase(watch);
  }
  if (grew) entry->callbacks.log_grew();
  if (over) entry->callbacks.ended(exited);
  entry.reset();
  MutexLock lock(mutex_);
  calling_ = 0;
  idle_.NotifyAll();
}

void ShimWatch::Run() {
  std::array<epoll_event, 64> events;
  while (true) {
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const uint64_t watch = events[static_cast<size_t>(i)].data.u64;
      if (watch != kWake) Receive(watch);
    }
    MutexLock lock(mutex_);
    if (ended_) return;
  }
}

}  // namespace interlink::engine
