// Internal: brings the layers of images to agents that cannot read the site's. Thread-safe.
//
// Each layer of a sandbox is sent once, whoever asks for it; those of one sandbox one after the
// other. Nothing of it is stored: what an agent has it says.
//
//   of a layer:   waiting -> on its way -> there      waiting, on its way -> failed -> waiting, ...
//
// A failure is told to whoever asks, and is not tried again before a pause is over, twice as long
// each time.
#ifndef INTERLINK_AGENT_BACKEND_LAYER_SENDER_H_
#define INTERLINK_AGENT_BACKEND_LAYER_SENDER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent_backend/agents.h"
#include "base/call.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/step_pool.h"
#include "sdk/host.h"

namespace interlink::agent_backend {

struct LayerSenderOptions {
  int threads = 8;                           // sandboxes that are served at once
  Duration wait = std::chrono::seconds(2);   // of Bring
  Duration quiet = std::chrono::minutes(1);  // an agent that takes nothing for so long is lost
  Duration shortest_pause = std::chrono::seconds(2);
  Duration longest_pause = std::chrono::minutes(1);
};

class LayerSender {
 public:
  // `settled` is called when nothing is on its way to a sandbox any more; it must not call back.
  // `log` and `clock` outlive it.
  LayerSender(std::shared_ptr<Agents> agents, Log& log, const Clock& clock,
              LayerSenderOptions options = {}, std::function<void(const SandboxId&)> settled = {});
  // Ends what is on its way.
  ~LayerSender();
  LayerSender(const LayerSender&) = delete;
  LayerSender& operator=(const LayerSender&) = delete;

  // The image with the names that its layers have at the agent, which has them all. Else begins to
  // send what it lacks and waits for a moment. `host`: for words. kUnavailable: they are on their
  // way, and how far; or sending failed and is tried again. Any other error: the agent cannot have
  // a layer, in its words. REQUIRES: the image is held; names of folders are the layers' own.
  Result<sdk::UnpackedImage> Bring(const Call& call, const SandboxId& sandbox,
                                   const sdk::UnpackedImage& image, const std::string& host);
  // Something is on its way to it, or waits.
  bool IsSending(const SandboxId& sandbox) EXCLUDES_LOCK(mutex_);
  // It is asked for every layer again.
  void Doubt(const SandboxId& sandbox);
  // Ends what is on its way to it. Nobody brings it anything any more.
  void Forget(const SandboxId& sandbox);

 private:
  enum class State { kWaiting, kOnItsWay, kThere, kFailed };
  // Guarded by the sender's mutex, but for `call`.
  struct Delivery {
    State state = State::kWaiting;
    uint64_t sent = 0;
    uint64_t total = 0;  // about; 0: not known yet
    Status why;          // kFailed
    int failures = 0;
    SteadyTime again;  // kFailed
    Call call;
  };
  using DeliveryPtr = std::shared_ptr<Delivery>;  // owners: the table, and the step that sends it
  struct Layer {
    std::string name;
    std::string folder;
    SandboxId sandbox;
  };

  bool IsSendingLocked(const SandboxId& sandbox) REQUIRES_LOCK(mutex_);
  void BeginLocked(const Layer& layer, const DeliveryPtr& delivery) REQUIRES_LOCK(mutex_);
  Status StateLocked(const std::vector<DeliveryPtr>& deliveries, const std::string& host)
      REQUIRES_LOCK(mutex_);
  void Deliver(const Layer& layer, const DeliveryPtr& delivery);
  Status Send(const Layer& layer, const DeliveryPtr& delivery);
  Status SendThrough(int end, const Layer& layer, const DeliveryPtr& delivery);
  Status WriteSome(int end, std::string_view bytes, const Call& call) const;
  // What the agent has said.
  Status Verdict(int end, const Call& call) const;

  const std::shared_ptr<Agents> agents_;
  Log& log_;
  const Clock& clock_;
  const LayerSenderOptions options_;
  const std::function<void(const SandboxId&)> settled_;
  Mutex mutex_;
  CondVar changed_;
  std::map<SandboxId, std::map<std::string, DeliveryPtr>> deliveries_ GUARDED_BY(mutex_);
  StepPool steps_;
};

}  // namespace interlink::agent_backend

#endif  // INTERLINK_AGENT_BACKEND_LAYER_SENDER_H_
