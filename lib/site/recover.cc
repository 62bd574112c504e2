// Recovery: before a handler is served its backend is inventoried. What lives is matched with the
// records or imported; what is not in the inventory is proven absent.
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "runtime/v1/api.pb.h"
#include "site/live_site.h"

namespace interlink::site {
namespace {

constexpr auto kRecover = std::chrono::seconds(60);
constexpr auto kUntilStored = std::chrono::milliseconds(200);

using State = sdk::Observation::State;

sdk::Observation LastKnown(const Sandbox& sandbox) {
  sdk::Observation known;
  known.node = sandbox.key.node;
  known.sandbox = sandbox.key.id;
  known.handler = sandbox.record.handler();
  known.state = sandbox.record.seen() >= interlink::v1::SEEN_DOWN ? State::kDown
                : sandbox.record.seen() == interlink::v1::SEEN_UP ? State::kUp
                                                                  : State::kPending;
  return known;
}

sdk::Observation LastKnown(const Container& container) {
  sdk::Observation known;
  known.node = container.key.node;
  known.sandbox = container.key.sandbox;
  known.container = container.key.id;
  known.handler = container.record.handler();
  switch (container.record.seen()) {
    case interlink::v1::SEEN_DOWN:
      known.state = State::kDown;
      break;
    case interlink::v1::SEEN_UP:
      known.state = State::kUp;
      break;
    case interlink::v1::SEEN_CREATED:
      known.state = State::kCreated;
      break;
    default:
      known.state = State::kPending;
  }
  return known;
}

}  // namespace

void LiveSite::Recover(const std::string& name) {
  std::vector<sdk::Observation> last_known;
  Plugin* plugin = nullptr;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    const auto it = std::find_if(plugins_.begin(), plugins_.end(),
                                 [&](const auto& item) { return item->name == name; });
    plugin = it->get();
    for (const auto& [key, sandbox] : tables_.sandboxes) {
      if (sandbox.record.seen() != interlink::v1::SEEN_GONE &&
          Serves(*plugin, sandbox.record.handler())) {
        last_known.push_back(LastKnown(sandbox));
      }
    }
    for (const auto& [key, container] : tables_.containers) {
      if (container.record.seen() != interlink::v1::SEEN_GONE &&
          Serves(*plugin, container.record.handler())) {
        last_known.push_back(LastKnown(container));
      }
    }
  }
  auto found = plugin->backend->Recover(Call::WithTimeout(kRecover), last_known);
  if (!found.ok()) {
    // "Cannot tell" proves nothing: its handlers stay closed for changes.
    ports_.log.Error("a plugin cannot be inventoried, trying again",
                     {{"plugin", name}, {"error", found.status().ToString()}});
    const int attempt = plugin->recover_attempts++;
    timer_.After(std::chrono::milliseconds(500) * (1 << std::min(attempt, 6)), [this, name] {
      if (!steps_.PostAlways("recover/" + name, [this, name] { Recover(name); }).ok())
        return;  // shutting down
    });
    return;
  }
  MergeInventory(*plugin, *found);
}

bool LiveSite::Serves(const Plugin& plugin, const std::string& handler) {
  return std::find(plugin.handlers.begin(), plugin.handlers.end(), handler) !=
         plugin.handlers.end();
}

