// AgentSlot: the hub's half of the control stream, for one sandbox. No I/O, no clock, no locks: the
// hub runs what concerns one sandbox one at a time and tells the time.
//
//   (free) -> current          Welcome
//   current -> (free)          Ended: what was asked for has an unknown outcome
//   current -> current+waiting a new stream: the old one is told to end, the new one is welcomed
//                              only when it has ended
// A third stream takes the place of the waiting one. So no two streams ever carry commands at once.
#ifndef INTERLINK_AGENT_HUB_AGENT_SLOT_H_
#define INTERLINK_AGENT_HUB_AGENT_SLOT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "interlink/agent/v1/agent.pb.h"

namespace interlink::agent_hub {

// What the slot sends to. Both only enqueue.
class ControlLine {
 public:
  virtual ~ControlLine() = default;
  virtual void Send(const agent::v1::HubMessage& message) = 0;
  // AgentSlot::Ended comes later, once. Idempotent.
  virtual void End(const Status& why) = 0;
};
using ControlLinePtr = std::shared_ptr<ControlLine>;  // owners: the slot and the hub's reader

// What the slot hears from the agent and hands on. Called from the slot's methods.
class SlotEvents {
 public:
  virtual ~SlotEvents() = default;
  virtual void OnWelcomed(const agent::v1::Hello& hello) = 0;
  // False: they could not be taken; the stream ends and the agent sends them again.
  virtual bool OnReport(const agent::v1::Report& report) = 0;
  virtual void OnLogGrew(const std::string& container_id) = 0;
  virtual void OnLeaving(const agent::v1::Leaving& last) = 0;
  virtual void OnLost(const Status& why) = 0;
};

struct SlotTerms {
  uint64_t term = 0;
  std::string site;
  std::chrono::milliseconds heartbeat{10'000};
  std::chrono::milliseconds lease{0};  // 0: none
  size_t max_commands = 256;           // that wait for their answers
};

class AgentSlot {
 public:
  using Settle = std::function<void(Result<agent::v1::Answer>)>;

  // Both outlive it.
  AgentSlot(const SlotTerms& terms, SlotEvents& events) : terms_(terms), events_(events) {}

  // `line` may speak for this sandbox.
  void Welcome(ControlLinePtr line, const agent::v1::Hello& hello, SteadyTime now);
  // A message after the hello. One of a line that is not current any more is dropped.
  void Take(const ControlLinePtr& line, const agent::v1::AgentMessage& message, SteadyTime now);
  // Nothing comes from `line` any more.
  void Ended(const ControlLinePtr& line, const Status& why, SteadyTime now);

  // Sends it with the next number. `settle` is called once: with the answer (its code may be an
  // error), or kUnavailable: no agent, or its stream was lost (unknown whether it happened);
  // kResourceExhausted. Answers the number, 0: settled already.
  uint64_t Ask(agent::v1::Command command, Settle settle);
  // Nobody waits for that answer any more: `settle` is dropped.
  void Forget(uint64_t number) { asked_.erase(number); }

  // Ends a current stream that has been silent for three heartbeats.
  void Tick(SteadyTime now);
  // Ends every stream, and what waits for an answer, at once.
  void EndAll(const Status& why);

  bool connected() const { return current_ != nullptr; }
  bool idle() const { return current_ == nullptr && waiting_ == nullptr; }
  SteadyTime last_heard() const { return last_heard_; }

 private:
  void Greet(ControlLinePtr line, const agent::v1::Hello& hello, SteadyTime now);
  void TakeReport(const agent::v1::Report& report);
  void TakeAnswer(const agent::v1::Answer& answer);

  const SlotTerms& terms_;
  SlotEvents& events_;
  ControlLinePtr current_;
  ControlLinePtr waiting_;
  agent::v1::Hello waiting_hello_;
  SteadyTime last_heard_;
  // Of the current stream.
  uint64_t next_ = 1;
  std::map<uint64_t, Settle> asked_;
  uint64_t reports_taken_ = 0;
};

}  // namespace interlink::agent_hub

#endif  // INTERLINK_AGENT_HUB_AGENT_SLOT_H_
