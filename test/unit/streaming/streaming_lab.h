// A streaming server on a real socket, with a site that the test plays, and a WebSocket client that
// sends exactly what a test says.
#ifndef INTERLINK_TEST_UNIT_STREAMING_STREAMING_LAB_H_
#define INTERLINK_TEST_UNIT_STREAMING_STREAMING_LAB_H_

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "net/url.h"
#include "streaming/server.h"
#include "support/eventually.h"
#include "support/manual_clock.h"
#include "support/scripted_sessions.h"
#include "unit/net/raw_peer.h"

namespace interlink::test {

// Keeps every line: message and fields.
class KeptLog final : public Log {
 public:
  bool Enabled(LogLevel) const override { return true; }
  void Write(LogLevel, std::string_view message, const std::vector<LogField>& fields) override {
    const std::scoped_lock lock(mutex_);
    text_ += std::string(message);
    for (const LogField& field : fields) text_ += " " + std::string(field.key) + "=" + field.value;
    text_ += "\n";
  }
  std::string Text() {
    const std::scoped_lock lock(mutex_);
    return text_;
  }

 private:
  std::mutex mutex_;
  std::string text_;
};

class KeptMetrics final : public Metrics {
 public:
  void Count(std::string_view name, const MetricLabels& labels, double by) override {
    const std::scoped_lock lock(mutex_);
    values_[KeyOf(name, labels)] += by;
  }
  void Gauge(std::string_view name, const MetricLabels& labels, double value) override {
    const std::scoped_lock lock(mutex_);
    values_[KeyOf(name, labels)] = value;
  }
  void Observe(std::string_view, const MetricLabels&, double) override {}
  // "name{a,b}" by the labels' values; 0 when it was never told.
  double Value(const std::string& key) {
    const std::scoped_lock lock(mutex_);
    return values_[key];
  }

 private:
  static std::string KeyOf(std::string_view name, const MetricLabels& labels) {
    std::string key;
    for (const auto& [label, value] : labels) key += (key.empty() ? "" : ",") + value;
    return std::string(name) + "{" + key + "}";
  }
  std::mutex mutex_;
  std::map<std::string, double> values_;
};

class StreamingLab {
 public:
  explicit StreamingLab(streaming::Limits limits = {}) {
    streaming::Options options;
    options.limits = limits;
    auto made = streaming::Server::Create(std::move(options), {io, log, metrics, clock});
    INFO(made.status().ToString());
    REQUIRE(made.ok());
    server = *std::move(made);
    server->Start(sessions);
  }
  ~StreamingLab() {
    server->Stop(std::chrono::seconds(20));
    io.Stop();
  }

  static node::StreamRequest Request(node::StreamRequest::Kind kind) {
    node::StreamRequest request;
    request.kind = kind;
    request.sandbox = SandboxId("sandbox");
    if (kind == node::StreamRequest::Kind::kPortForward) return request;
    request.container = ContainerId("container");
    request.cmd = {"cat"};
    request.in = request.out = request.err = true;
    return request;
  }
  static node::StreamRequest Exec() { return Request(node::StreamRequest::Kind::kExec); }

  // The path of a fresh address.
  std::string PathFor(const node::StreamRequest& request) {
    const auto address = server->AddressFor(request);
    INFO(address.status().ToString());
    REQUIRE(address.ok());
    const auto url = net::ParseUrl(*address);
    REQUIRE(url.ok());
    REQUIRE(url->port == server->port());
    return url->target;
  }

  KeptLog log;
  KeptMetrics metrics;
  ManualClock clock;
  ScriptedSessions sessions;
  net::Io io;
  std::unique_ptr<streaming::Server> server;
};

class WebSocketClient {
 public:
  struct Frame {
    uint8_t opcode = 0;
    std::string payload;
  };
  static constexpr uint8_t kText = 1;
  static constexpr uint8_t kBinary = 2;
  static constexpr uint8_t kClose = 8;
  static constexpr uint8_t kPing = 9;
  static constexpr uint8_t kPong = 10;

  // `protocols`: as in the header; "": none.
  WebSocketClient(uint16_t port, const std::string& path, const std::string& protocols)
      : peer_(port) {
    std::string request = "GET " + path +
                          " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          "Sec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    if (!protocols.empty()) request += "Sec-WebSocket-Protocol: " + protocols + "\r\n";
    peer_.Send(request + "\r\n");
    const std::string text = peer_.ReadUntil("\r\n\r\n");
    taken_ = text.find("\r\n\r\n") + 4;
    head = text.substr(0, taken_);
  }

  bool Send(uint8_t opcode, std::string_view payload) {
    return peer_.Send(FrameOf(opcode, payload));
  }
  static std::string FrameOf(uint8_t opcode, std::string_view payload) {
    std::string bytes(1, static_cast<char>(0x80U | opcode));
    if (payload.size() < 126) {
      bytes += static_cast<char>(0x80U | payload.size());
    } else {
      bytes += static_cast<char>(0x80U | 127U);
      for (int shift = 56; shift >= 0; shift -= 8)
        bytes += static_cast<char>(payload.size() >> static_cast<unsigned>(shift) & 255U);
    }
    bytes += std::string(4, '\0');  // a mask that changes nothing
    return bytes.append(payload);
  }
  // Binary, on a channel.
  bool SendTo(char channel, const std::string& bytes) {
    return Send(kBinary, std::string(1, channel) + bytes);
  }
  // The next frame; opcode 0: the server has closed.
  Frame Read() {
    if (!Need(2)) return {};
    const auto byte = [this](size_t at) { return static_cast<uint8_t>(peer_.text()[taken_ + at]); };
    Frame frame;
    frame.opcode = byte(0) & 15U;
    uint64_t size = byte(1) & 127U;
    const size_t length_bytes = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (!Need(2 + length_bytes)) return {};
    if (length_bytes > 0) size = 0;
    for (size_t i = 0; i < length_bytes; ++i) size = size << 8U | byte(2 + i);
    const size_t head_bytes = 2 + length_bytes;
    if (!Need(head_bytes + size)) return {};
    frame.payload = peer_.text().substr(taken_ + head_bytes, size);
    taken_ += head_bytes + size;
    if (taken_ > (1U << 20U)) {
      peer_.text().erase(0, taken_);
      taken_ = 0;
    }
    return frame;
  }
  // All payloads of each channel until the close frame, which is answered.
  std::map<char, std::string> ReadToClose() {
    std::map<char, std::string> channels;
    for (Frame frame = Read(); frame.opcode != 0; frame = Read()) {
      if (frame.opcode == kClose) {
        close_code = static_cast<uint16_t>(static_cast<uint8_t>(frame.payload.at(0)) << 8U |
                                           static_cast<uint8_t>(frame.payload.at(1)));
        Send(kClose, frame.payload.substr(0, 2));
        break;
      }
      if (frame.opcode == kPong) continue;
      order += frame.payload.at(0);
      channels[frame.payload.at(0)] += frame.payload.substr(1);
    }
    return channels;
  }
  bool AtEnd() { return Read().opcode == 0; }
  RawPeer& peer() { return peer_; }

  std::string head;
  std::string order;  // of channels
  int close_code = 0;

 private:
  bool Need(size_t bytes) {
    while (peer_.text().size() - taken_ < bytes) {
      if (!peer_.ReadSome()) return false;
    }
    return true;
  }

  RawPeer peer_;
  size_t taken_ = 0;
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_UNIT_STREAMING_STREAMING_LAB_H_
