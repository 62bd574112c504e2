// The node's records in memory, with their names and pre-serialised list items. Not thread-safe:
// LiveNode's mutex guards them.
#ifndef INTERLINK_NODE_RECORDS_H_
#define INTERLINK_NODE_RECORDS_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "base/clock.h"
#include "base/id.h"
#include "base/status.h"
#include "interlink/v1/node_store.pb.h"
#include "node/log_files.h"
#include "node/reply.h"
#include "node/volume_refresh.h"

namespace interlink::node {

struct Sandbox {
  interlink::v1::StoredNodeSandbox stored;
  // The parsed body without labels and annotations: those are `stored`'s.
  std::shared_ptr<const interlink::v1::RunSandboxRequest> request;
  std::set<ContainerId> containers;
  std::optional<runtime::v1::PodSandboxState> shown;
  Slice slice;                                       // null: not listed
  std::optional<runtime::v1::PodSandboxState> told;  // what the events have said of it
  // Not persisted.
  uint64_t asked_link = 0;  // link in which the site has taken the creation
  int attempts = 0;
  std::string trouble;   // why the site did not take the last request; empty: it did
  bool missing = false;  // the site's complete list lacks it
  // The end that was asked for last: what, in which link, when.
  interlink::v1::Wanted end_asked = interlink::v1::WANTED_UNSPECIFIED;
  uint64_t end_asked_link = 0;
  SteadyTime end_asked_at;
  int uncommitted = 0;  // changes that are not durable yet: nothing leaves, nothing is shown
  bool drive_deferred = false;  // Drive came while something was not durable
  SteadyTime drive_at;          // when its next Drive is due; zero: none
  // An unfinished creation that nobody waits for is undone: seconds of listening since it was last
  // asked for.
  double unasked_seconds = 0;
  bool cancelled = false;
  bool of_kubelet = false;  // kubelet had a folder of its pod when a call's time was over
  bool pod_gone = false;    // and has taken it away since

  SandboxId id() const { return SandboxId(stored.id()); }
};

struct Container {
  interlink::v1::StoredNodeContainer stored;
  // The parsed body without command, arguments and environment.
  std::shared_ptr<const interlink::v1::CreateContainerRequest> request;
  std::optional<runtime::v1::ContainerState> shown;
  Slice slice;
  std::optional<runtime::v1::ContainerState> told;
  uint64_t asked_link = 0;
  uint64_t started_link = 0;
  int attempts = 0;
  std::string trouble;
  bool missing = false;
  uint64_t end_asked_link = 0;
  SteadyTime stop_asked_at;
  int64_t stop_asked_grace = -1;
  int uncommitted = 0;
  double unasked_seconds = 0;
  bool cancelled = false;
  VolumeRefresh volumes;
  // Log.
  bool log_open = false;
  LogPosition log;
  std::optional<uint64_t> log_end;  // told by the stream's end mark
  int log_tries = 0;                // subscriptions that the site refused, one after the other
  bool log_retry = false;           // the next one is due
  bool exit_look = false;           // ShowExit comes again by itself
  bool exit_telling = false;        // its exit is on the way to `exit_shown`
  SteadyTime exit_seen_at;
  SteadyTime log_progress_at;

  ContainerId id() const { return ContainerId(stored.id()); }
  SandboxId sandbox() const { return SandboxId(stored.sandbox_id()); }
};

using PodName =
    std::tuple<std::string, std::string, std::string, uint32_t>;  // namespace, name, uid, attempt
using ContainerName = std::tuple<SandboxId, std::string, uint32_t>;  // sandbox, name, attempt

// Notes what came of a request for it. Returns how many before it had failed, one after the other.
int NoteTry(const Status& outcome, Sandbox& sandbox);
int NoteTry(const Status& outcome, Container& container);

PodName NameOf(const runtime::v1::PodSandboxMetadata& metadata);
ContainerName NameOf(const SandboxId& sandbox, const runtime::v1::ContainerMetadata& metadata);

struct Tables {
  std::map<SandboxId, Sandbox> sandboxes;
  std::map<ContainerId, Container> containers;
  std::map<PodName, SandboxId> pod_names;
  std::map<ContainerName, ContainerId> container_names;
  std::map<std::string, interlink::v1::ImageRecord> images;  // by id
  std::map<std::string, Slice> image_slices;

  Sandbox* Find(const SandboxId& id);
  Container* Find(const ContainerId& id);
  const Sandbox* Find(const SandboxId& id) const;
  const Container* Find(const ContainerId& id) const;
  // A full id or a unique prefix of a listed one. kNotFound; kInvalidArgument when several match.
  Result<SandboxId> ResolveSandbox(const std::string& id) const;
  Result<ContainerId> ResolveContainer(const std::string& id) const;

  // REQUIRES: body parses.
  Sandbox& Add(interlink::v1::StoredNodeSandbox stored);
  Container& Add(interlink::v1::StoredNodeContainer stored);
  void Erase(const SandboxId& id);
  void Erase(const ContainerId& id);

  // Brings `shown` and `slice` up to date. True: what kubelet sees has changed.
  bool Refresh(Sandbox& sandbox);
  bool Refresh(Container& container);
  bool AllExited(const Sandbox& sandbox) const;

  // The image that a name, name@digest, id or unique id prefix means.
  Result<const interlink::v1::ImageRecord*> FindImage(const std::string& name) const;
  void PutImage(const interlink::v1::ImageRecord& image, bool pinned);
};

// What a container's image_ref says: the image's digest in the repository that `spec` names (as the
// user wrote it, else as it was asked for), the first one when it names none of them, the id when
// the image has no digest.
std::string ImageRefFor(const runtime::v1::Image& image, const runtime::v1::ImageSpec& spec);

// `message` as an element of a response's repeated field 1.
Slice MakeSlice(const google::protobuf::Message& message);

}  // namespace interlink::node

#endif  // INTERLINK_NODE_RECORDS_H_
