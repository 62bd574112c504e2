#include "rest/routes.h"

namespace interlink::rest {
namespace {

using wire::Route;

struct Entry {
  Route route;
  RouteFunction function;
};

constexpr Entry kFunctions[] = {
    {Route::kHealthz, Healthz},
    {Route::kReadyz, Readyz},
    {Route::kPing, Ping},
    {Route::kStatus, ShowStatus},
    {Route::kMetrics, Metrics},
    {Route::kLink, Link},
    {Route::kInfo, Info},
    {Route::kListSandboxes, ListSandboxes},
    {Route::kRunSandbox, RunSandbox},
    {Route::kGetSandbox, GetSandbox},
    {Route::kRemoveSandbox, RemoveSandbox},
    {Route::kStopSandbox, StopSandbox},
    {Route::kUpdateSandbox, UpdateSandbox},
    {Route::kCreateContainer, CreateContainer},
    {Route::kGetContainer, GetContainer},
    {Route::kRemoveContainer, RemoveContainer},
    {Route::kStartContainer, StartContainer},
    {Route::kStopContainer, StopContainer},
    {Route::kUpdateContainer, UpdateContainer},
    {Route::kExecSync, ExecSync},
    {Route::kPullImage, PullImage},
    {Route::kListImages, ListImages},
    {Route::kRemoveImage, RemoveImage},
    {Route::kCancelPull, CancelPull},
    {Route::kImageFilesystems, ImageFilesystems},
    {Route::kPutVolume, PutVolume},
    {Route::kRefreshVolumes, RefreshVolumes},
    {Route::kStats, Stats},
    {Route::kPodMetrics, PodMetrics},
    {Route::kListNodes, ListNodes},
    {Route::kTakeover, Takeover},
    {Route::kDropNode, DropNode},
    {Route::kForgetDead, ForgetDead},
    {Route::kReload, Reload},
};

struct Stream {
  Route route;
  StreamFunction function;
};

constexpr Stream kStreams[] = {
    {Route::kEvents, ServeEvents},
    {Route::kLogs, ServeLogs},
    {Route::kExec, ServeExec},
    {Route::kAttach, ServeAttach},
    {Route::kPortForward, ServePortForward},
};

}  // namespace

StreamFunction StreamOf(Route route) {
  for (const Stream& stream : kStreams) {
    if (stream.route == route) return stream.function;
  }
  return nullptr;
}

RouteFunction FunctionOf(Route route) {
  for (const Entry& entry : kFunctions) {
    if (entry.route == route) return entry.function;
  }
  return nullptr;
}

}  // namespace interlink::rest
