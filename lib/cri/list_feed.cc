// A list in messages of bounded size.
#include <atomic>

#include "cri/method.h"

namespace interlink::cri {
namespace {

class ListFeed final : public node::Feed {
 public:
  ListFeed(Body list, size_t max_bytes) : list_(std::move(list)), max_bytes_(max_bytes) {}

  void Next(node::Reply<std::optional<Body>> reply) override {
    if (cancelled_) return reply(CancelledError("nobody reads the list any more"));
    Body message;
    size_t bytes = 0;
    while (next_ < list_.size() &&
           (message.empty() || bytes + list_[next_]->size() <= max_bytes_)) {
      bytes += list_[next_]->size();
      message.push_back(std::move(list_[next_++]));
    }
    if (message.empty()) return reply(std::optional<Body>());
    reply(std::optional<Body>(std::move(message)));
  }
  void Cancel() override { cancelled_ = true; }

 private:
  Body list_;
  const size_t max_bytes_;
  size_t next_ = 0;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace

node::FeedPtr InMessages(Body list, size_t max_bytes) {
  return std::make_shared<ListFeed>(std::move(list), max_bytes);
}

}  // namespace interlink::cri
