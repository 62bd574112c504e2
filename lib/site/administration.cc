// What a person does at the site: nodes, takeover, drop, forget; and what time does: retention.
#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr auto kSweep = std::chrono::seconds(30);

}  // namespace

interlink::v1::NodeList LiveSite::ListNodes() const {
  interlink::v1::NodeList list;
  MutexLock lock(mutex_);
  for (const auto& [id, node] : tables_.nodes) {
    auto* summary = list.add_nodes();
    summary->set_node(id.str());
    summary->set_lineage(node.stored.lineage());
    summary->set_link(node.stored.link());
    summary->set_last_seen_ns(node.stored.last_seen_ns());
    summary->set_takeover(node.stored.takeover());
    const auto [sandboxes, containers] = CountLocked(id);
    summary->set_sandboxes(sandboxes);
    summary->set_containers(containers);
  }
  return list;
}

void LiveSite::Takeover(const Call&, const NodeId& id, Reply<std::string> reply) {
  Status why;
  {
    MutexLock lock(mutex_);
    const auto it = tables_.nodes.find(id);
    if (it == tables_.nodes.end()) {
      why = NotFound("no node \"" + id.str() + "\": `interlink-api node list` shows them");
    } else {
      it->second.stored.set_takeover(true);
      CommitLocked(
          {{RecordKey{RecordKind::kNode, id, ""}}, {}}, false, [reply, id](const Status& status) {
            if (!status.ok()) return reply(status);
            reply("the next link of node \"" + id.str() + "\" is accepted, whatever its store");
          });
    }
  }
  if (!why.ok()) reply(why);
}

void LiveSite::DropNode(const Call&, const NodeId& id, Reply<std::string> reply) {
  std::vector<Call> pulls;
  Status why;
  {
    MutexLock lock(mutex_);
    const auto it = tables_.nodes.find(id);
    if (it == tables_.nodes.end()) {
      why = NotFound("no node \"" + id.str() + "\": `interlink-api node list` shows them");
    } else if (it->second.reader != 0) {
      why = FailedPrecondition("node \"" + id.str() +
                               "\" is connected: stop its interlink-cri first");
    } else {
      it->second.stored.set_dropping(true);
      it->second.linked = false;
      Change change{{RecordKey{RecordKind::kNode, id, ""}}, {}};
      EndAllLocked(id, interlink::v1::WANTED_REMOVE, change);
      for (const auto& [key, pull] : pulls_) {
        if (pull->node == id) pulls.push_back(pull->call);
      }
      const std::string text =
          std::to_string(change.drive.size()) + " sandboxes of node \"" + id.str() +
          "\" are being removed; the node is forgotten, and may link again, when their "
          "tombstones have expired";
      CommitLocked(change, false, [this, reply, text, id](const Status& status) {
        if (!status.ok()) return reply(status);
        // Those that do not go now do when the node is forgotten.
        const auto remove = [this, id] { static_cast<void>(RemoveImagesOf(id).ok()); };
        static_cast<void>(steps_.PostAlways(ImagesLane(id), remove).ok());
        reply(text);
      });
    }
  }
  for (const Call& pull : pulls) pull.Cancel();
  if (!why.ok()) reply(why);
}

void LiveSite::EndAllLocked(const NodeId& id, Wanted wanted, Change& change) {
  for (auto& [key, sandbox] : tables_.sandboxes) {
    if (key.node != id) continue;
    bool living = sandbox.record.seen() != interlink::v1::SEEN_GONE;
    if (living && RaiseWanted(wanted, sandbox.record)) {
      StampLocked(sandbox);
      change.touched.push_back(StoreKey(key));
    }
    for (const ContainerId& part : sandbox.containers) {
      Container* container = tables_.Find(ContainerKey{key.node, key.id, part});
      if (container == nullptr || container->record.seen() == interlink::v1::SEEN_GONE) continue;
      living = true;
      if (!RaiseWanted(wanted, container->record)) continue;
      StampLocked(*container);
      change.touched.push_back(StoreKey(container->key));
    }
    if (living) change.drive.push_back(key);
  }
}

