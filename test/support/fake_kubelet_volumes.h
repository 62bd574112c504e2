// A node::KubeletVolumes: what lies below "/kubelet/pods/UID/" is of a pod, and holds the bytes
// that the test says. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_FAKE_KUBELET_VOLUMES_H_
#define INTERLINK_TEST_SUPPORT_FAKE_KUBELET_VOLUMES_H_

#include <map>

#include "base/mutex.h"
#include "node/kubelet_volumes.h"

namespace interlink::test {

class FakeKubeletVolumes final : public node::KubeletVolumes {
 public:
  // Its digest is "sha256:" and the bytes.
  void Set(const std::string& host_path, const std::string& bytes) {
    MutexLock lock(mutex_);
    volumes_[host_path] = bytes;
  }

  bool IsOfPod(const std::string& host_path, const std::string& pod_uid) const override {
    return host_path.rfind("/kubelet/pods/" + pod_uid + "/", 0) == 0;
  }
  Result<node::TakenMount> Take(const std::string& host_path, const std::string&) const override {
    MutexLock lock(mutex_);
    const auto found = volumes_.find(host_path);
    if (found == volumes_.end()) return Unimplemented("\"" + host_path + "\" does not travel");
    node::TakenMount taken;
    taken.snapshot = found->second;
    taken.source.set_snapshot("sha256:" + found->second);
    return taken;
  }

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::string> volumes_ GUARDED_BY(mutex_);
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_FAKE_KUBELET_VOLUMES_H_
