#include "streaming/spdy_command.h"

#include <array>
#include <utility>

#include "streaming/command_end.h"
#include "streaming/terminal_size.h"
#include "streaming/waits.h"

namespace interlink::streaming {
namespace {

using node::SessionInput;
using node::SessionOutput;

constexpr size_t kResizeBytes = 4096;

enum Type : size_t { kError, kStdin, kStdout, kStderr, kResize, kTypes };
constexpr std::array<const char*, kTypes> kNames = {"error", "stdin", "stdout", "stderr", "resize"};

class SpdyCommand final : public CommandTransport,
                          public SpdyStreams,
                          public std::enable_shared_from_this<SpdyCommand> {
 public:
  SpdyCommand(std::shared_ptr<SpdyConnection> connection, CommandStreams wanted)
      : connection_(std::move(connection)),
        wanted_(wanted),
        changed_(connection_->NewSignal()),
        asked_{true, wanted.in, wanted.out, wanted.err && !wanted.tty,
               wanted.tty && wanted.version >= 3} {}
  ~SpdyCommand() override { connection_->Cancel(); }

  std::optional<SpdyReset> Opened(const SpdyStreamPtr& stream) override {
    const std::string name = stream->Header("streamtype");
    for (size_t type = 0; type < kTypes; ++type) {
      if (name != kNames.at(type)) continue;
      if (!asked_.at(type) || streams_.at(type) != nullptr) return SpdyReset::kRefused;
      streams_.at(type) = stream;
      stream->WakeReader(changed_);
      changed_->Set();
      return std::nullopt;
    }
    return SpdyReset::kProtocolError;
  }
  // A command that reads no stdin holds up only its own client.
  bool MayReset(const SpdyStream&) override { return false; }
  void NoMoreStreams() override { changed_->Set(); }

  net::Awaitable<Status> Complete() {
    const Duration limit = connection_->options().complete;
    const SteadyTime deadline = Now() + limit;
    while (connection_->ended().ok() && !Missing().empty() && Now() < deadline) {
      co_await changed_->Wait(deadline);
    }
    if (!connection_->ended().ok()) co_return connection_->ended();
    if (Missing().empty()) co_return Status::Ok();
    co_return DeadlineExceeded(
        "the client did not open all its streams within " +
        std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limit).count()) +
        " s; missing: " + Missing());
  }

  net::Awaitable<Result<SessionInput>> Read() override {
    while (true) {
      auto input = Next();
      if (input) co_return *std::move(input);
      co_await changed_->Wait(In(kUntilWoken));
    }
  }

  net::Awaitable<Status> Write(SessionOutput::Channel channel, std::string_view bytes) override {
    const SpdyStreamPtr stream =
        streams_.at(channel == SessionOutput::Channel::kStdout ? kStdout : kStderr);
    if (stream == nullptr) co_return connection_->ended();  // not asked for
    co_return co_await stream->Write(bytes);
  }

  net::Awaitable<Status> Finish(CommandEnd end) override {
    const std::string text = wanted_.version >= 4 ? CommandEndJson(end) : CommandEndText(end);
    finishing_ = true;
    changed_->Set();
    // Clients of v1 stop at the end of stdout and stderr and would miss what comes after it.
    if (wanted_.version == 1) Say(text);
    for (const Type type : {kStdout, kStderr}) {
      if (streams_.at(type) != nullptr) streams_.at(type)->Finish();
    }
    Status sent = co_await connection_->Flush();
    if (sent.ok()) {
      Say(text);
      sent = co_await connection_->Close();
    }
    co_return sent;
  }

  void Cancel() override { connection_->Cancel(); }

 private:
  std::string Missing() const {
    std::string missing;
    for (size_t type = 0; type < kTypes; ++type) {
      if (!asked_.at(type) || streams_.at(type) != nullptr) continue;
      missing += (missing.empty() ? "" : ", ") + std::string(kNames.at(type));
    }
    return missing;
  }

  void Say(const std::string& text) {
    if (streams_.at(kError) != nullptr) streams_.at(kError)->WriteLast(text);
  }

  // What Read answers now; nothing: it waits.
  std::optional<Result<SessionInput>> Next() {
    if (finishing_) return CancelledError("the command has ended");
    if (!connection_->ended().ok()) return connection_->ended();
    if (auto size = NextSize()) return size;
    if (in_ended_) return std::nullopt;
    SessionInput input;
    input.kind = SessionInput::Kind::kEnd;
    if (streams_.at(kStdin) == nullptr) {
      in_ended_ = true;
      return input;
    }
    auto bytes = streams_.at(kStdin)->TakeNow(node::kMaxSessionMessage);
    if (!bytes) return std::nullopt;
    if (bytes->ok() && !(*bytes)->empty()) {
      input.kind = SessionInput::Kind::kData;
      input.bytes = **std::move(bytes);
      return input;
    }
    // Reset instead of finished: nothing more comes either.
    in_ended_ = true;
    return input;
  }

  std::optional<Result<SessionInput>> NextSize() {
    const SpdyStreamPtr& stream = streams_.at(kResize);
    std::optional<SessionInput> newest;
    while (stream != nullptr) {
      const auto bytes = stream->TakeNow(kResizeBytes);
      if (!bytes || !bytes->ok() || (*bytes)->empty()) break;
      auto size = sizes_.Feed(**bytes);
      if (!size.ok()) return size.status();
      if (*size) newest = **std::move(size);
    }
    if (!newest) return std::nullopt;
    return Result<SessionInput>(*std::move(newest));
  }

  const std::shared_ptr<SpdyConnection> connection_;  // owners: this and its loops
  const CommandStreams wanted_;
  const std::shared_ptr<net::Signal> changed_;  // owners: this and its streams
  const std::array<bool, kTypes> asked_;
  std::array<SpdyStreamPtr, kTypes> streams_;  // owners: this and the connection
  TerminalSizes sizes_;
  bool in_ended_ = false;
  bool finishing_ = false;
};

}  // namespace

net::Awaitable<Result<std::shared_ptr<CommandTransport>>> AcceptSpdyCommand(
    std::shared_ptr<net::Connection> connection, std::string early, CommandStreams wanted,
    SpdyOptions options) {
  auto spdy =
      std::make_shared<SpdyConnection>(std::move(connection), std::move(early), std::move(options));
  auto command = std::make_shared<SpdyCommand>(spdy, wanted);
  spdy->Start(command);
  const Status complete = co_await command->Complete();
  if (complete.ok()) co_return std::shared_ptr<CommandTransport>(std::move(command));
  CommandEnd end;
  end.error = complete;
  // What matters is why it is incomplete, not whether the client hears it.
  spdy->EndBy(Now() + kFarewell);
  const Status told = co_await command->Finish(end);
  static_cast<void>(told);
  co_return complete;
}

}  // namespace interlink::streaming