void LiveSite::MergeInventory(Plugin& plugin, const std::vector<sdk::Observation>& found) {
  MutexLock lock(mutex_);
  Change change;
  std::set<RecordKey> present;
  // Sandboxes first: an imported container needs its own.
  for (const bool containers : {false, true}) {
    for (const sdk::Observation& fact : found) {
      if (fact.container.empty() == containers || fact.state == State::kAbsent) continue;
      present.insert(containers ? StoreKey(ContainerKey{fact.node, fact.sandbox, fact.container})
                                : StoreKey(SandboxKey{fact.node, fact.sandbox}));
      if (!IsKnownLocked(fact)) {
        ImportLocked(plugin, fact, change);
      } else {
        ApplyFactLocked(fact, change);
        NoteAskedLocked(fact, change);
        NoteResourcesLocked(fact, change);
      }
    }
  }
  ApplyEarlyFactsLocked(change);
  for (auto& [key, sandbox] : tables_.sandboxes) {
    if (!Serves(plugin, sandbox.record.handler()) || present.contains(StoreKey(key))) continue;
    SettleAbsentLocked(sandbox, "nothing of it was found when the site started", change);
  }
  for (auto& [key, container] : tables_.containers) {
    if (!Serves(plugin, container.record.handler()) || present.contains(StoreKey(key))) continue;
    SettleAbsentLocked(container, "nothing of it was found when the site started", change);
  }
  // With what an inventory before this one could not store: handlers open on a durable one only.
  for (const auto& [key, sandbox] : tables_.sandboxes) {
    if (!Serves(plugin, sandbox.record.handler())) continue;
    change.drive.push_back(key);
    if (sandbox.uncommitted > 0) change.touched.push_back(StoreKey(key));
  }
  for (const auto& [key, container] : tables_.containers) {
    if (Serves(plugin, container.record.handler()) && container.uncommitted > 0)
      change.touched.push_back(StoreKey(key));
  }
  CommitLocked(change, false, [this, &plugin](const Status& status) {
    if (status.ok()) return OpenHandlers(plugin);
    timer_.After(std::chrono::seconds(2), [this, name = plugin.name] {
      if (!steps_.PostAlways("recover/" + name, [this, name] { Recover(name); }).ok())
        return;  // shutting down
    });
  });
}

// A backend that has it was asked: it is not asked to run it a second time.
void LiveSite::NoteAskedLocked(const sdk::Observation& fact, Change& change) {
  if (fact.container.empty()) {
    Sandbox* sandbox = tables_.Find(SandboxKey{fact.node, fact.sandbox});
    if (sandbox == nullptr) return;
    sandbox->asked = true;
    if (sandbox->record.seen() != interlink::v1::SEEN_NOTHING && !sandbox->record.held()) return;
    if (sandbox->record.seen() == interlink::v1::SEEN_NOTHING)
      sandbox->record.set_seen(interlink::v1::SEEN_PENDING);
    sandbox->record.set_held(false);
    StampLocked(*sandbox);
    change.touched.push_back(StoreKey(sandbox->key));
    return;
  }
  Container* container = tables_.Find(ContainerKey{fact.node, fact.sandbox, fact.container});
  if (container == nullptr) return;
  container->created_unknown = true;
  if (!container->record.held()) return;
  container->record.set_held(false);
  StampLocked(*container);
  change.touched.push_back(StoreKey(container->key));
}

// What it has, whatever a restored store or a crash in an update has lost: the next update is made
// on that.
void LiveSite::NoteResourcesLocked(const sdk::Observation& fact, Change& change) {
  Container* container = tables_.Find(ContainerKey{fact.node, fact.sandbox, fact.container});
  runtime::v1::ContainerConfig config;
  if (container == nullptr || fact.config.empty() || !config.ParseFromString(fact.config)) return;
  const auto& resources = config.linux().resources();
  auto& known = *container->record.mutable_resources();
  if (google::protobuf::util::MessageDifferencer::Equals(known, resources)) return;
  known = resources;
  StampLocked(*container);
  change.touched.push_back(StoreKey(container->key));
}

void LiveSite::OpenHandlers(Plugin& plugin) {
  std::vector<std::function<void()>> wakes;
  std::vector<SandboxKey> drive;
  bool all = false;
  {
    MutexLock lock(mutex_);
    // What an inventory before this one has imported and could not store: a list would lack it.
    const auto never_told = [&plugin](const auto& item) {
      return item.second.number == 0 && item.second.uncommitted > 0 &&
             Serves(plugin, item.second.record.handler());
    };
    if (std::any_of(tables_.sandboxes.begin(), tables_.sandboxes.end(), never_told) ||
        std::any_of(tables_.containers.begin(), tables_.containers.end(), never_told)) {
      timer_.After(kUntilStored, [this, &plugin] { OpenHandlers(plugin); });
      return;
    }
    plugin.recovered = true;
    plugin.recover_attempts = 0;
    for (auto& [id, node] : tables_.nodes) {
      for (const std::string& handler : plugin.handlers) {
        interlink::v1::Event event;
        event.mutable_handler_recovered()->set_handler(handler);
        node.others.emplace(node.next_number++, std::move(event));
      }
      WakeReaderLocked(id, wakes);
    }
    for (const auto& [key, sandbox] : tables_.sandboxes) {
      if (Serves(plugin, sandbox.record.handler())) drive.push_back(key);
    }
    all = AllRecoveredLocked();
    if (all) early_facts_.clear();
  }
  ports_.log.Info("a plugin is inventoried: its handlers are open", {{"plugin", plugin.name}});
  for (auto& wake : wakes) wake();
  for (const SandboxKey& key : drive) PostDrive(key);
  if (!all) return;
  // Not here: this is the store's writer.
  if (!steps_.PostAlways("images", [this] { AfterAllRecovered(); }).ok()) return;  // shutting down
}

