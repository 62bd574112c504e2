// FakeBackend: a backend that runs nothing; README.md has its options, annotations and commands.
// Its own state is durable before a method answers. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_BACKEND_H_
#define INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_BACKEND_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/timer.h"
#include "sdk/backend.h"
#include "sdk/descriptor.h"
#include "support/fake_backend/fake_sessions.h"
#include "support/fake_backend/fake_state.h"

namespace interlink::fake {

class FakeBackend final : public sdk::Backend {
 public:
  static Result<std::unique_ptr<sdk::Backend>> Create(sdk::Host& host,
                                                      const sdk::PluginOptions& options);
  ~FakeBackend() override;

  const sdk::Description& Describe() const override { return description_; }
  Result<std::vector<sdk::Observation>> Recover(
      const Call& call, const std::vector<sdk::Observation>& last_known) override;
  Result<std::vector<sdk::Observation>> Observe(const Call& call) override;
  Status RunSandbox(const Call& call, const sdk::SandboxSpec& spec) override;
  Status StopSandbox(const Call& call, const NodeId& node, const SandboxId& id) override;
  Status RemoveSandbox(const Call& call, const NodeId& node, const SandboxId& id) override;
  Status UpdateSandbox(const Call& call, const NodeId& node, const SandboxId& id,
                       const runtime::v1::LinuxContainerResources& resources,
                       const runtime::v1::LinuxContainerResources& overhead) override;
  Status PrepareImage(const Call& call, const SandboxId& sandbox,
                      const std::string& image_id) override;
  Status CreateContainer(const Call& call, const sdk::ContainerSpec& spec) override;
  Status StartContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id) override;
  Status StopContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                       std::chrono::seconds grace) override;
  Status RemoveContainer(const Call& call, const SandboxId& sandbox,
                         const ContainerId& id) override;
  Status UpdateContainer(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                         const runtime::v1::LinuxContainerResources& resources) override;
  Result<UniqueFd> OpenSession(const Call& call, const sdk::SessionSpec& spec) override;
  Result<UniqueFd> Dial(const Call& call, const SandboxId& sandbox, uint16_t port) override;
  Result<sdk::LogChunk> ReadLog(const Call& call, const SandboxId& sandbox, const ContainerId& id,
                                uint64_t offset, size_t max) override;
  Result<sdk::Usage> Stats(const Call& call) override;
  Result<std::vector<runtime::v1::PodSandboxMetrics>> Metrics(const Call& call) override;
  Result<std::string> Inspect(const Call& call, const SandboxId& sandbox,
                              const ContainerId& container) override;

 private:
  FakeBackend(sdk::Host& host, const sdk::PluginOptions& options, int64_t up_after_ms,
              FakeState state);

  FakeSandbox* Find(const SandboxId& id) REQUIRES_LOCK(mutex_);
  FakeContainer* Find(const SandboxId& sandbox, const ContainerId& id) REQUIRES_LOCK(mutex_);
  // Moves a fact forward, stores it and reports it.
  Status Move(sdk::Observation& fact, sdk::Observation::State state) REQUIRES_LOCK(mutex_);
  Status EndContainer(FakeContainer& container, int code) REQUIRES_LOCK(mutex_);
  Status EndSandbox(FakeSandbox& sandbox) REQUIRES_LOCK(mutex_);
  void BringUp(const SandboxId& id);
  // Looks for the file until it is there, then as BringUp.
  void BringUpWhen(const SandboxId& id, const std::string& path);
  void EndLater(int64_t ms, const SandboxId& sandbox, const ContainerId& id, int code);

  sdk::Host& host_;
  const std::string path_;
  const int64_t up_after_ms_;
  sdk::Description description_;
  Mutex mutex_;
  FakeState state_ GUARDED_BY(mutex_);
  std::set<std::string> refused_once_ GUARDED_BY(mutex_);
  uint64_t revision_ GUARDED_BY(mutex_) = 1;
  FakeSessions sessions_;
  Timer timer_;
};

}  // namespace interlink::fake

#endif  // INTERLINK_TEST_SUPPORT_FAKE_BACKEND_FAKE_BACKEND_H_
