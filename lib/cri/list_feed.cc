// A list in messages of bounded size.
#include <atomic>
#include <utility>

#include "base/mutex.h"
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

class LateListFeed final : public LateList {
 public:
  explicit LateListFeed(size_t max_bytes) : max_bytes_(max_bytes) {}

  void Set(Result<Body> list) override {
    node::Reply<std::optional<Body>> waiting;
    {
      MutexLock lock(mutex_);
      if (list_ != nullptr || !failed_.ok()) return;
      failed_ = list.status();
      if (list.ok()) list_ = InMessages(*std::move(list), max_bytes_);
      waiting = std::exchange(waiting_, nullptr);
    }
    if (waiting) Next(std::move(waiting));
  }

  void Next(node::Reply<std::optional<Body>> reply) override {
    Status failed;
    node::FeedPtr list;
    {
      MutexLock lock(mutex_);
      failed = failed_;
      list = list_;
      if (failed.ok() && list == nullptr) {
        waiting_ = std::move(reply);
        return;
      }
    }
    if (list == nullptr) return reply(failed);
    list->Next(std::move(reply));
  }

  void Cancel() override {
    node::FeedPtr list;
    {
      MutexLock lock(mutex_);
      list = list_;
    }
    if (list != nullptr) return list->Cancel();
    Set(CancelledError("nobody reads the list any more"));
  }

 private:
  const size_t max_bytes_;
  Mutex mutex_;
  Status failed_ GUARDED_BY(mutex_);
  node::FeedPtr list_ GUARDED_BY(mutex_);  // null: not there yet. Owners: this and its calls
  node::Reply<std::optional<Body>> waiting_ GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<LateList> InMessagesLater(size_t max_bytes) {
  return std::make_shared<LateListFeed>(max_bytes);
}

node::FeedPtr InMessages(Body list, size_t max_bytes) {
  return std::make_shared<ListFeed>(std::move(list), max_bytes);
}

}  // namespace interlink::cri
