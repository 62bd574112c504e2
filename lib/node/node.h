// Node: the domain of interlink-cri. Records, state machines and use cases; it knows no gRPC, HTTP,
// SQLite or JSON.
//
// Call order: Create -> Start -> anything -> Stop. The edges (lib/cri) hold references to the
// parts. Thread-safe. gRPC threads call the use cases: they answer from memory, or post and return
// at once; they never block.
#ifndef INTERLINK_NODE_NODE_H_
#define INTERLINK_NODE_NODE_H_

#include <memory>
#include <string>

#include "base/call.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/node_options.h"
#include "node/containers.h"
#include "node/events.h"
#include "node/images.h"
#include "node/kubelet_volumes.h"
#include "node/log_files.h"
#include "node/runtime.h"
#include "node/sandboxes.h"
#include "node/sessions.h"
#include "node/site.h"
#include "node/stats.h"
#include "node/store.h"

namespace interlink::node {

struct Options {
  std::string site_name;        // for messages: host:port of InterlinkAddress
  std::string data_folder;      // an existing path; ImageFsInfo names it
  std::string runtime_handler;  // CRI.RuntimeHandler; means the default handler too
  std::string default_handler;  // CRI.DefaultHandler; "" = the site's, "none" = refuse pods without
                                // RuntimeClass
  // PluginConfig: each key goes with pods of the handlers that take it.
  NodeOptions plugin_config = {};
  std::string version;
  Duration request_timeout = std::chrono::minutes(15);  // bounds calls without a gRPC deadline
  int step_threads = 32;
  int step_queue = 4096;
  size_t max_sessions = 256;  // open at once: exec, attach, each connection of a port-forward
};

struct Ports {
  Store& store;
  Site& site;
  LogFiles& log_files;
  KubeletVolumes& volumes;
  Log& log;
  Metrics& metrics;
  const Clock& clock;
  StreamServer& streams;
};

// A pod that is not yet what it was asked to be, and why.
struct WaitingPod {
  std::string pod;  // namespace/name
  std::string sandbox;
  std::string why;  // for a person: one line
};
inline constexpr size_t kMostWaitingPods = 20;

// Counts for `status`, /readyz and tests.
struct NodeSummary {
  bool site_seen = false;
  Status listed;     // why the lists are not given yet, in the words of their calls; OK: they are
  Status reachable;  // why the site is out of reach; OK: it is not
  std::string site_name;
  std::string site_lineage;
  uint64_t link = 0;
  size_t sandboxes = 0;  // all records, also those not listed
  size_t containers = 0;
  size_t live_sandboxes = 0;  // whose end is not proven
  size_t parked = 0;          // replies that wait for an event
  size_t waiting = 0;         // pods that start, end, or have something that is tried again
  std::vector<WaitingPod> first_waiting;  // at most kMostWaitingPods of them
};

class Node {
 public:
  // Loads the store. kDataLoss, kFailedPrecondition: the store cannot be used; the message says
  // what to do.
  static Result<std::unique_ptr<Node>> Create(const Options& options, const Ports& ports);
  virtual ~Node() = default;

  // Begins to talk to the site.
  virtual void Start() = 0;
  // Completes every waiting reply with kUnavailable, ends sessions (their reads answer kCancelled),
  // steps (5 s) and threads. Touches no container.
  virtual void Stop() = 0;

  virtual Runtime& runtime() = 0;
  virtual Sandboxes& sandboxes() = 0;
  virtual Containers& containers() = 0;
  virtual Images& images() = 0;
  virtual Stats& stats() = 0;
  virtual Sessions& sessions() = 0;
  virtual Events& events() = 0;

  virtual NodeSummary Summary() const = 0;
  // `wipe`: removes every record here and at the site. Refuses (kFailedPrecondition, with what
  // lives) while work is live or the site cannot be asked; `forget_site` (the site's name): the
  // site is gone for good, its records are dropped and tombstones go on cancelling should it
  // return.
  virtual void Wipe(const Call& call, const std::string& forget_site, Reply<std::string> reply) = 0;
};

}  // namespace interlink::node

#endif  // INTERLINK_NODE_NODE_H_
