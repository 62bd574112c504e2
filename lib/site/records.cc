#include "site/records.h"

#include <algorithm>

#include "site/gpus.h"
#include "site/site.h"

namespace interlink::site {
namespace {

PodKey PodOf(const NodeId& node, const interlink::v1::RunSandboxRequest& request) {
  const auto& metadata = request.config().metadata();
  return {node, metadata.namespace_(), metadata.name(), metadata.uid()};
}

template <typename Map, typename Key>
auto* FindIn(Map& map, const Key& key) {
  const auto it = map.find(key);
  return it == map.end() ? nullptr : &it->second;
}

}  // namespace

Sandbox* Tables::Find(const SandboxKey& key) { return FindIn(sandboxes, key); }
const Sandbox* Tables::Find(const SandboxKey& key) const { return FindIn(sandboxes, key); }
Container* Tables::Find(const ContainerKey& key) { return FindIn(containers, key); }
const Container* Tables::Find(const ContainerKey& key) const { return FindIn(containers, key); }

Container* Tables::FindContainer(const NodeId& node, const ContainerId& id) {
  const auto at = sandbox_of.find({node, id});
  return at == sandbox_of.end() ? nullptr : Find(ContainerKey{node, at->second, id});
}

const Container* Tables::FindContainer(const NodeId& node, const ContainerId& id) const {
  const auto at = sandbox_of.find({node, id});
  return at == sandbox_of.end() ? nullptr : Find(ContainerKey{node, at->second, id});
}

bool Tables::IsOfAnotherNode(const SandboxKey& key) const {
  const NodeId* node = FindIn(node_of_sandbox, key.id);
  return node != nullptr && *node != key.node;
}

bool Tables::IsOfAnotherNode(const ContainerKey& key) const {
  const NodeId* node = FindIn(node_of, key.id);
  return (node != nullptr && *node != key.node) || IsOfAnotherNode(key.Sandbox());
}

Sandbox& Tables::Add(Sandbox sandbox) {
  const SandboxKey key = sandbox.key;
  node_of_sandbox[key.id] = key.node;
  interlink::v1::RunSandboxRequest request;
  // A tombstone has no body and no pod.
  if (!sandbox.body.empty() && request.ParseFromString(sandbox.body)) {
    pods[PodOf(key.node, request)].insert(key);
    sandbox.gpus = GpusAskedBy(request);
  }
  if (const Sandbox* old = Find(key)) LeaveAccount(*old);
  accounts[AccountOf(sandbox)].insert(key);
  return sandboxes[key] = std::move(sandbox);
}

Container& Tables::Add(Container container) {
  const ContainerKey key = container.key;
  interlink::v1::CreateContainerRequest request;
  if (!container.body.empty() && request.ParseFromString(container.body)) {
    names[{key.Sandbox(), request.config().metadata().name()}].insert(key);
    container.gpus = GpusAskedBy(request);
  }
  sandbox_of[{key.node, key.id}] = key.sandbox;
  node_of[key.id] = key.node;
  if (Sandbox* sandbox = Find(key.Sandbox())) sandbox->containers.insert(key.id);
  return containers[key] = std::move(container);
}

bool Tables::Adopt(const Account& owner, const interlink::v1::RunSandboxRequest& request,
                   const std::string& body, Sandbox& sandbox) {
  interlink::v1::RunSandboxRequest imported;
  if (!sandbox.record.imported() || request.handler() != sandbox.record.handler()) return false;
  // A backend that kept no config cannot contradict.
  if (!sandbox.body.empty() &&
      (!imported.ParseFromString(sandbox.body) ||
       PodOf(sandbox.key.node, imported) != PodOf(sandbox.key.node, request)))
    return false;
  pods[PodOf(sandbox.key.node, request)].insert(sandbox.key);
  LeaveAccount(sandbox);
  sandbox.tenant = owner.tenant;
  accounts[AccountOf(sandbox)].insert(sandbox.key);
  sandbox.body = body;
  sandbox.gpus = GpusAskedBy(request);
  sandbox.record.set_created_ns(request.created_ns());
  sandbox.record.set_imported(false);
  return true;
}

bool Tables::Adopt(const interlink::v1::CreateContainerRequest& request, const std::string& body,
                   Container& container) {
  interlink::v1::CreateContainerRequest imported;
  if (!container.record.imported()) return false;
  const std::string& name = request.config().metadata().name();
  if (!container.body.empty() &&
      (!imported.ParseFromString(container.body) || imported.config().metadata().name() != name))
    return false;
  names[{container.key.Sandbox(), name}].insert(container.key);
  container.body = body;
  container.gpus = GpusAskedBy(request);
  container.record.set_created_ns(request.created_ns());
  container.record.set_imported(false);
  return true;
}

void Tables::Erase(const SandboxKey& key) {
  const Sandbox* sandbox = Find(key);
  if (sandbox == nullptr) return;
  interlink::v1::RunSandboxRequest request;
  if (!sandbox->body.empty() && request.ParseFromString(sandbox->body)) {
    const auto it = pods.find(PodOf(key.node, request));
    if (it != pods.end()) {
      it->second.erase(key);
      if (it->second.empty()) pods.erase(it);
    }
  }
  if (const auto node = nodes.find(key.node); node != nodes.end())
    node->second.changed.erase(sandbox->number);
  if (!IsOfAnotherNode(key)) node_of_sandbox.erase(key.id);
  LeaveAccount(*sandbox);
  sandboxes.erase(key);
}

void Tables::Erase(const ContainerKey& key) {
  const Container* container = Find(key);
  if (container == nullptr) return;
  interlink::v1::CreateContainerRequest request;
  if (!container->body.empty() && request.ParseFromString(container->body)) {
    const auto it = names.find({key.Sandbox(), request.config().metadata().name()});
    if (it != names.end()) {
      it->second.erase(key);
      if (it->second.empty()) names.erase(it);
    }
  }
  if (const auto node = nodes.find(key.node); node != nodes.end())
    node->second.changed.erase(container->number);
  if (Sandbox* sandbox = Find(key.Sandbox())) sandbox->containers.erase(key.id);
  sandbox_of.erase({key.node, key.id});
  if (const NodeId* owner = FindIn(node_of, key.id); owner != nullptr && *owner == key.node)
    node_of.erase(key.id);
  containers.erase(key);
}

const Sandbox* Tables::OtherLife(const SandboxKey& key,
                                 const interlink::v1::RunSandboxRequest& request) const {
  const auto it = pods.find(PodOf(key.node, request));
  if (it == pods.end()) return nullptr;
  for (const SandboxKey& other : it->second) {
    const Sandbox* sandbox = Find(other);
    if (other != key && sandbox != nullptr && sandbox->record.seen() < interlink::v1::SEEN_DOWN)
      return sandbox;
  }
  return nullptr;
}

const Container* Tables::OtherLife(const ContainerKey& key,
                                   const interlink::v1::CreateContainerRequest& request) const {
  const auto it = names.find({key.Sandbox(), request.config().metadata().name()});
  if (it == names.end()) return nullptr;
  for (const ContainerKey& other : it->second) {
    const Container* container = Find(other);
    if (other != key && container != nullptr && container->record.seen() < interlink::v1::SEEN_DOWN)
      return container;
  }
  return nullptr;
}

std::string Account::Text() const {
  return tenant.empty() ? "node \"" + node.str() + "\"" : "tenant \"" + tenant + "\"";
}

Account AccountOf(const Caller& caller) {
  if (caller.token != nullptr && !caller.token->tenant.empty())
    return {caller.token->tenant, NodeId()};
  return {"", caller.node};
}

Account Tables::AccountOf(const Sandbox& sandbox) {
  return sandbox.tenant.empty() ? Account{"", sandbox.key.node} : Account{sandbox.tenant, NodeId()};
}

void Tables::LeaveAccount(const Sandbox& sandbox) {
  const auto it = accounts.find(AccountOf(sandbox));
  if (it == accounts.end()) return;
  it->second.erase(sandbox.key);
  if (it->second.empty()) accounts.erase(it);
}

uint64_t Tables::GpusOf(const Sandbox& sandbox, uint64_t more) const {
  for (const ContainerId& id : sandbox.containers) {
    const Container* container = Find(ContainerKey{sandbox.key.node, sandbox.key.id, id});
    if (container != nullptr && container->record.seen() < interlink::v1::SEEN_DOWN)
      more += container->gpus;
  }
  return std::max(sandbox.gpus, more);
}

Holdings Tables::HoldingsOf(const Account& account) const {
  Holdings holdings;
  const auto own = accounts.find(account);
  if (own == accounts.end()) return holdings;
  for (const SandboxKey& key : own->second) {
    const Sandbox* sandbox = Find(key);
    if (sandbox == nullptr || sandbox->record.seen() >= interlink::v1::SEEN_DOWN) continue;
    ++holdings.sandboxes;
    holdings.gpus += GpusOf(*sandbox);
    for (const ContainerId& id : sandbox->containers) {
      const Container* container = Find(ContainerKey{key.node, key.id, id});
      if (container != nullptr && container->record.seen() < interlink::v1::SEEN_DOWN)
        ++holdings.containers;
    }
  }
  return holdings;
}

}  // namespace interlink::site