void LiveSite::ForgetDead(const Call&, const std::string& id, Reply<std::string> reply) {
  const std::string why_dead = "declared dead by an administrator";
  Status why = NotFound("no sandbox or container \"" + id + "\": give the full id");
  {
    MutexLock lock(mutex_);
    Change change;
    for (auto& [key, sandbox] : tables_.sandboxes) {
      if (key.id.str() != id || sandbox.record.seen() >= interlink::v1::SEEN_DOWN) continue;
      MarkLost(why_dead, Now(), sandbox.record);
      StampLocked(sandbox);
      change.touched.push_back(StoreKey(key));
      for (const ContainerId& part : sandbox.containers)
        ForgetContainerLocked({key.node, key.id, part}, why_dead, change);
    }
    for (auto& [key, container] : tables_.containers) {
      if (key.id.str() == id) ForgetContainerLocked(key, why_dead, change);
    }
    if (!change.touched.empty()) {
      why = {};
      CommitLocked(change, false, [reply, id](const Status& status) {
        status.ok() ? reply("the end of \"" + id + "\" is told to its node") : reply(status);
      });
    }
  }
  if (!why.ok()) reply(why);
}

void LiveSite::ForgetContainerLocked(const ContainerKey& key, const std::string& why,
                                     Change& change) {
  Container* container = tables_.Find(key);
  if (container == nullptr || container->record.seen() >= interlink::v1::SEEN_DOWN) return;
  MarkLost(why, Now(), container->record);
  StampLocked(*container);
  change.touched.push_back(StoreKey(key));
}

void LiveSite::ScheduleSweep() {
  timer_.After(kSweep, [this] {
    if (!steps_.PostAlways("sweep", [this] { Sweep(); }).ok()) return;  // shutting down
  });
}

bool LiveSite::ExpiredLocked(const NodeId& id, bool linked_since, SteadyTime gone_since) const {
  const auto node = tables_.nodes.find(id);
  // A node that is dropped does not come back to see them.
  const bool seen = linked_since || (node != tables_.nodes.end() && node->second.stored.dropping());
  return seen && ports_.clock.Steady() - gone_since >= options_.tombstone_retention;
}

// Tombstones go after their node's next link, and not before the retention is over. Nodes that were
// dropped go with their last record. Work of a node that is gone for too long is stopped, where
// that is configured.
void LiveSite::Sweep() {
  const SteadyTime now = ports_.clock.Steady();
  std::vector<NodeId> dropped;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    Change erased;
    Change stopped;
    std::set<NodeId> owners;  // of any record that stays
    for (const auto& [key, container] : tables_.containers) {
      if (container.record.seen() == interlink::v1::SEEN_GONE && container.uncommitted == 0 &&
          ExpiredLocked(key.node, container.linked_since_gone, container.gone_since)) {
        erased.touched.push_back(StoreKey(key));
      } else {
        owners.insert(key.node);
      }
    }
    for (const auto& [key, sandbox] : tables_.sandboxes) {
      if (sandbox.record.seen() == interlink::v1::SEEN_GONE && sandbox.uncommitted == 0 &&
          ExpiredLocked(key.node, sandbox.linked_since_gone, sandbox.gone_since)) {
        erased.touched.push_back(StoreKey(key));
      } else {
        owners.insert(key.node);
      }
    }
    for (const RecordKey& key : erased.touched) {
      if (key.kind == RecordKind::kSandbox) {
        tables_.Erase(SandboxKey{key.node, SandboxId(key.key)});
      } else if (const Container* container =
                     tables_.FindContainer(key.node, ContainerId(key.key))) {
        tables_.Erase(ContainerKey(container->key));
      }
    }
    for (auto& [id, node] : tables_.nodes) {
      if (node.reader != 0) node.last_seen = now;
      if (node.stored.dropping() && !owners.contains(id) && !node.linked && node.reader == 0 &&
          !PullsLocked(id))
        dropped.push_back(id);
      if (options_.node_gone_after > Duration::zero() &&
          now - node.last_seen > options_.node_gone_after) {
        EndAllLocked(id, interlink::v1::WANTED_STOP, stopped);
      }
    }
    if (!erased.touched.empty()) CommitLocked(erased, false, {});
    if (!stopped.touched.empty()) {
      ports_.log.Warning("the work of a node that does not return is stopped",
                         {{"sandboxes", std::to_string(stopped.drive.size())}});
      CommitLocked(stopped, false, {});
    }
  }
  ForgetNodes(dropped);
  ScheduleSweep();
}

void LiveSite::ForgetNodes(const std::vector<NodeId>& dropped) {
  Change erased;
  for (const NodeId& id : dropped) {
    // Without its row nobody would ask for them to go.
    if (RemoveImagesOf(id).ok()) erased.touched.push_back(RecordKey{RecordKind::kNode, id, ""});
  }
  if (erased.touched.empty()) return;
  MutexLock lock(mutex_);
  if (stopping_) return;
  for (const RecordKey& key : erased.touched) tables_.nodes.erase(key.node);
  CommitLocked(erased, false, {});
}

}  // namespace interlink::site
