#include "node/records.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "node/state.h"
#include "node/views.h"

namespace interlink::node {
namespace {

constexpr size_t kMaxTrouble = 1024;

template <typename Entry>
int NoteTryOf(const Status& outcome, Entry& entry) {
  entry.trouble = outcome.ok() ? "" : OneLine(outcome.message(), kMaxTrouble);
  return std::exchange(entry.attempts, outcome.ok() ? 0 : entry.attempts + 1);
}

template <typename Map, typename Key>
auto* FindIn(Map& map, const Key& key) {
  const auto it = map.find(key);
  return it == map.end() ? nullptr : &it->second;
}

template <typename Map, typename IdType>
Result<IdType> Resolve(const Map& map, const std::string& id, const char* what) {
  if (map.contains(IdType(id))) return IdType(id);
  if (id.empty()) return InvalidArgument(std::string(what) + " id is empty");
  const IdType* found = nullptr;
  for (auto it = map.lower_bound(IdType(id)); it != map.end() && it->first.str().starts_with(id);
       ++it) {
    if (it->second.slice == nullptr) continue;
    if (found != nullptr)
      return InvalidArgument(std::string(what) + " id \"" + id +
                             "\" is ambiguous: give more digits");
    found = &it->first;
  }
  if (found == nullptr)
    return NotFound(std::string("no ") + what + " \"" + id.substr(0, 100) + "\"");
  return *found;
}

// "busybox" -> "docker.io/library/busybox:latest" and the like; the site may have another default
// registry, so the part without it is compared too.
struct ImageName {
  std::string full;
  std::string rest;  // without registry; empty when one was given
};

ImageName NormaliseName(const std::string& name) {
  ImageName normal;
  std::string with_tag = name;
  const size_t slash = name.rfind('/');
  const size_t colon = name.find(':', slash == std::string::npos ? 0 : slash);
  if (colon == std::string::npos && name.find('@') == std::string::npos) with_tag += ":latest";
  const std::string first = name.substr(0, name.find('/'));
  const bool has_registry =
      name.find('/') != std::string::npos &&
      (first.find_first_of(".:") != std::string::npos || first == "localhost");
  normal.full = with_tag;
  if (!has_registry) normal.rest = with_tag;
  return normal;
}

bool Means(const ImageName& name, const std::string& reference) {
  if (reference == name.full) return true;
  if (name.rest.empty()) return false;
  return reference.ends_with("/" + name.rest) &&
         (reference.find('/') + 1 + name.rest.size() == reference.size() ||
          reference.ends_with("/library/" + name.rest));
}

// Without tag and digest.
std::string RepositoryOf(const std::string& name) {
  const std::string tagged = name.substr(0, name.find('@'));
  const size_t slash = tagged.rfind('/');
  return tagged.substr(0, tagged.find(':', slash == std::string::npos ? 0 : slash));
}

}  // namespace

int NoteTry(const Status& outcome, Sandbox& sandbox) { return NoteTryOf(outcome, sandbox); }
int NoteTry(const Status& outcome, Container& container) { return NoteTryOf(outcome, container); }

PodName NameOf(const runtime::v1::PodSandboxMetadata& metadata) {
  return {metadata.namespace_(), metadata.name(), metadata.uid(), metadata.attempt()};
}

ContainerName NameOf(const SandboxId& sandbox, const runtime::v1::ContainerMetadata& metadata) {
  return {sandbox, metadata.name(), metadata.attempt()};
}

Slice MakeSlice(const google::protobuf::Message& message) {
  const size_t size = message.ByteSizeLong();
  std::string bytes;
  bytes.reserve(size + 6);
  bytes += '\x0a';  // field 1, length-delimited
  uint64_t length = size;
  while (length >= 0x80) {
    bytes += static_cast<char>(length | 0x80U);
    length >>= 7U;
  }
  bytes += static_cast<char>(length);
  message.AppendToString(&bytes);
  return std::make_shared<const std::string>(std::move(bytes));
}

Sandbox* Tables::Find(const SandboxId& id) { return FindIn(sandboxes, id); }
Container* Tables::Find(const ContainerId& id) { return FindIn(containers, id); }
const Sandbox* Tables::Find(const SandboxId& id) const { return FindIn(sandboxes, id); }
const Container* Tables::Find(const ContainerId& id) const { return FindIn(containers, id); }

Result<SandboxId> Tables::ResolveSandbox(const std::string& id) const {
  return Resolve<decltype(sandboxes), SandboxId>(sandboxes, id, "sandbox");
}
Result<ContainerId> Tables::ResolveContainer(const std::string& id) const {
  return Resolve<decltype(containers), ContainerId>(containers, id, "container");
}

Sandbox& Tables::Add(interlink::v1::StoredNodeSandbox stored) {
  const SandboxId id(stored.id());
  interlink::v1::RunSandboxRequest request;
  // An entry without a body (a denied id) has no name.
  if (!stored.body().empty() && request.ParseFromString(stored.body())) {
    pod_names[NameOf(request.config().metadata())] = id;
  }
  // What only the site reads stays in the body: 10,000 records have to fit into 200 MB.
  request.mutable_config()->clear_labels();
  request.mutable_config()->clear_annotations();
  Sandbox& sandbox = sandboxes[id];
  sandbox.stored = std::move(stored);
  // A copy: a cleared field keeps its memory.
  sandbox.request = std::make_shared<const interlink::v1::RunSandboxRequest>(request);
  Refresh(sandbox);
  return sandbox;
}

Container& Tables::Add(interlink::v1::StoredNodeContainer stored) {
  const ContainerId id(stored.id());
  const SandboxId sandbox_id(stored.sandbox_id());
  interlink::v1::CreateContainerRequest request;
  if (!stored.body().empty() && request.ParseFromString(stored.body())) {
    container_names[NameOf(sandbox_id, request.config().metadata())] = id;
  }
  request.mutable_config()->clear_command();
  request.mutable_config()->clear_args();
  request.mutable_config()->clear_envs();
  Container& container = containers[id];
  container.stored = std::move(stored);
  container.request = std::make_shared<const interlink::v1::CreateContainerRequest>(request);
  if (Sandbox* sandbox = Find(sandbox_id)) sandbox->containers.insert(id);
  Refresh(container);
  return container;
}

void Tables::Erase(const SandboxId& id) {
  const Sandbox* sandbox = Find(id);
  if (sandbox == nullptr) return;
  const auto name = pod_names.find(NameOf(sandbox->request->config().metadata()));
  if (name != pod_names.end() && name->second == id) pod_names.erase(name);
  sandboxes.erase(id);
}

void Tables::Erase(const ContainerId& id) {
  const Container* container = Find(id);
  if (container == nullptr) return;
  const auto name =
      container_names.find(NameOf(container->sandbox(), container->request->config().metadata()));
  if (name != container_names.end() && name->second == id) container_names.erase(name);
  if (Sandbox* sandbox = Find(container->sandbox())) sandbox->containers.erase(id);
  containers.erase(id);
}

bool Tables::AllExited(const Sandbox& sandbox) const {
  for (const ContainerId& id : sandbox.containers) {
    const Container* container = Find(id);
    if (container != nullptr && container->shown &&
        *container->shown != runtime::v1::CONTAINER_EXITED)
      return false;
  }
  return true;
}

bool Tables::Refresh(Sandbox& sandbox) {
  const auto before = sandbox.shown;
  // Never back: NOTREADY stays NOTREADY.
  if (before != runtime::v1::SANDBOX_NOTREADY ||
      sandbox.stored.fact().seen() == interlink::v1::SEEN_GONE || sandbox.stored.abandoned()) {
    sandbox.shown = Shown(sandbox.stored, AllExited(sandbox));
  }
  sandbox.slice = sandbox.shown ? MakeSlice(ListItem(sandbox)) : nullptr;
  return before != sandbox.shown;
}

bool Tables::Refresh(Container& container) {
  const auto before = container.shown;
  container.shown = Shown(container.stored);
  container.slice = container.shown ? MakeSlice(ListItem(container)) : nullptr;
  return before != container.shown;
}

Result<const interlink::v1::ImageRecord*> Tables::FindImage(const std::string& name) const {
  if (name.empty()) return NotFound("no image is named");
  const ImageName normal = NormaliseName(name);
  const interlink::v1::ImageRecord* by_prefix = nullptr;
  bool ambiguous = false;
  const std::string hex = name.starts_with("sha256:") ? name.substr(7) : name;
  const bool is_hex =
      hex.size() >= 4 && hex.find_first_not_of("0123456789abcdef") == std::string::npos;
  for (const auto& [id, record] : images) {
    if (id == name || id == "sha256:" + name) return &record;
    for (const auto& tag : record.image().repo_tags()) {
      if (Means(normal, tag)) return &record;
    }
    for (const auto& digest : record.image().repo_digests()) {
      if (Means(normal, digest)) return &record;
    }
    if (is_hex && id.starts_with("sha256:" + hex)) {
      ambiguous = by_prefix != nullptr;
      by_prefix = &record;
    }
  }
  // name:tag@digest: the digest decides.
  if (const size_t at = name.find('@'); at != std::string::npos) {
    const size_t colon = name.rfind(':', at);
    if (colon != std::string::npos &&
        colon > (name.rfind('/', at) == std::string::npos ? 0 : name.rfind('/', at))) {
      return FindImage(name.substr(0, colon) + name.substr(at));
    }
  }
  if (ambiguous) return InvalidArgument("image id \"" + name + "\" is ambiguous: give more digits");
  if (by_prefix == nullptr)
    return NotFound("no image \"" + name.substr(0, 300) + "\": pull it first");
  return by_prefix;
}

std::string ImageRefFor(const runtime::v1::Image& image, const runtime::v1::ImageSpec& spec) {
  for (const std::string& name : {spec.user_specified_image(), spec.image()}) {
    for (const std::string& digest : image.repo_digests()) {
      const std::string wanted =
          RepositoryOf(name) + digest.substr(std::min(digest.find('@'), digest.size()));
      if (!name.empty() && Means(NormaliseName(wanted), digest)) return digest;
    }
  }
  return image.repo_digests_size() > 0 ? image.repo_digests(0) : image.id();
}

void Tables::PutImage(const interlink::v1::ImageRecord& record, bool pinned) {
  const std::string& id = record.image().id();
  if (record.gone()) {
    images.erase(id);
    image_slices.erase(id);
    return;
  }
  interlink::v1::ImageRecord& kept = images[id];
  kept = record;
  if (pinned) kept.mutable_image()->set_pinned(true);
  image_slices[id] = MakeSlice(kept.image());
}

}  // namespace interlink::node
