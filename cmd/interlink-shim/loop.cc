#include "loop.h"

#include <sys/epoll.h>
#include <sys/mman.h>

#include <cerrno>

namespace interlink::shim {

Outcome Loop::Open() {
  epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  return epoll_.valid() ? Outcome() : Outcome::Errno(errno, "epoll");
}

Outcome Loop::Watch(Source& source, uint32_t events) {
  if (events == source.watched || !source.fd.valid()) return {};
  epoll_event event{};
  event.events = events;
  event.data.ptr = &source;
  const int operation = events == 0           ? EPOLL_CTL_DEL
                        : source.watched == 0 ? EPOLL_CTL_ADD
                                              : EPOLL_CTL_MOD;
  if (epoll_ctl(epoll_.get(), operation, source.fd.get(), &event) != 0) {
    return Outcome::Errno(errno, "epoll_ctl");
  }
  source.watched = events;
  return {};
}

void Loop::Close(Source& source) {
  static_cast<void>(
      Watch(source, 0));  // a closed descriptor leaves epoll anyway, unless it was dup'ed
  source.watched = 0;
  source.fd.Close();
}

Outcome Loop::RunOnce(int64_t deadline_ms) {
  int timeout = -1;
  if (deadline_ms >= 0) {
    const int64_t left = deadline_ms - NowMs();
    timeout = left < 0 ? 0 : static_cast<int>(left > 60'000 ? 60'000 : left);
  }
  epoll_event event{};
  const int count = epoll_wait(epoll_.get(), &event, 1, timeout);
  if (count < 0 && errno != EINTR) return Outcome::Errno(errno, "epoll_wait");
  if (count == 1) {
    auto* source = static_cast<Source*>(event.data.ptr);
    source->ready(source->owner, event.events);
  }
  return {};
}

bool Pages::Reserve(size_t size) {
  if (data_ != nullptr) return size <= size_;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  data_ = static_cast<char*>(memory);
  size_ = size;
  return true;
}

void Pages::Release() {
  if (data_ != nullptr) munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

}  // namespace interlink::shim
