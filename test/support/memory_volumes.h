// A site::Volumes in memory. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_MEMORY_VOLUMES_H_
#define INTERLINK_TEST_SUPPORT_MEMORY_VOLUMES_H_

#include "base/mutex.h"
#include "site/volumes.h"

namespace interlink::test {

class MemoryVolumes final : public site::Volumes {
 public:
  Status Put(const NodeId& node, const std::string& digest, const std::string& bytes) override {
    MutexLock lock(mutex_);
    volumes_[{node, digest}] = bytes;
    return {};
  }
  Result<std::string> Get(const NodeId& node, const std::string& digest) const override {
    MutexLock lock(mutex_);
    const auto found = volumes_.find({node, digest});
    if (found == volumes_.end()) return NotFound("no volume \"" + digest + "\"");
    return found->second;
  }
  bool Has(const NodeId& node, const std::string& digest) const override {
    return Get(node, digest).ok();
  }
  void KeepOnly(const std::map<NodeId, std::set<std::string>>& in_use) override {
    MutexLock lock(mutex_);
    std::erase_if(volumes_, [&](const auto& item) {
      const auto node = in_use.find(item.first.first);
      return node == in_use.end() || !node->second.contains(item.first.second);
    });
  }

 private:
  mutable Mutex mutex_;
  std::map<std::pair<NodeId, std::string>, std::string> volumes_ GUARDED_BY(mutex_);
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_MEMORY_VOLUMES_H_
