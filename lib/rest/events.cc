// GET /v1/events: the endless answer of changed records. One reader per node; the domain ends the
// older one.
#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "rest/routes.h"
#include "wire/headers.h"
#include "wire/media_type.h"
#include "wire/position.h"
#include "wire/stream.h"

namespace interlink::rest {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kFlush = 64U << 10U;

using Reader = Result<std::unique_ptr<site::EventReader>>;

// A resync list is made from the image store too, which may read files.
net::Awaitable<Reader> OpenReader(ExchangePtr exchange, interlink::v1::Position after,
                                  boost::asio::any_io_executor executor) {
  const auto start = [exchange, after](std::function<void(std::shared_ptr<Reader>)> callback) {
    const Status posted = exchange->state->blocking.Post(
        exchange->call.request_id().str(), [exchange, after, callback] {
          callback(std::make_shared<Reader>(exchange->site().ReadEvents(exchange->caller, after)));
        });
    if (!posted.ok()) callback(std::make_shared<Reader>(posted));
  };
  auto reader = co_await net::WaitFor<std::shared_ptr<Reader>>(executor, start);
  co_return std::move(*reader);
}

net::Awaitable<Status> WriteAll(ExchangePtr exchange,
                                const std::vector<interlink::v1::Event>& events,
                                net::Responder& responder) {
  std::string bytes;
  for (const auto& event : events) {
    CO_RETURN_IF_ERROR(wire::AppendToStream(exchange->answer_encoding, event, &bytes));
    if (bytes.size() < kFlush) continue;
    CO_RETURN_IF_ERROR(co_await responder.Write(bytes));
    bytes.clear();
  }
  co_return co_await responder.Write(bytes);
}

// Until the peer is gone, the edge stops, or the domain ends the reader; returns why.
net::Awaitable<Status> Pump(ExchangePtr exchange, site::EventReader& reader,
                            interlink::v1::Position position, std::shared_ptr<net::Signal> signal,
                            std::shared_ptr<bool> gone, net::Responder& responder) {
  const Duration heartbeat = std::min(exchange->state->options.heartbeat, kMaxHeartbeat);
  SteadyTime beat = std::chrono::steady_clock::now() + heartbeat;
  while (!*gone && !exchange->state->Stopping()) {
    auto events = reader.Next(kBatch);
    if (!events.ok()) co_return events.status();
    if (events->empty()) {
      if (std::chrono::steady_clock::now() < beat) {
        reader.OnReady([signal] { signal->Set(); });
        co_await signal->Wait(beat);
        continue;
      }
      interlink::v1::Event event;
      event.mutable_heartbeat();
      *event.mutable_position() = position;
      events->push_back(std::move(event));
    }
    position = events->back().position();
    CO_RETURN_IF_ERROR(co_await WriteAll(exchange, *events, responder));
    beat = std::chrono::steady_clock::now() + heartbeat;
  }
  co_return *gone ? CancelledError("the node has closed it")
                  : Unavailable("the site is shutting down");
}

}  // namespace

net::Awaitable<void> ServeEvents(ExchangePtr exchange, std::shared_ptr<net::Signal> signal,
                                 net::Responder& responder) {
  Log& log = exchange->state->ports.log;
  const auto after = wire::ParsePosition(exchange->QueryValue("after"));
  Reader reader = Status(Code::kInternal, "not opened");
  if (after.ok()) {
    const auto executor = co_await boost::asio::this_coro::executor;
    reader = co_await OpenReader(exchange, *after, executor);
  } else {
    reader = after.status();
  }
  if (!reader.ok()) {
    const Status sent = co_await responder.Send(ProblemAnswer(*exchange, reader.status()));
    if (!sent.ok()) log.Debug("an answer did not reach its caller", {{"reason", sent.message()}});
    co_return;
  }
  net::HttpResponse head;
  head.headers.Add("Content-Type", std::string(wire::StreamMediaType(exchange->answer_encoding)));
  head.headers.Add("Cache-Control", "no-store");
  head.headers.Add(std::string(wire::kHeaderRequestId), exchange->call.request_id().str());
  auto gone = std::make_shared<bool>(false);  // touched on the connection's strand only
  Status why = co_await responder.Begin(std::move(head));
  if (why.ok()) {
    responder.WatchPeer([gone, signal] {
      *gone = true;
      signal->Set();
    });
    why = co_await Pump(exchange, **reader, *after, signal, gone, responder);
  }
  log.Info("an event stream has ended",
           {{"node", exchange->caller.node.str()}, {"reason", why.message()}});
}

}  // namespace interlink::rest
