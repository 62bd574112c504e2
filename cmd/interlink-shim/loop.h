// The event loop: descriptors and their handlers, one epoll. Also buffers that give their memory
// back.
#ifndef INTERLINK_CMD_SHIM_LOOP_H_
#define INTERLINK_CMD_SHIM_LOOP_H_

#include <cstddef>
#include <cstdint>

#include "system.h"

namespace interlink::shim {

// A descriptor and what to do when it is ready. Stays at its address while it is watched.
struct Source {
  Fd fd;
  void (*ready)(void* owner, uint32_t events) = nullptr;
  void* owner = nullptr;
  uint32_t watched = 0;  // the events that epoll knows; 0: it does not know the descriptor
};

class Loop {
 public:
  Outcome Open();

  // Waits for exactly these events (EPOLLIN, EPOLLOUT); 0: not at all, not even for a hang-up.
  Outcome Watch(Source& source, uint32_t events);
  // Forgets and closes the descriptor.
  void Close(Source& source);
  // Waits until `deadline_ms` (of NowMs; negative: for ever) and handles at most one event: a
  // handler may close any source.
  Outcome RunOnce(int64_t deadline_ms);

 private:
  Fd epoll_;
};

// Page-backed memory, there only while it is needed. Not copyable.
class Pages {
 public:
  Pages() = default;
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { Release(); }

  // False: no memory. Does nothing when it is there already.
  bool Reserve(size_t size);
  void Release();
  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_LOOP_H_
