#include <boost/asio/post.hpp>

#include "net/io.h"
#include "streaming/run.h"

namespace interlink::streaming {
namespace {

using node::SessionInput;
using node::SessionOutput;

// A session and a transport that were told to end do so at once.
constexpr auto kStreamsEnd = std::chrono::seconds(10);

}  // namespace

// One connection that is forwarded. Owners: the run and its two coroutines.
struct ForwardRun::Forward {
  Forward(std::shared_ptr<ForwardStream> s, Slots::Slot taken, const Limits& limits,
          const boost::asio::any_io_executor& strand)
      : stream(std::move(s)),
        slot(std::move(taken)),
        opening(Call::WithTimeout(limits.open)),
        reader_over(std::make_shared<net::Signal>(strand)) {}

  // The session's end ends both directions.
  void End() const {
    opening.Cancel();
    if (session != nullptr) session->Cancel();
  }

  const std::shared_ptr<ForwardStream> stream;
  const Slots::Slot slot;
  const Call opening;
  const std::shared_ptr<net::Signal> reader_over;
  node::SessionPtr session;
  bool reading = false;  // ReadClient is at work
  bool gone = false;     // the client has given the stream up: there is nobody to tell
};

ForwardRun::ForwardRun(std::shared_ptr<RunPorts> ports, std::shared_ptr<net::Connection> connection,
                       std::shared_ptr<ForwardTransport> transport, SandboxId sandbox)
    : ports_(std::move(ports)),
      connection_(std::move(connection)),
      transport_(std::move(transport)),
      sandbox_(std::move(sandbox)),
      strand_(connection_->executor()),
      watch_(std::make_shared<Watch>(connection_, ports_->limits)),
      stream_over_(std::make_shared<net::Signal>(strand_)) {}

void ForwardRun::End(Status why) {
  boost::asio::post(strand_,
                    [self = shared_from_this(), why = std::move(why)] { self->EndNow(why); });
}

void ForwardRun::EndNow(const Status& why) {
  if (!ended_.ok()) return;
  ended_ = why;
  if (forwards_.empty()) return transport_->Cancel();
  EndStreams();
  // Each of them is told why, if the client reads it.
  auto timer = std::make_shared<boost::asio::steady_timer>(strand_, ports_->limits.farewell);
  timer->async_wait([timer, transport = transport_](const boost::system::error_code& error) {
    if (!error) transport->Cancel();
  });
}

void ForwardRun::EndStreams() {
  for (const ForwardPtr& forward : forwards_) forward->End();
}

net::Awaitable<Status> ForwardRun::Dial(ForwardPtr forward) {
  const auto start = [this, &forward](node::Reply<node::SessionPtr> reply) {
    ports_->sessions.Dial(forward->opening, sandbox_, forward->stream->port(), std::move(reply));
  };
  auto dialled = co_await net::WaitFor<Result<node::SessionPtr>>(strand_, start);
  if (!dialled.ok()) co_return dialled.status();
  forward->session = *std::move(dialled);
  if (!ended_.ok() || forward->gone) forward->session->Cancel();
  co_return Status::Ok();
}

net::Awaitable<Status> ForwardRun::Deliver(ForwardPtr forward) {
  while (true) {
    const auto start = [&forward](node::Reply<SessionOutput> reply) {
      forward->session->Read(std::move(reply));
    };
    const auto output = co_await net::WaitFor<Result<SessionOutput>>(strand_, start);
    watch_->Progress();
    if (!output.ok()) co_return output.status();
    Status written;
    if (output->kind == SessionOutput::Kind::kData) {
      written = co_await forward->stream->Write(output->bytes);
    } else {
      written = co_await forward->stream->CloseWrite();
    }
    if (!written.ok()) {
      forward->gone = true;
      co_return written;
    }
    if (output->kind != SessionOutput::Kind::kData) co_return Status::Ok();
    ports_->CountBytes("out", output->bytes.size());
    watch_->Progress();
  }
}

// Not OK: the session takes no more. Empty: the client has finished.
net::Awaitable<Status> ForwardRun::HandOn(ForwardPtr forward, std::string bytes) {
  size_t at = 0;
  do {
    auto input = std::make_shared<SessionInput>();
    input->kind = bytes.empty() ? SessionInput::Kind::kEnd : SessionInput::Kind::kData;
    const size_t size = std::min(bytes.size() - at, node::kMaxSessionMessage);
    input->bytes = size == bytes.size() ? std::move(bytes) : bytes.substr(at, size);
    const node::SessionPtr session = forward->session;
    if (session == nullptr) co_return CancelledError("the session is over");
    const auto start = [session, input](std::function<void(Status)> done) {
      session->Write(std::move(*input), std::move(done));
    };
    CO_RETURN_IF_ERROR(co_await net::WaitFor<Status>(strand_, start));
    ports_->CountBytes("in", size);
    watch_->Progress();
    at += size;
  } while (at < bytes.size());
  co_return Status::Ok();
}

net::Awaitable<void> ForwardRun::ReadClient(Self self, ForwardPtr forward) {
  while (true) {
    auto bytes = co_await forward->stream->Read();
    if (!bytes.ok()) {
      forward->gone = true;
      forward->End();
      break;
    }
    const bool finished = bytes->empty();
    const Status taken = co_await self->HandOn(forward, *std::move(bytes));
    // Not OK: Deliver learns why.
    if (finished || !taken.ok()) break;
  }
  forward->reading = false;
  forward->reader_over->Set();
}

// OK: both sides have finished.
net::Awaitable<Status> ForwardRun::Carry(ForwardPtr forward) {
  CO_RETURN_IF_ERROR(co_await Dial(forward));
  forward->reading = true;
  net::Io::Spawn(strand_, ReadClient(shared_from_this(), forward));
  CO_RETURN_IF_ERROR(co_await Deliver(forward));
  // The client may have more to send: as long as the watch lets it.
  while (forward->reading)
    co_await forward->reader_over->Wait(std::chrono::steady_clock::now() + std::chrono::hours(1));
  co_return Status::Ok();
}

net::Awaitable<void> ForwardRun::ServeStream(Self self, ForwardPtr forward) {
  Status why = co_await self->Carry(forward);
  if (forward->gone) {
    why = Status::Ok();
  } else if (!why.ok() && !self->ended_.ok()) {
    why = self->ended_;
  }
  // The pod is done with, however long the client takes to read.
  forward->End();
  forward->session.reset();
  co_await forward->stream->Finish(why);
  forward->stream->Cancel();
  const SteadyTime limit = std::chrono::steady_clock::now() + kStreamsEnd;
  while (forward->reading && std::chrono::steady_clock::now() < limit)
    co_await forward->reader_over->Wait(limit);
  self->forwards_.erase(forward);
  self->stream_over_->Set();
}

net::Awaitable<void> ForwardRun::Refuse(Self self, std::shared_ptr<ForwardStream> stream) {
  const Status why = ResourceExhausted(std::to_string(self->ports_->slots.limit()) +
                                       " sessions are open, which is CRI.StreamSessions");
  co_await stream->Finish(why);
  stream->Cancel();
}

void ForwardRun::Take(std::shared_ptr<ForwardStream> stream) {
  auto slot = ports_->slots.Take();
  if (!slot) return net::Io::Spawn(strand_, Refuse(shared_from_this(), std::move(stream)));
  auto forward =
      std::make_shared<Forward>(std::move(stream), std::move(slot), ports_->limits, strand_);
  forwards_.insert(forward);
  net::Io::Spawn(strand_, ServeStream(shared_from_this(), std::move(forward)));
}

net::Awaitable<Status> ForwardRun::Serve() {
  watch_->Start([weak = weak_from_this()](Status why) {
    if (const auto self = weak.lock()) self->EndNow(why);
  });
  Status result;
  while (true) {
    auto accepted = co_await transport_->Accept();
    if (!accepted.ok()) result = accepted.status();
    if (!accepted.ok() || !accepted->has_value()) break;
    watch_->Progress();
    Take(**std::move(accepted));
  }
  if (!ended_.ok()) result = ended_;
  transport_->Cancel();
  EndStreams();
  const SteadyTime limit = std::chrono::steady_clock::now() + kStreamsEnd;
  while (!forwards_.empty() && std::chrono::steady_clock::now() < limit)
    co_await stream_over_->Wait(limit);
  watch_->Stop();
  co_return result;
}

}  // namespace interlink::streaming
