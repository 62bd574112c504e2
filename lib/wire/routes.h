// The routes of interlink-api: one table for the server's matcher and the client's requests.
// Immutable, thread-safe.
//
//   server:  Routing r = MatchRoute(Listener::kSite, "GET", "/v1/sandboxes/ab...?verbose=true");
//   client:  Target t = MakeTarget(Route::kStopSandbox, {.sandbox = id});   // {"POST",
//   "/v1/sandboxes/ab.../stop"}
#ifndef INTERLINK_WIRE_ROUTES_H_
#define INTERLINK_WIRE_ROUTES_H_

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/status.h"

namespace interlink::wire {

enum class Route {
  kHealthz,
  kReadyz,
  kPing,
  kStatus,
  kMetrics,
  kLink,
  kInfo,
  kListSandboxes,
  kRunSandbox,
  kGetSandbox,
  kRemoveSandbox,
  kStopSandbox,
  kUpdateSandbox,
  kPortForward,
  kCreateContainer,
  kGetContainer,
  kRemoveContainer,
  kStartContainer,
  kStopContainer,
  kUpdateContainer,
  kRefreshVolumes,
  kExecSync,
  kExec,
  kAttach,
  kEvents,
  kLogs,
  kPutVolume,
  kPullImage,
  kListImages,
  kRemoveImage,
  kCancelPull,
  kImageFilesystems,
  kStats,
  kPodMetrics,
  // Of the local control socket (Listener::kControl): `interlink-api node list|takeover|drop`,
  // `forget --dead`, `reload`.
  kListNodes,
  kTakeover,
  kDropNode,
  kForgetDead,
  kReload,
};

// Who may call.
enum class Access {
  kOpen,      // anybody; reveals nothing
  kCaller,    // a verified identity
  kOperator,  // a verified identity, or a loopback listener without one
  kLocal,     // the peer of the control socket
};

enum class Kind {
  kAnswer,  // one request, one answer
  kChange,  // the same; changes the site's state, so it carries Interlink-Link
  kStream,  // an endless answer (stream.h)
  kWebSocket,
};

// Which socket a request came in on; each route belongs to one.
enum class Listener { kSite, kControl };

struct RouteEntry {
  Route route;
  std::string_view name;  // for logs and metrics, e.g. "StopSandbox"
  std::string_view method;
  std::string_view path;   // "/v1/sandboxes/{id}/stop"
  std::string_view query;  // allowed query keys, separated by spaces
  Access access;
  Kind kind;
  Listener listener;
};

std::span<const RouteEntry> Routes();
const RouteEntry& EntryOf(Route route);

struct PathParameters {
  SandboxId sandbox;      // {id}
  ContainerId container;  // {cid}
  std::string digest;     // {digest}: "sha256:" and 64 hex digits
  std::string pull;       // {pull}: 64 hex digits
  std::string node;       // {node}: percent-decoded, no control characters
  std::string any_id;     // {any}: of a sandbox or a container
};

using Query = std::map<std::string, std::string, std::less<>>;

struct Routing {
  const RouteEntry* entry = nullptr;  // nullptr: refused, see below
  PathParameters path;
  Query query;  // percent-decoded

  // When refused: 404 unknown path, 405 known path with another method, 400 malformed id or query.
  int http_status = 0;
  Status why;
  std::string allow;  // 405: value of the Allow header
};

// `target` is the request target in origin form. Paths are compared byte by byte: no normalisation,
// no decoding of fixed segments, no trailing slash. {id}, {cid}, {pull} are exactly 64 lower-case
// hex digits. A query key that the route does not have, or that comes twice, is refused by name.
// REQUIRES nothing of the input.
Routing MatchRoute(Listener listener, std::string_view method, std::string_view target);

struct Target {
  std::string_view method;
  std::string target;
};

// REQUIRES: the parameters that the route's path names are set; query keys are the route's.
Target MakeTarget(Route route, const PathParameters& path = {}, const Query& query = {});

// "name:tag@sha256:..." -> percent-encoded for one path segment or query value (RFC 3986 unreserved
// stay).
std::string PercentEncode(std::string_view text);
// kInvalidArgument for a malformed escape. '+' stays '+'.
Result<std::string> PercentDecode(std::string_view text);

// A key that is absent or "false" is false; "true" or no value is true; others are
// kInvalidArgument.
Result<bool> QueryFlag(const Query& query, std::string_view key);

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_ROUTES_H_
