// CarriedStream: a session of the backend on its way to the hub: two threads between a descriptor
// and a Stream. Thread-safe.
#ifndef INTERLINK_AGENT_CARRIED_STREAM_H_
#define INTERLINK_AGENT_CARRIED_STREAM_H_

#include <atomic>
#include <memory>
#include <thread>

#include "agent/channel.h"
#include "base/unique_fd.h"

namespace interlink::agent {

class CarriedStream {
 public:
  // `frames`: the descriptor's end is the session's; else bare bytes, which half-close.
  CarriedStream(UniqueFd end, std::unique_ptr<Stream> stream, bool frames);
  // Closes both ends.
  ~CarriedStream();

  bool over() const { return threads_left_ == 0; }

 private:
  void ToHub();
  void FromHub();
  bool WriteAll(const std::string& bytes);

  const UniqueFd end_;
  const std::unique_ptr<Stream> stream_;
  const bool frames_;
  std::atomic<bool> said_all_ = false;
  std::atomic<int> threads_left_ = 2;
  std::jthread up_;
  std::jthread down_;
};

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_CARRIED_STREAM_H_
