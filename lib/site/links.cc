// Links: POST /v1/link (DESIGN 6.3). One link per node identity; a lost answer is harmless; a store
// that is not the one we know (lost, older, copied: indistinguishable) waits for a person.
#include <algorithm>

#include "base/secret.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr size_t kSecretBytes = 32;
constexpr size_t kMaxLineage = 256;
// For so long after a link an older request of the same node may still arrive.
constexpr auto kLateRequests = std::chrono::seconds(5);

// Whether the node may link with what it sent.
Status CheckSecret(const NodeId& id, const interlink::v1::StoredNode& stored,
                   const interlink::v1::LinkRequest& request) {
  if (stored.lineage().empty() || stored.takeover()) return {};
  const bool same_store = stored.lineage() == request.node_lineage();
  // Before the first secret has been used its answer may have been lost: the same store comes again
  // with none.
  const bool first_again = stored.secret().empty() && request.secret().empty();
  const bool known =
      !request.secret().empty() && (EqualSecrets(request.secret(), stored.secret()) ||
                                    EqualSecrets(request.secret(), stored.next_secret()));
  if (same_store && (first_again || known)) return {};
  return AlreadyExists("copied-node: node \"" + id.str() +
                       "\" is linked with another store (a lost, older or copied one looks the "
                       "same). If this is its "
                       "store from now on, run on the site: interlink-api node takeover " +
                       id.str());
}

// The node raises its counter before each link, so one that is not above is a late duplicate: it
// would rotate the secret under the node's feet. A restored store counts below as well, but its
// link is nobody's any more.
Status CheckCounter(const Node& node, const interlink::v1::LinkRequest& request, SteadyTime now) {
  const auto& stored = node.stored;
  if (stored.takeover() || stored.lineage() != request.node_lineage() ||
      request.node_counter() > stored.node_counter())
    return {};
  const bool in_force = node.reader != 0 || now - node.linked_at < kLateRequests;
  if (request.node_counter() < stored.node_counter() && !in_force) return {};
  return Aborted("stale-link: a later link of this store was made, nothing was done: link again");
}

}  // namespace

Status LiveSite::CheckLink(const Caller& caller) const {
  const auto it = tables_.nodes.find(caller.node);
  if (it != tables_.nodes.end() && it->second.linked && caller.link != 0 &&
      caller.link == it->second.stored.link())
    return {};
  return Aborted("stale-link: link " + std::to_string(caller.link) +
                 " is not in force, nothing was done: link again");
}

void LiveSite::Link(const Call&, const NodeId& id, const interlink::v1::LinkRequest& request,
                    Reply<interlink::v1::LinkResponse> reply) {
  if (request.node_lineage().empty() || request.node_lineage().size() > kMaxLineage) {
    return reply(InvalidArgument("\"node_lineage\" must name the node's store"));
  }
  interlink::v1::LinkResponse response;
  std::vector<std::function<void()>> wakes;
  Status why;
  {
    MutexLock lock(mutex_);
    why = stopping_ ? Unavailable("the site is shutting down") : Status::Ok();
    Node& node = NodeLocked(id);
    if (why.ok() && node.stored.dropping())
      why = Unavailable("node \"" + id.str() +
                        "\" is being dropped at the site: its records go first");
    if (why.ok()) why = CheckSecret(id, node.stored, request);
    if (why.ok()) why = CheckCounter(node, request, ports_.clock.Steady());
    if (why.ok()) {
      FillLinkLocked(node, request, response);
      for (auto& [key, sandbox] : tables_.sandboxes) {
        if (key.node == id)
          sandbox.linked_since_gone = sandbox.record.seen() == interlink::v1::SEEN_GONE;
      }
      for (auto& [key, container] : tables_.containers) {
        if (key.node == id)
          container.linked_since_gone = container.record.seen() == interlink::v1::SEEN_GONE;
      }
      // The old link's stream ends: its reader sees another number.
      WakeReaderLocked(id, wakes);
      node.reader = 0;
      CommitLocked({{RecordKey{RecordKind::kNode, id, ""}}, {}}, false,
                   [reply, response](const Status& status) {
                     status.ok() ? reply(response) : reply(status.WithContext("store the link"));
                   });
    }
  }
  if (!why.ok()) return reply(why);
  ports_.log.Info("a node has linked",
                  {{"node", id.str()}, {"link", std::to_string(response.link())}});
  for (auto& wake : wakes) wake();
}

void LiveSite::FillLinkLocked(Node& node, const interlink::v1::LinkRequest& request,
                              interlink::v1::LinkResponse& response) {
  auto& stored = node.stored;
  const std::string& own_lineage = ports_.store.lineage().str();
  response.set_node_counter(stored.node_counter());
  // After a person's takeover the store is another one than the one we know, whatever its counter
  // says: the retries before it may have raised that above ours.
  response.set_node_restored(stored.takeover() || (stored.lineage() == request.node_lineage() &&
                                                   request.node_counter() < stored.node_counter()));
  response.set_site_restored(request.site_lineage() == own_lineage &&
                             request.site_counter() > stored.site_counter());
  // Above every number that an older backup of this store may have given out.
  constexpr int64_t kSecond = 1'000'000'000;
  const auto by_time = static_cast<uint64_t>(std::max<int64_t>(0, Now() / kSecond));
  stored.set_link(std::max(stored.link(), by_time) + 1);
  stored.set_lineage(request.node_lineage());
  stored.set_secret(request.secret());
  stored.set_next_secret(RandomHex(kSecretBytes));
  stored.set_node_counter(std::max(stored.node_counter(), request.node_counter()));
  stored.set_site_counter(std::max(stored.site_counter(), request.site_lineage() == own_lineage
                                                              ? request.site_counter()
                                                              : 0) +
                          1);
  stored.set_takeover(false);
  stored.set_last_seen_ns(Now());
  node.linked = true;
  node.last_seen = ports_.clock.Steady();
  node.linked_at = node.last_seen;

  response.set_link(stored.link());
  response.set_node(node.id.str());
  response.set_node_lineage(request.node_lineage());
  response.set_site(options_.name);
  response.set_site_lineage(own_lineage);
  response.set_epoch(epoch_);
  response.set_next_secret(stored.next_secret());
  response.set_site_counter(stored.site_counter());
  response.set_version(options_.version);
}

interlink::v1::SiteStatus LiveSite::StatusFor(const NodeId& id) const {
  interlink::v1::SiteStatus status;
  const auto info = Info();
  status.set_site(options_.name);
  status.set_version(options_.version);
  status.set_node(id.str());
  *status.mutable_handlers() = info.handlers();
  MutexLock lock(mutex_);
  if (const auto it = tables_.nodes.find(id); it != tables_.nodes.end())
    status.set_link(it->second.stored.link());
  const auto [sandboxes, containers] = CountLocked(id);
  status.set_sandboxes(sandboxes);
  status.set_containers(containers);
  return status;
}

std::pair<uint64_t, uint64_t> LiveSite::CountLocked(const NodeId& id) const {
  uint64_t sandboxes = 0;
  uint64_t containers = 0;
  for (const auto& [key, sandbox] : tables_.sandboxes) {
    if (key.node == id && sandbox.record.seen() != interlink::v1::SEEN_GONE) ++sandboxes;
  }
  for (const auto& [key, container] : tables_.containers) {
    if (key.node == id && container.record.seen() != interlink::v1::SEEN_GONE) ++containers;
  }
  return {sandboxes, containers};
}

}  // namespace interlink::site
