// Internal: what the hub keeps of one sandbox.
#ifndef INTERLINK_AGENT_HUB_SLOT_ENTRY_H_
#define INTERLINK_AGENT_HUB_SLOT_ENTRY_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent_hub/facts.h"
#include "agent_hub/hub.h"

namespace interlink::agent_hub {

inline AgentPlace PlaceOf(const agent::v1::Hello& hello) {
  return {hello.nonce(), hello.allocation(), hello.host(), hello.boot_id(), hello.build_id()};
}

// `slot` belongs to the sandbox's lane.
class AgentHub::SlotEntry final : public SlotEvents {
 public:
  SlotEntry(AgentHub& hub, SandboxId id)
      : slot(hub.terms_, *this),
        streams(std::make_shared<std::atomic<size_t>>(0)),
        hub_(hub),
        id_(std::move(id)) {}

  void OnWelcomed(const agent::v1::Hello& hello) override {
    nonce_ = hello.nonce();
    hub_.log_.Info(
        "an agent has come in",
        {{"sandbox", id_.str()}, {"allocation", hello.allocation()}, {"host", hello.host()}});
    hub_.events_.CameIn(id_, PlaceOf(hello));
  }
  bool OnReport(const agent::v1::Report& report) override {
    std::vector<sdk::Observation> facts;
    for (const auto& fact : report.facts()) {
      auto seen = FromFact(id_, fact);
      if (!seen.ok()) return Refuse(seen.status());
      facts.push_back(*std::move(seen));
    }
    const Status taken = hub_.events_.Reported(id_, std::move(facts), report.complete());
    return taken.ok() || Refuse(taken);
  }
  void OnLogGrew(const std::string& container_id) override {
    if (IsFullId(container_id)) hub_.events_.LogGrew(id_, ContainerId(container_id));
  }
  void OnLeaving(const agent::v1::Leaving& last) override {
    hub_.log_.Info("an agent leaves", {{"sandbox", id_.str()}, {"why", last.why()}});
    if (!last.ended()) return;
    const Status stored = hub_.files_.WriteLeft(id_, nonce_);
    if (!stored.ok()) {
      hub_.log_.Error("an agent's last word is not stored: the end of its pod needs another proof",
                      {{"sandbox", id_.str()}, {"why", stored.ToString()}});
    }
  }
  void OnLost(const Status& why) override { hub_.events_.WentAway(id_, why); }

  AgentSlot slot;
  std::atomic<int64_t> heard_ns = 0;                   // steady
  const std::shared_ptr<std::atomic<size_t>> streams;  // owners: this and each session's count

 private:
  bool Refuse(const Status& why) {
    hub_.log_.Error("an agent's report is not taken",
                    {{"sandbox", id_.str()}, {"why", why.ToString()}});
    return false;
  }

  AgentHub& hub_;
  const SandboxId id_;
  std::string nonce_;  // of the agent that was welcomed
};

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_SLOT_ENTRY_H_
