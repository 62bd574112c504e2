#include "wire/routes.h"

#include <algorithm>
#include <cassert>

namespace interlink::wire {
namespace {

using enum Access;
using enum Kind;
using enum Listener;

// clang-format off
constexpr RouteEntry kRoutes[] = {
    {Route::kHealthz, "Healthz", "GET", "/healthz", "", kOpen, kAnswer, kSite},
    {Route::kReadyz, "Readyz", "GET", "/readyz", "", kOpen, kAnswer, kSite},
    {Route::kPing, "Ping", "GET", "/pinglink", "", kOpen, kAnswer, kSite},
    {Route::kStatus, "Status", "GET", "/status", "", kCaller, kAnswer, kSite},
    {Route::kMetrics, "Metrics", "GET", "/metrics", "", kOperator, kAnswer, kSite},

    {Route::kLink, "Link", "POST", "/v1/link", "", kCaller, kAnswer, kSite},
    {Route::kInfo, "Info", "GET", "/v1/info", "", kCaller, kAnswer, kSite},

    {Route::kListSandboxes, "ListSandboxes", "GET", "/v1/sandboxes", "", kCaller, kAnswer, kSite},
    {Route::kRunSandbox, "RunSandbox", "PUT", "/v1/sandboxes/{id}", "", kCaller, kChange, kSite},
    {Route::kGetSandbox, "GetSandbox", "GET", "/v1/sandboxes/{id}", "verbose", kCaller, kAnswer, kSite},
    {Route::kRemoveSandbox, "RemoveSandbox", "DELETE", "/v1/sandboxes/{id}", "handler", kCaller, kChange, kSite},
    {Route::kStopSandbox, "StopSandbox", "POST", "/v1/sandboxes/{id}/stop", "", kCaller, kChange, kSite},
    {Route::kUpdateSandbox, "UpdateSandbox", "POST", "/v1/sandboxes/{id}/update", "", kCaller, kChange, kSite},
    {Route::kPortForward, "PortForward", "GET", "/v1/sandboxes/{id}/port-forward", "", kCaller, kWebSocket, kSite},

    {Route::kCreateContainer, "CreateContainer", "PUT", "/v1/sandboxes/{id}/containers/{cid}", "", kCaller, kChange, kSite},
    {Route::kGetContainer, "GetContainer", "GET", "/v1/sandboxes/{id}/containers/{cid}", "verbose", kCaller, kAnswer, kSite},
    {Route::kRemoveContainer, "RemoveContainer", "DELETE", "/v1/sandboxes/{id}/containers/{cid}", "handler", kCaller, kChange, kSite},
    {Route::kStartContainer, "StartContainer", "POST", "/v1/sandboxes/{id}/containers/{cid}/start", "", kCaller, kChange, kSite},
    {Route::kStopContainer, "StopContainer", "POST", "/v1/sandboxes/{id}/containers/{cid}/stop", "", kCaller, kChange, kSite},
    {Route::kUpdateContainer, "UpdateContainer", "POST", "/v1/sandboxes/{id}/containers/{cid}/update", "", kCaller, kChange, kSite},
    {Route::kRefreshVolumes, "RefreshVolumes", "PUT", "/v1/sandboxes/{id}/containers/{cid}/volumes", "", kCaller, kChange, kSite},
    {Route::kExecSync, "ExecSync", "POST", "/v1/sandboxes/{id}/containers/{cid}/exec-sync", "", kCaller, kChange, kSite},
    {Route::kExec, "Exec", "GET", "/v1/sandboxes/{id}/containers/{cid}/exec", "", kCaller, kWebSocket, kSite},
    {Route::kAttach, "Attach", "GET", "/v1/sandboxes/{id}/containers/{cid}/attach", "", kCaller, kWebSocket, kSite},

    {Route::kEvents, "Events", "GET", "/v1/events", "after", kCaller, kStream, kSite},
    {Route::kLogs, "Logs", "GET", "/v1/logs", "", kCaller, kWebSocket, kSite},
    {Route::kPutVolume, "PutVolume", "PUT", "/v1/volumes/{digest}", "", kCaller, kChange, kSite},

    {Route::kPullImage, "PullImage", "PUT", "/v1/images", "", kCaller, kChange, kSite},
    {Route::kListImages, "ListImages", "GET", "/v1/images", "image", kCaller, kAnswer, kSite},
    {Route::kRemoveImage, "RemoveImage", "DELETE", "/v1/images", "image", kCaller, kChange, kSite},
    {Route::kCancelPull, "CancelPull", "DELETE", "/v1/pulls/{pull}", "", kCaller, kChange, kSite},
    {Route::kImageFilesystems, "ImageFilesystems", "GET", "/v1/image-filesystems", "", kCaller, kAnswer, kSite},

    {Route::kStats, "Stats", "GET", "/v1/stats", "", kCaller, kAnswer, kSite},
    {Route::kPodMetrics, "PodMetrics", "GET", "/v1/pod-metrics", "", kCaller, kAnswer, kSite},

    {Route::kListNodes, "ListNodes", "GET", "/control/v1/nodes", "", kLocal, kAnswer, kControl},
    {Route::kTakeover, "Takeover", "POST", "/control/v1/nodes/{node}/takeover", "", kLocal, kAnswer, kControl},
    {Route::kDropNode, "DropNode", "DELETE", "/control/v1/nodes/{node}", "", kLocal, kAnswer, kControl},
    {Route::kForgetDead, "ForgetDead", "POST", "/control/v1/dead/{any}", "", kLocal, kAnswer, kControl},
    {Route::kReload, "Reload", "POST", "/control/v1/reload", "", kLocal, kAnswer, kControl},
};
// clang-format on

constexpr size_t kMaxTarget = 8192;

bool IsUnreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The first segment of `path`, which begins with '/'; removes it and the slash.
std::string_view TakeSegment(std::string_view* path) {
  path->remove_prefix(1);
  const size_t end = std::min(path->find('/'), path->size());
  const std::string_view segment = path->substr(0, end);
  path->remove_prefix(end);
  return segment;
}

bool IsParameter(std::string_view segment) { return segment.starts_with('{'); }

// The fixed segments are equal, and every parameter has a segment.
bool Matches(std::string_view path_template, std::string_view path) {
  if (!path.starts_with('/')) return false;
  while (!path_template.empty() && !path.empty()) {
    const std::string_view wanted = TakeSegment(&path_template);
    const std::string_view given = TakeSegment(&path);
    if (IsParameter(wanted) ? given.empty() : wanted != given) return false;
  }
  return path_template.empty() && path.empty();
}

Status BadId(std::string_view name) {
  return InvalidArgument("\"" + std::string(name) +
                         "\" in the path must be 64 lower-case hexadecimal digits");
}

bool IsDigest(std::string_view text) {
  static constexpr std::string_view kPrefix = "sha256:";
  return text.starts_with(kPrefix) && IsFullId(text.substr(kPrefix.size()));
}

Status ReadNode(std::string_view text, std::string* node) {
  ASSIGN_OR_RETURN(*node, PercentDecode(text));
  const bool control = std::any_of(node->begin(), node->end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  if (node->empty() || node->size() > 256 || control)
    return InvalidArgument("\"node\" in the path must have 1 to 256 printable characters");
  return {};
}

Status ReadParameter(std::string_view name, std::string_view text, PathParameters* path) {
  if (name == "{node}") return ReadNode(text, &path->node);
  if (name == "{digest}") {
    if (!IsDigest(text))
      return InvalidArgument("\"digest\" in the path must be sha256: and 64 hexadecimal digits");
    path->digest = text;
    return {};
  }
  if (!IsFullId(text)) return BadId(name.substr(1, name.size() - 2));
  if (name == "{id}") path->sandbox = SandboxId(text);
  if (name == "{cid}") path->container = ContainerId(text);
  if (name == "{pull}") path->pull = text;
  if (name == "{any}") path->any_id = text;
  return {};
}

Status ReadPath(std::string_view path_template, std::string_view path, PathParameters* out) {
  while (!path_template.empty()) {
    const std::string_view name = TakeSegment(&path_template);
    const std::string_view text = TakeSegment(&path);
    if (IsParameter(name)) RETURN_IF_ERROR(ReadParameter(name, text, out));
  }
  return {};
}

// `word` is one of the words of `list`, which are separated by spaces.
bool HasWord(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(' '), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

Status ReadQuery(const RouteEntry& entry, std::string_view text, Query* query) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    ASSIGN_OR_RETURN(std::string key, PercentDecode(pair.substr(0, equals)));
    ASSIGN_OR_RETURN(std::string value,
                     PercentDecode(pair.substr(std::min(equals + 1, pair.size()))));
    if (!HasWord(entry.query, key))
      return InvalidArgument("unknown query parameter \"" + key + "\"" +
                             (entry.query.empty()
                                  ? ": this route takes none"
                                  : ": this route takes \"" + std::string(entry.query) + "\""));
    if (!query->emplace(std::move(key), std::move(value)).second)
      return InvalidArgument("a query parameter is given twice");
  }
  return {};
}

Routing Refused(int http_status, Status why) {
  Routing routing;
  routing.http_status = http_status;
  routing.why = std::move(why);
  return routing;
}

}  // namespace

std::span<const RouteEntry> Routes() { return kRoutes; }

const RouteEntry& EntryOf(Route route) {
  const auto* entry = std::find_if(std::begin(kRoutes), std::end(kRoutes),
                                   [route](const RouteEntry& e) { return e.route == route; });
  assert(entry != std::end(kRoutes));
  return *entry;
}

Routing MatchRoute(Listener listener, std::string_view method, std::string_view target) {
  if (target.size() > kMaxTarget)
    return Refused(414, InvalidArgument("the request target has more than " +
                                        std::to_string(kMaxTarget) + " bytes"));
  const size_t mark = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, mark);
  Routing routing;
  for (const RouteEntry& entry : kRoutes) {
    if (entry.listener != listener || !Matches(entry.path, path)) continue;
    if (entry.method != method) {
      routing.allow += (routing.allow.empty() ? "" : ", ") + std::string(entry.method);
      continue;
    }
    Status status = ReadPath(entry.path, path, &routing.path);
    if (status.ok())
      status = ReadQuery(entry, target.substr(std::min(mark + 1, target.size())), &routing.query);
    if (!status.ok()) return Refused(400, std::move(status));
    routing.entry = &entry;
    routing.allow.clear();
    return routing;
  }
  if (routing.allow.empty())
    return Refused(404, NotFound("no route has this path; REST v1 begins with /v1/"));
  Routing refused =
      Refused(405, Unimplemented("this path does not take the method, it takes " + routing.allow));
  refused.allow = std::move(routing.allow);
  return refused;
}

