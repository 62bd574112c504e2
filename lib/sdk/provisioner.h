// Provisioner: the scheduler half of a backend. It gets an allocation for each sandbox and starts
// one agent in it; lib/agent_backend makes an sdk::Backend of it, whose other half asks that agent.
//
// What it promises: at most one agent of a sandbox ever runs, whatever crashes and however often it
// is asked; and once it has told kEnded of a sandbox, nothing of it runs and nothing ever will.
//
// Threads: every method may be called from many threads; calls for one sandbox come one at a time.
// Short: a method makes its wish durable and returns; queue, start and cancellation go on by
//   themselves and end as an AllocationFact.
// Idempotent by id, also for an id that it never saw. Errors as in backend.h.
// Life: create -> Recover until it is OK -> anything -> destructor. Destruction ends no allocation.
#ifndef INTERLINK_SDK_PROVISIONER_H_
#define INTERLINK_SDK_PROVISIONER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/call.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "sdk/description.h"
#include "sdk/host.h"

namespace runtime::v1 {
class PodSandboxConfig;
}

namespace interlink::sdk {

// What an agent needs to call in. It never stands in argv, environment, a script or a log: the
// provisioner brings it to the allocation in files that only the agent's user can read.
struct AgentTicket {
  std::string hub;          // "host:port", as allocations reach the site
  std::string server_name;  // in the site's certificate
  std::string ca_pem;
  std::string token;  // opens this one sandbox
};

// Who may speak for a sandbox. Neither changes once it is there.
struct AgentBinding {
  bool closed = false;  // nobody ever: nothing of it can start
  std::string nonce;    // this agent and no other; empty and not closed: nobody yet
};

struct AllocationFact {
  // Only forward, but for kPending <-> kGranted: a scheduler may queue again what has not said
  // hello.
  enum class State {
    kPending,  // asked for: waits in the scheduler's queue
    kGranted,  // its processes were started; the agent says hello soon
    kEnded,    // proven: nothing of it runs and nothing can start any more
  };

  SandboxId sandbox;
  State state = State::kPending;
  std::string allocation;         // what the scheduler gave, e.g. a job id; empty: nothing yet
  std::string reason;             // the scheduler's word: why it waits, or how it ended
  std::string message;            // for a person: one line
  int64_t expected_start_ns = 0;  // kPending: Unix time; 0: unknown

  // kEnded:
  bool refused = false;        // nothing ever started and never would: the sandbox has failed
  int exit_code = 255;         // of a container that ran and left no record of its end; never 0
  bool out_of_memory = false;  // the scheduler saw it: a container's record of KILL means OOMKilled
  // The pod's folder as the agent left it (lib/agent/pod_folder.h: exits/CONTAINER); empty: the
  // site cannot see one.
  std::string pod_folder;
};

struct AllocationSpec {
  SandboxId id;
  NodeId node;
  std::string handler;
  const runtime::v1::PodSandboxConfig& config;
  // The node's PluginConfig: only keys of Description::node_options.
  std::map<std::string, std::string> node_options;
  std::string user = {};  // SandboxSpec::user
};

// What the site gives to a provisioner besides sdk::Host. It outlives the provisioner. Thread-safe.
class AgentDesk {
 public:
  virtual ~AgentDesk() = default;
  virtual AgentTicket TicketFor(const SandboxId& id) = 0;
  // Only enqueues, so it may be called under any lock.
  virtual void Report(std::vector<AllocationFact> facts) = 0;
  // From now on no agent of it is welcome, unless one was before. Never answers "nobody yet".
  // Durable.
  virtual Result<AgentBinding> CloseTo(const SandboxId& id) = 0;
  virtual Result<AgentBinding> BoundTo(const SandboxId& id) = 0;
  // The agent that it is bound to has said that everything of it has ended, that all of it is
  // reported, and that nothing starts any more. Stored before it is answered.
  virtual Result<bool> HasLeft(const SandboxId& id) = 0;
  // Of every agent: one that has not heard of the site for so long stops everything. Zero: none, it
  // never does. Constant.
  virtual Duration Lease() const = 0;
  // An agent that is there is heard of so often. Constant.
  virtual Duration Heartbeat() const = 0;
  // Since when nothing was heard of its agent; nothing: it never came in since this start.
  virtual std::optional<Duration> Silence(const SandboxId& id) = 0;
  // Connects a relay to the hub: what an agent sends there, and what the hub answers, which is TLS
  // between the two. `relay` is a SOCK_STREAM socket; it is closed when either side has ended, and
  // then `over` is called, once, from any thread. Only enqueues. kUnavailable: the site is shutting
  // down; kResourceExhausted: too many. Then `over` is not called.
  virtual Status Carry(UniqueFd relay, std::function<void()> over) = 0;
};

class Provisioner {
 public:
  virtual ~Provisioner() = default;

  // Constant for the life of the object: the handlers, and what an agent in their allocations
  // honours.
  virtual const Description& Describe() const = 0;

  // All that there is of our lineage, ended and not yet removed ones too. What is not in the answer
  // is proven absent. An error means "cannot tell" and is repeated.
  virtual Result<std::vector<AllocationFact>> Recover(const Call& call) = 0;

  // Refuses what Submit would refuse, before anything is stored.
  virtual Status Check(const AllocationSpec& spec) = 0;
  // OK = durably asked for.
  virtual Status Submit(const Call& call, const AllocationSpec& spec) = 0;
  // Gives the allocation back, or the wish for one. OK = durably wanted; ends kEnded.
  virtual Status Release(const Call& call, const SandboxId& id) = 0;
  // REQUIRES: kEnded was told of it, or it was never submitted. OK = nothing of it is left.
  virtual Status Remove(const Call& call, const SandboxId& id) = 0;

  // The form of the image that agents of that user (AllocationSpec::user) can read; single-flight,
  // may block until the deadline.
  virtual Status PrepareImage(const Call& call, const std::string& user,
                              const UnpackedImage& image) = 0;
  // Agents can read the folders of HoldImage; else they are the site's own, and the site sends
  // each of them to the agent. Constant.
  virtual bool SharesLayers() const { return true; }
  // That form, kept until ReleaseImages(holder). kFailedPrecondition: it is not prepared.
  virtual Result<UnpackedImage> HoldImage(const std::string& user, const ContainerId& holder,
                                          const UnpackedImage& image) = 0;
  virtual void ReleaseImages(const ContainerId& holder) = 0;

  // Facts for a person, shown by `crictl inspectp`: a JSON object.
  virtual Result<std::string> Inspect(const Call& call, const SandboxId& id) = 0;
};

}  // namespace interlink::sdk

#endif  // INTERLINK_SDK_PROVISIONER_H_
