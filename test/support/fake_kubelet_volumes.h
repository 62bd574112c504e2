// A node::KubeletVolumes: what lies below "/kubelet/pods/UID/" is of a pod, and holds the bytes
// that the test says; pods are there as the test says, else not. Thread-safe.
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
    fail_.erase(host_path);
    ++changes_[host_path];
  }
  // It has changed, and cannot be taken any more.
  void Fail(const std::string& host_path, Status why) {
    MutexLock lock(mutex_);
    fail_[host_path] = std::move(why);
    ++changes_[host_path];
  }

  // Nothing: kubelet's folder is not there.
  void SetPod(const std::string& uid, std::optional<bool> has) {
    MutexLock lock(mutex_);
    pods_[uid] = has;
  }

  std::optional<bool> HasPod(const std::string& pod_uid) const override {
    MutexLock lock(mutex_);
    const auto found = pods_.find(pod_uid);
    return found == pods_.end() ? std::optional<bool>(false) : found->second;
  }
  bool IsOfPod(const std::string& host_path, const std::string& pod_uid) const override {
    return host_path.rfind("/kubelet/pods/" + pod_uid + "/", 0) == 0;
  }
  Result<node::TakenMount> Take(const std::string& host_path, const std::string&) const override {
    MutexLock lock(mutex_);
    if (const auto why = fail_.find(host_path); why != fail_.end()) return why->second;
    const auto found = volumes_.find(host_path);
    if (found == volumes_.end()) return Unimplemented("\"" + host_path + "\" does not travel");
    node::TakenMount taken;
    taken.snapshot = found->second;
    taken.source.set_snapshot("sha256:" + found->second);
    return taken;
  }
  // By uid.
  void SetServiceAccount(const std::string& uid, const std::string& name) {
    MutexLock lock(mutex_);
    accounts_[uid] = name;
  }
  std::string ServiceAccountOf(const std::string& pod_uid, const std::string&) const override {
    MutexLock lock(mutex_);
    const auto found = accounts_.find(pod_uid);
    return found == accounts_.end() ? "" : found->second;
  }
  std::optional<std::string> Mark(const std::string& host_path, const std::string&) const override {
    MutexLock lock(mutex_);
    const auto found = changes_.find(host_path);
    return found == changes_.end() ? std::nullopt : std::optional(std::to_string(found->second));
  }

 private:
  mutable Mutex mutex_;
  std::map<std::string, std::string> accounts_ GUARDED_BY(mutex_);
  std::map<std::string, Status> fail_ GUARDED_BY(mutex_);
  std::map<std::string, int> changes_ GUARDED_BY(mutex_);
  std::map<std::string, std::string> volumes_ GUARDED_BY(mutex_);
  std::map<std::string, std::optional<bool>> pods_ GUARDED_BY(mutex_);
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_FAKE_KUBELET_VOLUMES_H_