Target MakeTarget(Route route, const PathParameters& path, const Query& query) {
  const RouteEntry& entry = EntryOf(route);
  Target target{.method = entry.method, .target = ""};
  std::string_view rest = entry.path;
  while (!rest.empty()) {
    const std::string_view segment = TakeSegment(&rest);
    target.target += '/';
    if (segment == "{id}") {
      target.target += path.sandbox.str();
    } else if (segment == "{cid}") {
      target.target += path.container.str();
    } else if (segment == "{digest}") {
      target.target += path.digest;
    } else if (segment == "{pull}") {
      target.target += path.pull;
    } else if (segment == "{any}") {
      target.target += path.any_id;
    } else if (segment == "{node}") {
      target.target += PercentEncode(path.node);
    } else {
      target.target += segment;
    }
  }
  char separator = '?';
  for (const auto& [key, value] : query) {
    assert(HasWord(entry.query, key));
    target.target += separator + PercentEncode(key) + "=" + PercentEncode(value);
    separator = '&';
  }
  return target;
}

std::string PercentEncode(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (IsUnreserved(c)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4U];
      out += kHex[byte & 0x0FU];
    }
  }
  return out;
}

Result<std::string> PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = text.size() - i > 2 ? HexDigit(text[i + 1]) : -1;
    const int low = text.size() - i > 2 ? HexDigit(text[i + 2]) : -1;
    if (high < 0 || low < 0)
      return InvalidArgument("a percent escape in the request target is malformed");
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Result<bool> QueryFlag(const Query& query, std::string_view key) {
  const auto it = query.find(key);
  if (it == query.end() || it->second == "false") return false;
  if (it->second.empty() || it->second == "true") return true;
  return InvalidArgument("query parameter \"" + std::string(key) + "\" must be true or false");
}

}  // namespace interlink::wire
