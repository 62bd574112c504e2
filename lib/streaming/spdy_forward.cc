#include "streaming/spdy_forward.h"

#include <atomic>
#include <boost/asio/post.hpp>
#include <charconv>
#include <map>
#include <utility>

#include "streaming/waits.h"

namespace interlink::streaming {
namespace {

constexpr size_t kReadMax = size_t{64} << 10U;
constexpr size_t kMaxText = size_t{8} << 10U;

std::optional<uint16_t> ParsePort(const std::string& text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// The two streams of one forwarded connection.
struct Pair {
  uint16_t port = 0;
  SpdyStreamPtr error;
  SpdyStreamPtr data;
  SteadyTime complete_by;  // of an incomplete one

  // REQUIRES: on the strand.
  void End(const Status& why) const {
    if (error != nullptr) {
      if (!why.ok()) error->WriteLast(why.message().substr(0, kMaxText));
      error->Abandon();
    }
    if (data == nullptr) return;
    if (why.ok()) {
      data->Abandon();
    } else {
      data->Reset(SpdyReset::kInternal);
    }
  }
};

class SpdyForwardStream final : public ForwardStream {
 public:
  SpdyForwardStream(Pair pair, boost::asio::any_io_executor strand)
      : pair_(std::move(pair)), strand_(std::move(strand)) {}
  ~SpdyForwardStream() override { Cancel(); }

  uint16_t port() const override { return pair_.port; }
  net::Awaitable<Result<std::string>> Read() override { return pair_.data->Read(kReadMax); }
  net::Awaitable<Status> Write(std::string_view bytes) override { return pair_.data->Write(bytes); }
  net::Awaitable<Status> CloseWrite() override {
    pair_.data->Finish();
    co_return Status::Ok();
  }
  net::Awaitable<void> Finish(const Status& why) override {
    finished_ = true;
    pair_.End(why);
    co_return;
  }
  void Cancel() override {
    // Finish has ended what waits, and what was written before it still goes out.
    if (finished_) return;
    boost::asio::post(strand_, [pair = pair_] {
      pair.error->Reset(SpdyReset::kCancel);
      pair.data->Reset(SpdyReset::kCancel);
    });
  }

 private:
  const Pair pair_;
  const boost::asio::any_io_executor strand_;
  std::atomic<bool> finished_ = false;
};

class SpdyForward final : public ForwardTransport,
                          public SpdyStreams,
                          public std::enable_shared_from_this<SpdyForward> {
 public:
  explicit SpdyForward(std::shared_ptr<SpdyConnection> connection)
      : connection_(std::move(connection)), changed_(connection_->NewSignal()) {}
  ~SpdyForward() override { connection_->Cancel(); }

  std::optional<SpdyReset> Opened(const SpdyStreamPtr& stream) override;
  bool MayReset(const SpdyStream& stream) override;
  void NoMoreStreams() override { changed_->Set(); }

  net::Awaitable<Result<std::optional<std::shared_ptr<ForwardStream>>>> Accept() override;
  void Cancel() override { connection_->Cancel(); }

 private:
  // Refuses the incomplete pairs whose time is over; answers when the next one's is.
  SteadyTime Expire();
  void ForgetEnded();

  const std::shared_ptr<SpdyConnection> connection_;  // owners: this and its loops
  const std::shared_ptr<net::Signal> changed_;
  std::map<std::string, Pair> incomplete_;  // by request id
  std::deque<Pair> complete_;               // nobody has accepted them yet
  std::map<uint32_t, Pair> accepted_;       // by data stream; until that is over
};

std::optional<SpdyReset> SpdyForward::Opened(const SpdyStreamPtr& stream) {
  const std::string type = stream->Header("streamtype");
  const auto port = ParsePort(stream->Header("port"));
  const bool is_error = type == "error";
  if ((!is_error && type != "data") || !port) return SpdyReset::kProtocolError;
  std::string request = stream->Header("requestid");
  if (request.empty()) request = "stream " + std::to_string(stream->id() - (is_error ? 0 : 2));
  auto it = incomplete_.find(request);
  if (it == incomplete_.end()) {
    ForgetEnded();
    const size_t open = incomplete_.size() + complete_.size() + accepted_.size();
    if (open >= connection_->options().max_forwards) return SpdyReset::kRefused;
    it = incomplete_.emplace(request, Pair()).first;
    it->second.port = *port;
    it->second.complete_by = Now() + connection_->options().complete;
  }
  Pair& pair = it->second;
  SpdyStreamPtr& place = is_error ? pair.error : pair.data;
  if (place != nullptr || pair.port != *port) return SpdyReset::kProtocolError;
  place = stream;
  if (pair.error != nullptr && pair.data != nullptr) {
    complete_.push_back(std::move(pair));
    incomplete_.erase(it);
  }
  changed_->Set();
  return std::nullopt;
}

bool SpdyForward::MayReset(const SpdyStream& stream) {
  ForgetEnded();
  // The only connection of its client holds up nobody.
  if (incomplete_.size() + complete_.size() + accepted_.size() < 2) return false;
  for (const auto& [id, pair] : accepted_) {
    // A text would make kubectl give up the others too.
    if (pair.data->id() == stream.id()) pair.error->Abandon();
  }
  return true;
}

void SpdyForward::ForgetEnded() {
  std::erase_if(accepted_, [](const auto& entry) { return entry.second.data->Over(); });
}

SteadyTime SpdyForward::Expire() {
  SteadyTime next = SteadyTime::max();
  for (auto it = incomplete_.begin(); it != incomplete_.end();) {
    const Pair& pair = it->second;
    if (Now() < pair.complete_by) {
      next = std::min(next, pair.complete_by);
      ++it;
      continue;
    }
    const char* const missing = pair.error == nullptr ? "error" : "data";
    pair.End(DeadlineExceeded("port " + std::to_string(pair.port) +
                              ": the client did not open the " + missing +
                              " stream of this connection in time"));
    it = incomplete_.erase(it);
  }
  return next;
}

net::Awaitable<Result<std::optional<std::shared_ptr<ForwardStream>>>> SpdyForward::Accept() {
  while (true) {
    if (!complete_.empty()) {
      Pair pair = std::move(complete_.front());
      complete_.pop_front();
      accepted_[pair.data->id()] = pair;
      co_return std::optional<std::shared_ptr<ForwardStream>>(
          std::make_shared<SpdyForwardStream>(std::move(pair), connection_->executor()));
    }
    const bool ended = !connection_->ended().ok();
    if (connection_->gone_away() && (ended || !connection_->HasStreams()))
      co_return std::optional<std::shared_ptr<ForwardStream>>();
    if (ended) co_return connection_->ended();
    const SteadyTime next = std::min(Expire(), In(kUntilWoken));
    co_await changed_->Wait(next);
  }
}

}  // namespace

std::shared_ptr<ForwardTransport> StartSpdyForward(std::shared_ptr<net::Connection> connection,
                                                   std::string early, SpdyOptions options) {
  auto spdy =
      std::make_shared<SpdyConnection>(std::move(connection), std::move(early), std::move(options));
  auto forward = std::make_shared<SpdyForward>(spdy);
  spdy->Start(forward);
  return forward;
}

}  // namespace interlink::streaming