void LiveSite::AfterAllRecovered() {
  SweepVolumes();
  std::vector<ContainerId> living;
  {
    MutexLock lock(mutex_);
    for (const auto& [key, container] : tables_.containers) {
      if (container.record.seen() != interlink::v1::SEEN_GONE) living.push_back(key.id);
    }
    // While a plugin is missing its containers' images are not known to be unused.
    for (const auto& plugin : plugins_) {
      if (plugin->backend == nullptr) return;
    }
  }
  ports_.images.KeepHolders(living);
}

// Work under our names without a record: the store is older than the work, or was lost. It is shown
// to its node, which keeps or removes it.
void LiveSite::ImportLocked(const Plugin& plugin, const sdk::Observation& fact, Change& change) {
  NodeLocked(fact.node);
  ports_.log.Warning("work without a record is imported", {{"plugin", plugin.name},
                                                           {"node", fact.node.str()},
                                                           {"sandbox", fact.sandbox.str()},
                                                           {"container", fact.container.str()}});
  const std::string handler = fact.handler.empty() && !plugin.handlers.empty()
                                  ? plugin.handlers.front()
                                  : Text(fact.handler);
  if (fact.container.empty()) {
    Sandbox sandbox;
    sandbox.key = {fact.node, fact.sandbox};
    sandbox.asked = true;
    interlink::v1::RunSandboxRequest request;
    request.set_handler(handler);
    if (!fact.config.empty() && request.mutable_config()->ParseFromString(fact.config)) {
      request.set_created_ns(fact.started_ns);
      sandbox.body = request.SerializeAsString();
    }
    sandbox.record.set_id(fact.sandbox.str());
    sandbox.record.set_handler(handler);
    sandbox.record.set_wanted(interlink::v1::WANTED_CREATE);
    sandbox.record.set_created_ns(fact.started_ns);
    sandbox.record.set_imported(true);
    ApplyFact(fact, sandbox.record);
    StampLocked(tables_.Add(std::move(sandbox)));
    change.touched.push_back(StoreKey(SandboxKey{fact.node, fact.sandbox}));
    return;
  }
  const ContainerKey key{fact.node, fact.sandbox, fact.container};
  if (tables_.Find(key.Sandbox()) == nullptr) {
    sdk::Observation carrier;
    carrier.node = fact.node;
    carrier.sandbox = fact.sandbox;
    carrier.handler = handler;
    carrier.state = State::kDown;
    ImportLocked(plugin, carrier, change);
  }
  Container container;
  container.key = key;
  container.created_unknown = true;
  interlink::v1::CreateContainerRequest request;
  request.set_handler(handler);
  request.set_image_id(Text(fact.image_id));
  for (const auto& [name, id] : fact.volume_images)
    (*request.mutable_volume_images())[Text(name)] = Text(id);
  if (!fact.config.empty() && request.mutable_config()->ParseFromString(fact.config)) {
    request.set_created_ns(fact.started_ns);
    container.body = request.SerializeAsString();
    *container.record.mutable_resources() = request.config().linux().resources();
  }
  container.record.set_id(fact.container.str());
  container.record.set_sandbox_id(fact.sandbox.str());
  container.record.set_handler(handler);
  // A container that ran was started: it must never be started again.
  container.record.set_wanted(fact.state >= State::kUp ? interlink::v1::WANTED_START
                                                       : interlink::v1::WANTED_CREATE);
  container.record.set_created_ns(fact.started_ns);
  container.record.set_imported(true);
  ApplyFact(fact, container.record);
  StampLocked(tables_.Add(std::move(container)));
  change.touched.push_back(StoreKey(key));
}

}  // namespace interlink::site
