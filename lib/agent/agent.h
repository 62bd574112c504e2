// Agent: the supervisor of one pod in an allocation. It dials the hub, obeys its commands by a
// backend, and tells what it sees until the hub has taken it (proto/interlink/agent/v1).
//
// Loss of the hub changes nothing: the containers run on, and the agent dials again, for ever. It
// leaves only when it is told to (Leave, the command, the end of its lease) or is refused for ever;
// then it stops the containers with their grace first, and tells their ends.
//
// Threads: Run's own reads the control stream; one writes it; steps carry out commands (changes one
// at a time, the rest in parallel); two per open session; one while it leaves.
#ifndef INTERLINK_AGENT_AGENT_H_
#define INTERLINK_AGENT_AGENT_H_

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/agent_host.h"
#include "agent/carried_stream.h"
#include "agent/channel.h"
#include "agent/commands.h"
#include "agent/control_state.h"
#include "agent/layer_folder.h"
#include "agent/log_keeper.h"
#include "agent/pod_folder.h"
#include "agent/unread_logs.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/step_pool.h"
#include "sdk/backend.h"

namespace interlink::agent {

struct AgentOptions {
  SandboxId sandbox;
  std::string nonce;       // of the claim
  std::string allocation;  // what the scheduler gave
  std::string host;
  std::string boot_id;
  std::string build_id;
  // From Leave to the end, the containers' grace included. The scheduler's KILL must come later.
  Duration leave_within = std::chrono::seconds(25);
  Duration shortest_wait = std::chrono::milliseconds(500);  // between two tries to reach the hub
  Duration longest_wait = std::chrono::seconds(30);
  size_t max_streams = 64;
  // The pod's folder is shared with the site: a beat that could be written there is as good as one
  // that the hub has answered, and a missing heartbeat folder is the site's fence.
  bool shared_folder = false;
  Duration beat_every = std::chrono::seconds(10);
  // A site that is away for however long changes nothing, whatever lease it gives.
  bool no_lease = false;
  // From the start of the process until a welcome says another one; zero: none.
  Duration lease{};
};

class Agent final : private FactSink {
 public:
  // All outlive it. REQUIRES: `host` is the backend's.
  struct Parts {
    Channel& channel;
    sdk::Backend& backend;
    AgentHost& host;
    PodFolder& folder;
    Log& log;
    const Clock& clock;
    // Where a container's shim keeps its log (shim/layout.h). With it no log is lost with the
    // agent: it is left in a shared folder, or the agent stays until the site has read it, within
    // leave_within.
    std::function<std::string(const ContainerId&)> shim_folder = {};
    LayerFolder* layers = nullptr;  // of an agent that cannot read the site's; null: it takes none
  };
  Agent(AgentOptions options, const Parts& parts);
  // Stops no container.
  ~Agent() override;

  // Until the agent has left: OK: everything that ran has ended. kFailedPrecondition,
  // kUnauthenticated: this agent is refused for ever, and says why; what ran has ended.
  // kDeadlineExceeded: not all of it ended, or was told, within leave_within.
  Status Run();

  // Stops the containers with their grace, those of an earlier process too, and makes Run return.
  // Within leave_within also where the pod's folder hangs. Idempotent: the first `why` counts.
  // Nobody has asked for their end: one that exits with 0 on it is told with 143.
  void Leave(const std::string& why);

 private:
  // Of what is seen: one after the other.
  static constexpr const char* kFactsLane = "facts";
  static constexpr auto kLookWithin = std::chrono::seconds(10);

  // FactSink.
  void Saw(std::vector<sdk::Observation> facts) override;
  void LogHasGrown(const ContainerId& id) override;

  Status Recover();

  // The connection.
  Status Connect();
  Status Greet(Stream& stream);
  Status Converse(Stream& stream);
  Result<v1::HubMessage> ReadOne(Stream& stream, SteadyTime limit);
  Status Take(const v1::HubMessage& message);
  Status TakeCommand(const v1::Command& command);
  Status TakeRefusal(const v1::Refused& refused);
  void WriteLoop(const std::stop_token& stop, Stream& stream);
  std::optional<v1::AgentMessage> NextMessageLocked(SteadyTime now) REQUIRES_LOCK(mutex_);
  void WaitForNextTry();
  // What is due every second: the lease, a beat, a look at everything that there is.
  void Watch();
  // True: the lease is over, and no beat renews it any more.
  bool IsLeaseOver(SteadyTime now) REQUIRES_LOCK(mutex_);

