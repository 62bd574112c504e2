// A SPDY client on a blocking socket that sends exactly what a test says, and the server's end of
// its connection.
#ifndef INTERLINK_TEST_UNIT_STREAMING_SPDY_CLIENT_H_
#define INTERLINK_TEST_UNIT_STREAMING_SPDY_CLIENT_H_

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "net/connection.h"
#include "streaming/spdy_frames.h"

namespace interlink::test {

using streaming::SpdyFrame;
using streaming::SpdyHeaders;

class SpdyClient {
 public:
  explicit SpdyClient(UniqueFd fd) : fd_(std::move(fd)) {}

  // False: the server has closed.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  // How much the kernel took without waiting.
  size_t TrySend(std::string_view bytes) {
    const ssize_t n = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return n > 0 ? static_cast<size_t>(n) : 0;
  }
  uint32_t Open(const SpdyHeaders& headers, bool fin = false) {
    const uint32_t id = next_id_;
    next_id_ += 2;
    Send(encoder.SynStream(id, headers, fin).value());
    return id;
  }
  uint32_t OpenType(const std::string& type) { return Open({{"streamtype", type}}); }
  void Data(uint32_t stream, std::string_view bytes, bool fin = false) {
    std::string frame;
    streaming::AppendSpdyData(frame, stream, bytes, fin);
    Send(frame);
  }
  void Close() { fd_ = UniqueFd(); }

  // Reads until the condition holds; false: the server closed, or 30 s went by.
  bool Until(const std::function<bool()>& condition) {
    while (!condition()) {
      if (!ReadSome()) return condition();
    }
    return true;
  }
  bool UntilReplied(uint32_t stream) {
    return Until([&] { return replied.contains(stream); });
  }
  bool UntilFin(uint32_t stream) {
    return Until([&] { return fins.contains(stream); });
  }
  bool UntilReset(uint32_t stream) {
    return Until([&] { return resets.contains(stream); });
  }
  // All that comes until the server closes.
  void ReadToEnd() {
    while (ReadSome()) {
    }
  }
  // Whether there are bytes, or an end, to read now.
  bool Readable() {
    pollfd waiting{fd_.get(), POLLIN, 0};
    return poll(&waiting, 1, 0) == 1;
  }
  bool ReadSome() {
    pollfd waiting{fd_.get(), POLLIN, 0};
    if (poll(&waiting, 1, 30'000) != 1) {
      timed_out = true;
      return false;
    }
    const ssize_t n = recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (n <= 0) {
      closed = true;
      return false;
    }
    std::string_view bytes(buffer_.data(), static_cast<size_t>(n));
    while (true) {
      auto frame = decoder.Next(bytes);
      REQUIRE(frame.ok());
      if (!frame->has_value()) return true;
      Note(**frame);
    }
  }

  streaming::SpdyEncoder encoder;
  streaming::SpdyDecoder decoder;
  std::set<uint32_t> replied;
  std::map<uint32_t, std::string> data;
  size_t received = 0;  // bytes of data
  std::set<uint32_t> fins;
  std::map<uint32_t, uint32_t> resets;
  std::vector<uint32_t> pings;
  std::vector<std::string> order;  // "data 5", "fin 5", "reset 5", "reply 5", "goaway"
  int goaway = -1;
  bool closed = false;
  bool timed_out = false;
  bool keep_data = true;

 private:
  void Note(const SpdyFrame& frame) {
    const std::string id = std::to_string(frame.stream);
    const auto note = [this](const std::string& what) {
      if (order.empty() || order.back() != what) order.push_back(what);
    };
    switch (frame.kind) {
      case SpdyFrame::Kind::kSynReply:
        note("reply " + id);
        replied.insert(frame.stream);
        break;
      case SpdyFrame::Kind::kData:
        if (!frame.data.empty()) note("data " + id);
        if (keep_data) data[frame.stream] += frame.data;
        received += frame.data.size();
        if (frame.fin) note("fin " + id);
        if (frame.fin) fins.insert(frame.stream);
        break;
      case SpdyFrame::Kind::kReset:
        note("reset " + id);
        resets[frame.stream] = frame.number;
        break;
      case SpdyFrame::Kind::kPing:
        pings.push_back(frame.number);
        break;
      case SpdyFrame::Kind::kGoAway:
        note("goaway");
        goaway = static_cast<int>(frame.number);
        break;
      default:
        FAIL("a server does not send this frame");
    }
  }

  UniqueFd fd_;
  uint32_t next_id_ = 1;
  std::string buffer_ = std::string(size_t{256} << 10U, '\0');
};

template <typename T>
net::Awaitable<void> Bring(net::Awaitable<T> coroutine, std::shared_ptr<std::promise<T>> to) {
  T value = co_await std::move(coroutine);
  to->set_value(std::move(value));
}

// A client and the server's end, joined by a socket pair.
struct SpdyPair {
  SpdyPair() : client(Join()) {}
  ~SpdyPair() {
    client.Close();
    connection->Cancel();
    connection.reset();
    io.Stop();
  }

  // Runs it on the connection's strand.
  template <typename T>
  std::future<T> Start(net::Awaitable<T> coroutine) {
    auto promise = std::make_shared<std::promise<T>>();  // owners: this and the coroutine
    auto future = promise->get_future();
    net::Io::Spawn(connection->executor(), Bring(std::move(coroutine), promise));
    return future;
  }
  // All that is ready on the strand has run when it returns.
  void Barrier() { Start(Nothing()).get(); }
  static net::Awaitable<bool> Nothing() { co_return true; }

  net::Io io;
  std::shared_ptr<net::Connection> connection;
  SpdyClient client;

 private:
  UniqueFd Join() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    auto adopted = net::AdoptUnix(io, ends[0]);
    REQUIRE(adopted.ok());
    connection = *adopted;
    return UniqueFd(ends[1]);
  }
};

// The value, or a failed test after 30 s.
template <typename T>
T Get(std::future<T>& future) {
  REQUIRE(future.wait_for(std::chrono::seconds(30)) == std::future_status::ready);
  return future.get();
}

}  // namespace interlink::test

#endif  // INTERLINK_TEST_UNIT_STREAMING_SPDY_CLIENT_H_
