// ControlState: the agent's half of the control stream. No I/O, no clock, no locks: the agent calls
// it under one lock and tells the time.
//
//   offline -> online     OnWelcome
//   online -> offline     OnLost: what was not taken is sent again, by the next complete report
#ifndef INTERLINK_AGENT_CONTROL_STATE_H_
#define INTERLINK_AGENT_CONTROL_STATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "interlink/agent/v1/agent.pb.h"

namespace interlink::agent {

class ControlState {
 public:
  // `highest_term`: as it was stored; 0: none seen. `lease`: until a welcome says another one, from
  // `since` on; zero: none.
  explicit ControlState(uint64_t highest_term, Duration lease = Duration::zero(),
                        SteadyTime since = {})
      : highest_term_(highest_term), lease_(lease), answered_(since) {}

  uint64_t highest_term() const { return highest_term_; }
  bool online() const { return online_; }

  // kFailedPrecondition: this hub must not be obeyed; the stream is left. OK: online; a higher term
  // must be stored before the first command is carried out. `said`: when the hello was sent.
  Status OnWelcome(const v1::Welcome& welcome, SteadyTime said);
  void OnLost();

  // True: carry it out and answer it. False: of another term, drop it. An error: the hub breaks the
  // protocol, leave the stream.
  Result<bool> OnCommand(const v1::Command& command);
  // True while `term` is the highest seen: what was taken under a lower one is not begun any more.
  bool Obeys(uint64_t term) const { return term == highest_term_; }

  // Facts that are newer than what is known go into the next report.
  void Put(const std::vector<v1::Fact>& facts);
  // Everything there is, seen after the welcome: makes the first report. What is not in it and was
  // not put since `OnWelcome` is gone.
  void PutAll(const std::vector<v1::Fact>& facts);
  // Online, and PutAll has not come on this stream.
  bool wants_all() const { return online_ && !complete_ready_; }
  // Everything that was put is taken by the hub.
  bool told_all() const { return online_ && reports_ > 0 && !report_open_ && unsent_.empty(); }
  const std::map<std::string, v1::Fact>& facts() const { return facts_; }  // by container; "": pod
  // The report that may be sent now; nothing: none has to be, or one is not taken yet.
  std::optional<v1::Report> NextReport();
  Status OnReportTaken(uint64_t number);

  // The heartbeat that is due; nothing: not yet.
  std::optional<v1::Heartbeat> NextHeartbeat(SteadyTime now);
  Status OnHeartbeatTaken(uint64_t number);
  // When to look again.
  SteadyTime next_heartbeat() const { return next_heartbeat_; }
  // Three intervals without an answer of the hub.
  bool Silent(SteadyTime now) const;

  // Somebody else proves that we were not given up, e.g. a write to the shared heartbeat folder
  // that began at `since`.
  void Renew(SteadyTime since);
  // The lease is over: the containers must be stopped. Never without a lease.
  bool LeaseOver(SteadyTime now) const;

 private:
  using Key = std::string;  // the container's id; empty: the sandbox
  static bool Newer(const v1::Fact& a, const v1::Fact& b);

  uint64_t highest_term_;
  bool online_ = false;
  uint64_t last_command_ = 0;  // of this stream

  std::map<Key, v1::Fact> facts_;
  std::set<Key> unsent_;
  bool complete_ready_ = false;  // PutAll came on this stream
  uint64_t reports_ = 0;         // sent on this stream
  bool report_open_ = false;     // the last one is not taken

  Duration interval_{};
  Duration lease_{};
  SteadyTime next_heartbeat_ = SteadyTime::max();
  uint64_t heartbeats_ = 0;                    // sent on this stream
  std::map<uint64_t, SteadyTime> unanswered_;  // heartbeats: when they were sent
  SteadyTime answered_;  // sending time of the newest answered one; before: the start
};

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_CONTROL_STATE_H_