  // Steps.
  void Post(const std::string& lane, std::function<void()> step);
  // Runs on a step what the pod's folder may hold up for as long as its file server is away.
  // kDeadlineExceeded: it has not ended within `limit`, and goes on.
  Status Aside(const std::string& lane, Duration limit, std::function<Status()> what);
  void LookAround();
  void Beat(SteadyTime began);
  void CarryOut(const v1::Command& command, uint64_t stream);
  v1::Answer OpenStream(const Call& call, const v1::Command& command);
  std::vector<v1::Fact> Recorded(const std::vector<sdk::Observation>& seen);
  void NoteEnds(const std::vector<sdk::Observation>& seen);
  // A container that was told to end before its work was done has not succeeded.
  void JudgeEnd(v1::Fact& fact);

  // The logs that go before the command is carried out.
  void ForgetLogs(const v1::Command& command);
  // The site was given part of a log.
  void NoteRead(const v1::Command& command, const v1::Answer& answer);

  // Leaving. `asked`: by the site, which has the containers' end from kubelet.
  void Leave(const std::string& why, bool asked);
  void LeaveNow(const std::stop_token& stop);
  Status StopEverything(const std::stop_token& stop, SteadyTime deadline);
  // False: it is not known what an earlier process has left.
  bool AwaitRecovered(const std::stop_token& stop, SteadyTime deadline);
  // Until every container's end is written or told. False: one is not.
  bool AwaitExits(const std::stop_token& stop, SteadyTime deadline);
  bool ExitsKeptLocked() REQUIRES_LOCK(mutex_);
  // Until the site has all logs, or the deadline.
  void AwaitLogs(const std::stop_token& stop, SteadyTime deadline);
  // The site's proof in the pod's folder. True: of an end for certain.
  bool LeaveWord(bool ended);
  // The end of an agent that never had a command to obey.
  Status EndUnserved(Status why);
  // True: every container has ended, and the sandbox too if `sandbox`.
  bool AwaitEnds(const std::stop_token& stop, SteadyTime deadline, bool sandbox);
  // What Run answers, if it is over; `lost`: how the last connection ended.
  std::optional<Status> EndLocked(const Status& lost) REQUIRES_LOCK(mutex_);

  const AgentOptions options_;
  const Parts parts_;
  Commands commands_;
  std::unique_ptr<LogKeeper> keeper_;   // null: the site could not read what it keeps
  std::unique_ptr<UnreadLogs> unread_;  // null: it can, or nobody knows where logs are

  Mutex mutex_;
  CondVar changed_;
  ControlState state_ GUARDED_BY(mutex_);
  uint64_t stream_ GUARDED_BY(mutex_) =
      0;  // counts connections: what is of an older one is dropped
  std::deque<v1::Answer> answers_ GUARDED_BY(mutex_);
  std::set<std::string> logs_grown_ GUARDED_BY(mutex_);
  std::list<std::unique_ptr<CarriedStream>> streams_ GUARDED_BY(mutex_);
  bool recovered_ GUARDED_BY(mutex_) = false;
  bool looking_ GUARDED_BY(mutex_) = false;  // LookAround is posted
  bool beating_ GUARDED_BY(mutex_) = false;  // Beat is posted
  bool fenced_ GUARDED_BY(mutex_) = false;
  SteadyTime next_beat_ GUARDED_BY(mutex_);
  std::optional<SteadyTime> last_beat_by_ GUARDED_BY(mutex_);  // the lease is over
  std::optional<std::string> leaving_ GUARDED_BY(mutex_);      // why
  bool leave_asked_ GUARDED_BY(mutex_) = false;                // by the site
  // What has ended, whether or not the folder has taken it; "": the sandbox.
  std::set<std::string> down_ GUARDED_BY(mutex_);
  // When a container was told to end by an agent that leaves unasked: Unix nanoseconds.
  std::map<std::string, int64_t> told_to_end_ GUARDED_BY(mutex_);
  SteadyTime leave_by_ GUARDED_BY(mutex_) = SteadyTime::max();
  std::optional<Status> ended_ GUARDED_BY(mutex_);    // nothing runs any more; or why something may
  std::optional<Status> refused_ GUARDED_BY(mutex_);  // for ever
  bool proven_ GUARDED_BY(mutex_) = false;            // and no next process starts anything
  bool parting_ GUARDED_BY(mutex_) = false;           // `leaving` is on its way in this stream
  bool farewell_ GUARDED_BY(mutex_) = false;          // `leaving` was sent

  // Run's own: before the next try; why the last one failed, since the site last took a report.
  Duration wait_;
  std::string last_why_;
  std::jthread leaver_ GUARDED_BY(mutex_);
  StepPool steps_;
};

}  // namespace interlink::agent

#endif  // INTERLINK_AGENT_AGENT_H_
