// Internal: the routes. Each function starts its use case and completes `answer` later, from any
// thread; the streams are coroutines of the connection.
#ifndef INTERLINK_REST_ROUTES_H_
#define INTERLINK_REST_ROUTES_H_

#include "net/http_server.h"
#include "rest/exchange.h"

namespace interlink::rest {

using RouteFunction = void (*)(const ExchangePtr& exchange, Answer answer);
using StreamFunction = net::Awaitable<void> (*)(ExchangePtr exchange,
                                                std::shared_ptr<net::Signal> signal,
                                                net::Responder& responder);

// null: the route is in the table of REST v1 but not built in this version.
RouteFunction FunctionOf(wire::Route route);
// Of a stream; null: it is none.
StreamFunction StreamOf(wire::Route route);

// health.cc
void Healthz(const ExchangePtr& exchange, Answer answer);
void Readyz(const ExchangePtr& exchange, Answer answer);
void Ping(const ExchangePtr& exchange, Answer answer);
void Metrics(const ExchangePtr& exchange, Answer answer);

// link.cc
void Link(const ExchangePtr& exchange, Answer answer);
void Info(const ExchangePtr& exchange, Answer answer);
void ShowStatus(const ExchangePtr& exchange, Answer answer);
void Stats(const ExchangePtr& exchange, Answer answer);
void PodMetrics(const ExchangePtr& exchange, Answer answer);

// sandboxes.cc
void RunSandbox(const ExchangePtr& exchange, Answer answer);
void StopSandbox(const ExchangePtr& exchange, Answer answer);
void RemoveSandbox(const ExchangePtr& exchange, Answer answer);
void UpdateSandbox(const ExchangePtr& exchange, Answer answer);
void GetSandbox(const ExchangePtr& exchange, Answer answer);
void ListSandboxes(const ExchangePtr& exchange, Answer answer);

// containers.cc
void CreateContainer(const ExchangePtr& exchange, Answer answer);
void StartContainer(const ExchangePtr& exchange, Answer answer);
void StopContainer(const ExchangePtr& exchange, Answer answer);
void RemoveContainer(const ExchangePtr& exchange, Answer answer);
void UpdateContainer(const ExchangePtr& exchange, Answer answer);
void GetContainer(const ExchangePtr& exchange, Answer answer);
void ExecSync(const ExchangePtr& exchange, Answer answer);

// images.cc
void PullImage(const ExchangePtr& exchange, Answer answer);
void CancelPull(const ExchangePtr& exchange, Answer answer);
void ListImages(const ExchangePtr& exchange, Answer answer);
void RemoveImage(const ExchangePtr& exchange, Answer answer);
void ImageFilesystems(const ExchangePtr& exchange, Answer answer);

// volumes.cc
void PutVolume(const ExchangePtr& exchange, Answer answer);
void RefreshVolumes(const ExchangePtr& exchange, Answer answer);

// control.cc: of the control socket
void ListNodes(const ExchangePtr& exchange, Answer answer);
void Takeover(const ExchangePtr& exchange, Answer answer);
void DropNode(const ExchangePtr& exchange, Answer answer);
void ForgetDead(const ExchangePtr& exchange, Answer answer);
void Reload(const ExchangePtr& exchange, Answer answer);

// events.cc, logs.cc, exec.cc, attach.cc, port_forward.cc. `signal` is set when the edge stops.
net::Awaitable<void> ServeEvents(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                                 net::Responder& responder);
net::Awaitable<void> ServeLogs(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                               net::Responder& responder);
net::Awaitable<void> ServeExec(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                               net::Responder& responder);
net::Awaitable<void> ServeAttach(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                                 net::Responder& responder);
net::Awaitable<void> ServePortForward(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                                      net::Responder& responder);

}  // namespace interlink::rest

#endif  // INTERLINK_REST_ROUTES_H_
