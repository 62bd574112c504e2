// An agent of this process, with a backend that runs nothing.
#ifndef INTERLINK_TEST_INTEGRATION_AGENT_RUNNING_AGENT_H_
#define INTERLINK_TEST_INTEGRATION_AGENT_RUNNING_AGENT_H_

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "agent/agent.h"
#include "agent/layer_folder.h"
#include "agent_lab.h"
#include "base/file.h"
#include "support/fake_backend/fake_backend.h"

namespace interlink::test {

// What differs from one test to the next.
struct AgentTweaks {
  Duration lease{};
  std::chrono::milliseconds longest_wait{200};
  const Clock* clock = nullptr;  // else the lab's
  // Else a FakeBackend.
  std::function<std::unique_ptr<sdk::Backend>(sdk::Host&)> backend;
};

// A process of the agent: its folder outlives it.
class RunningAgent {
 public:
  using ChannelPtr = std::unique_ptr<agent::Channel>;

  // `wrap`: what the agent gets of its channel.
  RunningAgent(AgentLab& lab, const std::string& nonce,
               std::chrono::seconds leave_within = std::chrono::seconds(10),
               bool shared_folder = false, const std::optional<agent::ChannelOptions>& channel = {},
               const std::function<ChannelPtr(ChannelPtr)>& wrap = {},
               const AgentTweaks& tweaks = {})
      : host_(lab.pod, MadeFolder(lab.folder.File("backend-" + nonce)), lab.log, lab.clock) {
    auto folder = agent::PodFolder::Open(lab.folder.File("pod-" + nonce), lab.pod, nonce);
    REQUIRE(folder.ok());
    folder_ = *std::move(folder);
    if (tweaks.backend) {
      backend_ = tweaks.backend(host_);
    } else {
      auto backend = fake::FakeBackend::Create(host_, {"fake", {"test"}, {}});
      INFO(backend.status().ToString());
      REQUIRE(backend.ok());
      backend_ = *std::move(backend);
    }
    auto layers = agent::LayerFolder::Open({.folder = LayersOf(lab, nonce)}, lab.log);
    REQUIRE(layers.ok());
    layers_ = *std::move(layers);
    channel_ = agent::MakeChannel(channel ? *channel : lab.ChannelOf(lab.pod));
    if (wrap) channel_ = wrap(std::move(channel_));
    agent::AgentOptions options;
    options.sandbox = lab.pod;
    options.nonce = nonce;
    options.allocation = "4711";
    options.shortest_wait = std::chrono::milliseconds(20);
    options.longest_wait = tweaks.longest_wait;
    options.lease = tweaks.lease;
    options.leave_within = leave_within;
    options.shared_folder = shared_folder;
    options.beat_every = std::chrono::milliseconds(100);
    agent_ = std::make_unique<agent::Agent>(
        options, agent::Agent::Parts{*channel_,
                                     *backend_,
                                     host_,
                                     *folder_,
                                     lab.log,
                                     tweaks.clock == nullptr ? lab.clock : *tweaks.clock,
                                     {},
                                     layers_.get()});
    thread_ = std::jthread([this] {
      const Status end = agent_->Run();
      MutexLock lock(mutex_);
      end_ = end;
    });
  }
  ~RunningAgent() { Stop(); }

  // Outlives it, as the folder of a pod does.
  static std::string LayersOf(const AgentLab& lab, const std::string& nonce) {
    return lab.folder.File("layers-" + nonce);
  }

  agent::Agent& agent() { return *agent_; }
  agent::AgentHost& host() { return host_; }
  std::optional<Status> end() {
    MutexLock lock(mutex_);
    return end_;
  }

 private:
  static std::string MadeFolder(const std::string& path) {
    REQUIRE(MakeDirectories(path, 0700).ok());
    return path;
  }
  void Stop() {
    agent_->Leave("the test is over");
    thread_.join();
    agent_.reset();
  }

  agent::AgentHost host_;
  std::unique_ptr<agent::PodFolder> folder_;
  std::unique_ptr<sdk::Backend> backend_;
  std::unique_ptr<agent::LayerFolder> layers_;
  std::unique_ptr<agent::Channel> channel_;
  std::unique_ptr<agent::Agent> agent_;
  Mutex mutex_;
  std::optional<Status> end_ GUARDED_BY(mutex_);
  std::jthread thread_;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_INTEGRATION_AGENT_RUNNING_AGENT_H_
