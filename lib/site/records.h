// The tables of the site: every record in memory, with the indexes that the rules need. Not
// thread-safe: LiveSite's mutex guards them.
#ifndef INTERLINK_SITE_RECORDS_H_
#define INTERLINK_SITE_RECORDS_H_

#include <compare>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "interlink/v1/link.pb.h"
#include "interlink/v1/record.pb.h"
#include "interlink/v1/site_store.pb.h"
#include "site/admission.h"
#include "site/store.h"

namespace interlink::site {

struct SandboxKey {
  NodeId node;
  SandboxId id;
  friend auto operator<=>(const SandboxKey&, const SandboxKey&) = default;
  // FIFO lane of its steps.
  std::string Lane() const { return node.str() + "/" + id.str(); }
};

struct ContainerKey {
  NodeId node;
  SandboxId sandbox;
  ContainerId id;
  friend auto operator<=>(const ContainerKey&, const ContainerKey&) = default;
  SandboxKey Sandbox() const { return {node, sandbox}; }
};

inline RecordKey StoreKey(const SandboxKey& key) {
  return {RecordKind::kSandbox, key.node, key.id.str()};
}
inline RecordKey StoreKey(const ContainerKey& key) {
  return {RecordKind::kContainer, key.node, key.id.str()};
}

struct Sandbox {
  SandboxKey key;
  interlink::v1::SandboxRecord record;
  std::string
      body;  // RunSandboxRequest as it came; empty for a tombstone of an id that was never run
  std::string tenant;  // whose account it is on; empty: its node's own
  std::string user;    // of the site's machines, as which it runs; empty: as the handler's own
  uint64_t gpus = 0;   // that its request asks for; set by Tables
  std::set<ContainerId> containers;
  uint64_t number = 0;  // of the last published change
  // Commits of it that are not durable yet: until 0 it is not driven, answered or told.
  int uncommitted = 0;
  bool drive_deferred = false;  // a Drive of it, or of a container of it, waits for that
  // Not persisted: what this process has done. A restart does it again, which is harmless by the
  // backend's contract.
  bool asked = false;       // RunSandbox was answered OK
  bool stop_asked = false;  // StopSandbox was answered OK
  SteadyTime stop_asked_at;
  uint64_t update_link = 0;  // of the last update that took effect
  uint64_t update_sequence = 0;
  SteadyTime drive_at;  // when its next Drive is due; zero: none
  int attempts = 0;     // of the backend's call that is repeated
  SteadyTime gone_since;
  bool linked_since_gone = false;
};

struct Container {
  ContainerKey key;
  interlink::v1::ContainerRecord record;
  std::string body;
  uint64_t gpus = 0;           // that its request asks for; set by Tables
  int64_t grace_seconds = -1;  // of the stop that was asked for; -1: none
  uint64_t number = 0;
  int uncommitted = 0;    // see Sandbox
  int attempts = 0;       // of the backend's call that is repeated
  bool prepared = false;  // PrepareImage was answered OK
  bool preparing = false;
  bool created_unknown = false;  // CreateContainer was called and its outcome is not known
  bool start_asked = false;
  // By host path, in the place of the creation's sources: the snapshot that its node told last; and
  // of which its backend may not have it yet.
  std::map<std::string, std::string> volumes;
  std::set<std::string> volumes_due;
  uint64_t volumes_link = 0;  // of the last refresh that was taken
  uint64_t volumes_sequence = 0;
  int volumes_attempts = 0;
  SteadyTime volumes_not_before;
  int64_t stop_asked_grace = -1;  // grace of the last StopContainer that was answered OK
  SteadyTime stop_asked_at;
  SteadyTime gone_since;
  bool linked_since_gone = false;
};

// One node: its link and what its event reader has to be told.
struct Node {
  NodeId id;
  interlink::v1::StoredNode stored;
  bool linked = false;  // a link of this epoch is in force
  SteadyTime last_seen;
  SteadyTime linked_at;
  uint64_t next_number = 1;
  std::map<uint64_t, RecordKey> changed;   // number -> record
  std::map<std::string, uint64_t> images;  // image id or pull id -> number
  std::map<uint64_t, interlink::v1::Event>
      others;                  // number -> an event that is not of a table (pull, image, handler)
  uint64_t reader = 0;         // id of the reader in force; 0: none
  std::function<void()> wake;  // of that reader
};

// (namespace, name, uid): one living sandbox each.
using PodKey = std::tuple<NodeId, std::string, std::string, std::string>;
// (sandbox, container name): one living container each.
using NameKey = std::tuple<SandboxKey, std::string>;

struct Tables {
  std::map<NodeId, Node> nodes;
  std::map<SandboxKey, Sandbox> sandboxes;
  std::map<ContainerKey, Container> containers;
  std::map<std::pair<NodeId, ContainerId>, SandboxId>
      sandbox_of;  // also finds a container by its id alone
  std::map<ContainerId, NodeId> node_of;
  std::map<SandboxId, NodeId> node_of_sandbox;
  std::map<PodKey, std::set<SandboxKey>> pods;
  std::map<NameKey, std::set<ContainerKey>> names;
  std::map<Account, std::set<SandboxKey>> accounts;  // whose sandboxes, ended ones too

  Sandbox* Find(const SandboxKey& key);
  const Sandbox* Find(const SandboxKey& key) const;
  Container* Find(const ContainerKey& key);
  const Container* Find(const ContainerKey& key) const;
  Container* FindContainer(const NodeId& node, const ContainerId& id);
  const Container* FindContainer(const NodeId& node, const ContainerId& id) const;

  // Backends know ids, not nodes: an id that another node has must reach none of them.
  bool IsOfAnotherNode(const SandboxKey& key) const;
  bool IsOfAnotherNode(const ContainerKey& key) const;

  Sandbox& Add(Sandbox sandbox);
  Container& Add(Container container);
  // An imported record becomes its owner's creation, with the bytes that the owner repeats. False:
  // it is not imported, or is another pod or container.
  bool Adopt(const Account& owner, const interlink::v1::RunSandboxRequest& request,
             const std::string& body, Sandbox& sandbox);
  bool Adopt(const interlink::v1::CreateContainerRequest& request, const std::string& body,
             Container& container);
  void Erase(const SandboxKey& key);
  void Erase(const ContainerKey& key);

  // Another sandbox of the same pod (or container of the same name) whose end is not proven; null:
  // none.
  const Sandbox* OtherLife(const SandboxKey& key,
                           const interlink::v1::RunSandboxRequest& request) const;
  const Container* OtherLife(const ContainerKey& key,
                             const interlink::v1::CreateContainerRequest& request) const;

  static Account AccountOf(const Sandbox& sandbox);
  // Of all its sandboxes that have not ended. No sessions: they are not records.
  Holdings HoldingsOf(const Account& account) const;
  // GPUs of the sandbox, when a container has so many `more`.
  uint64_t GpusOf(const Sandbox& sandbox, uint64_t more = 0) const;

 private:
  void LeaveAccount(const Sandbox& sandbox);
};

}  // namespace interlink::site

#endif  // INTERLINK_SITE_RECORDS_H_
