#include "streaming/negotiate.h"

#include <catch2/catch.hpp>

namespace interlink::streaming {
namespace {

using Kind = node::StreamRequest::Kind;
using HeaderLines = std::vector<std::pair<std::string, std::string>>;

const HeaderLines kSpdy = {{"Connection", "Upgrade"}, {"Upgrade", "SPDY/3.1"}};
const HeaderLines kWebSocket = {{"Connection", "keep-alive, Upgrade"},
                                {"Upgrade", "websocket"},
                                {"Sec-WebSocket-Version", "13"},
                                {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};

std::variant<Upgrade, net::HttpResponse> Ask(Kind kind, HeaderLines lines,
                                             const HeaderLines& more = {},
                                             std::vector<uint16_t> ports = {}) {
  lines.insert(lines.end(), more.begin(), more.end());
  net::HttpRequest http;
  http.method = "GET";
  for (const auto& [name, value] : lines) http.headers.Add(name, value);
  node::StreamRequest request;
  request.kind = kind;
  request.ports = std::move(ports);
  return Negotiate(http, request);
}

Upgrade Accepted(const std::variant<Upgrade, net::HttpResponse>& result) {
  if (const auto* refusal = std::get_if<net::HttpResponse>(&result))
    FAIL(refusal->status << " " << refusal->body);
  return std::get<Upgrade>(result);
}
int Refused(const std::variant<Upgrade, net::HttpResponse>& result) {
  const auto* refusal = std::get_if<net::HttpResponse>(&result);
  return refusal == nullptr ? 101 : refusal->status;
}

TEST_CASE("of SPDY's protocols the first that the client names and we have is taken") {
  const char* header = "X-Stream-Protocol-Version";
  struct Row {
    HeaderLines lines;
    std::string protocol;
    int version;
  };
  const Row rows[] = {
      {{{header, "v4.channel.k8s.io"}}, "v4.channel.k8s.io", 4},
      {{{header, "v5.channel.k8s.io"}, {header, "v4.channel.k8s.io"}}, "v4.channel.k8s.io", 4},
      {{{header, "v5.channel.k8s.io , v3.channel.k8s.io,v4.channel.k8s.io"}},
       "v3.channel.k8s.io",
       3},
      {{{"x-stream-protocol-version", "v2.channel.k8s.io"}}, "v2.channel.k8s.io", 2},
      {{{header, "channel.k8s.io"}}, "channel.k8s.io", 1},
  };
  for (const Row& row : rows) {
    const Upgrade upgrade = Accepted(Ask(Kind::kExec, kSpdy, row.lines));
    CHECK(upgrade.kind == Upgrade::Kind::kSpdy);
    CHECK(upgrade.protocol == row.protocol);
    CHECK(upgrade.version == row.version);
    CHECK(upgrade.answer ==
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
          "X-Stream-Protocol-Version: " +
              row.protocol + "\r\n\r\n");
  }
}

TEST_CASE("a SPDY client without a protocol gets 400, with none of ours 403 and the list") {
  CHECK(Refused(Ask(Kind::kAttach, kSpdy)) == 400);
  CHECK(Refused(Ask(Kind::kAttach, kSpdy, {{"X-Stream-Protocol-Version", " , "}})) == 400);

  const auto result =
      Ask(Kind::kAttach, kSpdy, {{"X-Stream-Protocol-Version", "v5.channel.k8s.io"}});
  REQUIRE(Refused(result) == 403);
  const auto& refusal = std::get<net::HttpResponse>(result);
  CHECK(refusal.headers.List("X-Accepted-Stream-Protocol-Versions") ==
        std::vector<std::string>{"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io",
                                 "channel.k8s.io"});
}

TEST_CASE("port-forward has its own SPDY protocol") {
  const Upgrade upgrade = Accepted(
      Ask(Kind::kPortForward, kSpdy, {{"X-Stream-Protocol-Version", "portforward.k8s.io"}}));
  CHECK(upgrade.kind == Upgrade::Kind::kSpdy);
  CHECK(Refused(Ask(Kind::kPortForward, kSpdy,
                    {{"X-Stream-Protocol-Version", "v4.channel.k8s.io"}})) == 403);
  CHECK(Refused(Ask(Kind::kExec, kSpdy, {{"X-Stream-Protocol-Version", "portforward.k8s.io"}})) ==
        403);
}

TEST_CASE("of WebSocket's protocols the first that the client names and we have is taken") {
  const char* header = "Sec-WebSocket-Protocol";
  const auto [offer, chosen] = GENERATE(table<std::string, std::string>({
      {"v5.channel.k8s.io", "v5.channel.k8s.io"},
      {"v9.channel.k8s.io, v4.channel.k8s.io, v5.channel.k8s.io", "v4.channel.k8s.io"},
      {"v4.base64.channel.k8s.io", "v4.base64.channel.k8s.io"},
      {"channel.k8s.io", "channel.k8s.io"},
      {"base64.channel.k8s.io", "base64.channel.k8s.io"},
  }));
  const Upgrade upgrade = Accepted(Ask(Kind::kExec, kWebSocket, {{header, offer}}));
  CHECK(upgrade.kind == Upgrade::Kind::kChannels);
  CHECK(upgrade.channels.name == chosen);
  CHECK_THAT(upgrade.answer, Catch::Contains("Sec-WebSocket-Protocol: " + chosen + "\r\n"));
}

TEST_CASE("a WebSocket client may name no protocol, but not one that we have not") {
  const Upgrade upgrade = Accepted(Ask(Kind::kExec, kWebSocket));
  CHECK(upgrade.channels.name.empty());
  CHECK_FALSE(upgrade.channels.json_status);
  CHECK_THAT(upgrade.answer, !Catch::Contains("Sec-WebSocket-Protocol"));
  CHECK(Refused(Ask(Kind::kExec, kWebSocket, {{"Sec-WebSocket-Protocol", "mqtt"}})) == 403);
  CHECK(Refused(Ask(Kind::kExec, kWebSocket,
                    {{"Sec-WebSocket-Protocol", "SPDY/3.1+portforward.k8s.io"}})) == 403);
}

TEST_CASE("port-forward over WebSocket is a tunnel, or channels for ports that are known") {
  const HeaderLines tunnel = {{"Sec-WebSocket-Protocol", "SPDY/3.1+portforward.k8s.io"}};
  const HeaderLines channels = {{"Sec-WebSocket-Protocol", "v4.channel.k8s.io"}};
  CHECK(Accepted(Ask(Kind::kPortForward, kWebSocket, tunnel)).kind == Upgrade::Kind::kTunnel);
  CHECK(Accepted(Ask(Kind::kPortForward, kWebSocket, channels, {80})).kind ==
        Upgrade::Kind::kChannels);
  CHECK(Refused(Ask(Kind::kPortForward, kWebSocket, channels)) == 400);
  CHECK(Refused(Ask(Kind::kPortForward, kWebSocket, channels, {80, 0})) == 400);
  CHECK(Refused(Ask(Kind::kPortForward, kWebSocket, channels, std::vector<uint16_t>(101, 1))) ==
        400);
}

TEST_CASE("what is no upgrade, or a bad one, gets 400") {
  const HeaderLines v4 = {{"X-Stream-Protocol-Version", "v4.channel.k8s.io"}};
  CHECK(Refused(Ask(Kind::kExec, {})) == 400);
  CHECK(Refused(Ask(Kind::kExec, {}, v4)) == 400);
  CHECK(Refused(Ask(Kind::kExec, {{"Upgrade", "SPDY/3.1"}}, v4)) == 400);
  CHECK(Refused(Ask(Kind::kExec, {{"Connection", "Upgrade"}, {"Upgrade", "SPDY/3"}}, v4)) == 400);
  CHECK(Refused(Ask(Kind::kExec, {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}})) == 400);
  CHECK(Refused(Ask(Kind::kExec, kWebSocket)) == 101);
}

}  // namespace
}  // namespace interlink::streaming
