#include <boost/asio/post.hpp>

#include "base/metric_names.h"
#include "net/io.h"
#include "net/reply_wait.h"
#include "streaming/run.h"

namespace interlink::streaming {
namespace {

using node::SessionInput;
using node::SessionOutput;

// A session and a transport that were told to end do so at once.
constexpr auto kEnding = std::chrono::seconds(10);

}  // namespace

void RunPorts::CountBytes(const char* direction, size_t bytes) {
  metrics.Count(kMetricStreamBytes, {{"direction", direction}}, static_cast<double>(bytes));
}

CommandRun::CommandRun(std::shared_ptr<RunPorts> ports, std::shared_ptr<net::Connection> connection,
                       std::shared_ptr<CommandTransport> transport, node::StreamRequest request)
    : ports_(std::move(ports)),
      connection_(std::move(connection)),
      transport_(std::move(transport)),
      request_(std::move(request)),
      strand_(connection_->executor()),
      opening_(Call::WithTimeout(ports_->limits.open)),
      watch_(std::make_shared<Watch>(connection_, ports_->limits)),
      reader_over_(std::make_shared<net::Signal>(strand_)) {}

void CommandRun::End(Status why) {
  boost::asio::post(strand_,
                    [self = shared_from_this(), why = std::move(why)] { self->EndNow(why); });
}

void CommandRun::EndSession() {
  opening_.Cancel();
  if (session_ != nullptr) session_->Cancel();
}

void CommandRun::EndNow(const Status& why) {
  if (!ended_.ok() || !gone_.ok()) return;
  ended_ = why;
  EndSession();
  // The client may not read what it is told.
  auto timer = std::make_shared<boost::asio::steady_timer>(strand_, ports_->limits.farewell);
  timer->async_wait([timer, transport = transport_](const boost::system::error_code& error) {
    if (!error) transport->Cancel();
  });
}

void CommandRun::ClientGone(const Status& why) {
  if (finishing_ || !gone_.ok()) return;
  gone_ = why;
  EndSession();
  transport_->Cancel();
}

net::Awaitable<Status> CommandRun::Open() {
  const auto start = [this](node::Reply<node::SessionPtr> reply) {
    ports_->sessions.Open(opening_, request_, std::move(reply));
  };
  auto opened = co_await net::WaitFor<Result<node::SessionPtr>>(strand_, start);
  if (!opened.ok()) co_return opened.status();
  session_ = *std::move(opened);
  if (!ended_.ok() || !gone_.ok()) session_->Cancel();
  co_return Status::Ok();
}

net::Awaitable<CommandEnd> CommandRun::Deliver() {
  CommandEnd end;
  while (true) {
    const auto start = [this](node::Reply<SessionOutput> reply) {
      session_->Read(std::move(reply));
    };
    const auto output = co_await net::WaitFor<Result<SessionOutput>>(strand_, start);
    watch_->Progress();
    if (!output.ok()) {
      // A lost session is an error, whatever came before: never exit code 0.
      end.error = output.status();
      co_return end;
    }
    if (output->kind == SessionOutput::Kind::kExit) {
      end.exit_code = output->exit_code;
      co_return end;
    }
    // A channel's end is told with the command's: the transport ends all of them together.
    if (output->kind == SessionOutput::Kind::kEnd) continue;
    const Status written = co_await transport_->Write(output->channel, output->bytes);
    if (!written.ok()) {
      ClientGone(written);
      end.error = written;
      co_return end;
    }
    ports_->CountBytes("out", output->bytes.size());
    watch_->Progress();
  }
}

net::Awaitable<Status> CommandRun::WriteSession(SessionInput input) {
  const node::SessionPtr session = session_;
  if (session == nullptr) co_return CancelledError("the session is over");
  auto shared = std::make_shared<SessionInput>(std::move(input));
  const auto start = [session, shared](std::function<void(Status)> done) {
    session->Write(std::move(*shared), std::move(done));
  };
  co_return co_await net::WaitFor<Status>(strand_, start);
}

// False: the session takes no more.
net::Awaitable<bool> CommandRun::HandOn(SessionInput input) {
  // An attached container's stdin is not closed by a client that never had it.
  if (input.kind == SessionInput::Kind::kEnd && !request_.in) co_return true;
  const size_t size = input.bytes.size();
  if (size <= node::kMaxSessionMessage) {
    const Status written = co_await WriteSession(std::move(input));
    if (written.ok()) ports_->CountBytes("in", size);
    co_return written.ok();
  }
  for (size_t at = 0; at < size; at += node::kMaxSessionMessage) {
    SessionInput piece;
    piece.bytes = input.bytes.substr(at, node::kMaxSessionMessage);
    const size_t piece_size = piece.bytes.size();
    const Status written = co_await WriteSession(std::move(piece));
    if (!written.ok()) co_return false;
    ports_->CountBytes("in", piece_size);
    watch_->Progress();
  }
  co_return true;
}

net::Awaitable<void> CommandRun::ReadClient(Self self) {
  bool open = true;
  while (true) {
    auto input = co_await self->transport_->Read();
    if (!input.ok()) {
      self->ClientGone(input.status());
      break;
    }
    self->watch_->Progress();
    // What is sent after the session's end is dropped, so that the client gets to read.
    if (open) open = co_await self->HandOn(*std::move(input));
  }
  self->reading_ = false;
  self->reader_over_->Set();
}

net::Awaitable<Status> CommandRun::Serve() {
  watch_->Start([weak = weak_from_this()](Status why) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    if (self->finishing_) return self->transport_->Cancel();
    if (why.code() == Code::kDeadlineExceeded) return self->EndNow(why);
    self->ClientGone(why);
  });
  CommandEnd end;
  end.error = co_await Open();
  if (end.error.ok()) {
    reading_ = true;
    net::Io::Spawn(strand_, ReadClient(shared_from_this()));
    end = co_await Deliver();
  }
  // The site is done with, however long the client takes to read and to close.
  EndSession();
  session_.reset();
  Status result = end.error;
  // It was we who ended the session: that is the reason, not what became of the session.
  if (!ended_.ok() && !result.ok()) result = end.error = ended_;
  if (gone_.ok()) {
    finishing_ = true;
    const Status told = co_await transport_->Finish(end);
    if (result.ok()) result = told;
  } else {
    result = gone_;
  }
  watch_->Stop();
  transport_->Cancel();
  const SteadyTime limit = std::chrono::steady_clock::now() + kEnding;
  while (reading_ && std::chrono::steady_clock::now() < limit) co_await reader_over_->Wait(limit);
  co_return result;
}

}  // namespace interlink::streaming
