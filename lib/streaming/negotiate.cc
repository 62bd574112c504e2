#include "streaming/negotiate.h"

#include <algorithm>
#include <vector>

#include "net/websocket.h"
#include "streaming/websocket_forward.h"

namespace interlink::streaming {
namespace {

using Kind = node::StreamRequest::Kind;
using net::HttpRequest;
using net::HttpResponse;

constexpr std::string_view kSpdy = "SPDY/3.1";
constexpr const char* kVersions = "X-Stream-Protocol-Version";
constexpr const char* kAccepted = "X-Accepted-Stream-Protocol-Versions";

// Newest first; the place tells the version.
constexpr std::string_view kSpdyCommand[] = {"v4.channel.k8s.io", "v3.channel.k8s.io",
                                             "v2.channel.k8s.io", "channel.k8s.io"};
constexpr std::string_view kSpdyForward[] = {"portforward.k8s.io"};

std::span<const std::string_view> SpdyProtocols(Kind kind) {
  if (kind == Kind::kPortForward) return kSpdyForward;
  return kSpdyCommand;
}

template <typename List>
std::string Joined(const List& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text.empty() ? "none" : text;
}

bool Has(const HttpRequest& request, const char* field, std::string_view token) {
  const auto items = request.headers.List(field);
  return std::any_of(items.begin(), items.end(),
                     [token](const std::string& item) { return net::EqualNoCase(item, token); });
}

std::variant<Upgrade, HttpResponse> NegotiateSpdy(const HttpRequest& http, Kind kind) {
  const std::vector<std::string> offered = http.headers.List(kVersions);
  if (offered.empty())
    return TextAnswer(400, std::string("the header ") + kVersions + " is needed");
  const auto known = SpdyProtocols(kind);
  for (const std::string& protocol : offered) {
    const auto it = std::find(known.begin(), known.end(), protocol);
    if (it == known.end()) continue;
    Upgrade upgrade;
    upgrade.kind = Upgrade::Kind::kSpdy;
    upgrade.protocol = protocol;
    upgrade.version = static_cast<int>(known.end() - it);
    upgrade.answer =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n" +
        std::string(kVersions) + ": " + protocol + "\r\n\r\n";
    return upgrade;
  }
  HttpResponse refusal = TextAnswer(403, "the client offers the protocols " + Joined(offered) +
                                             ", this server has " + Joined(known));
  for (const std::string_view protocol : known)
    refusal.headers.Add(kAccepted, std::string(protocol));
  return refusal;
}

// The first one offered that we have; nothing offered is "".
std::variant<Upgrade, HttpResponse> ChooseChannels(const HttpRequest& http, Kind kind) {
  const bool forward = kind == Kind::kPortForward;
  const auto known = forward ? ForwardProtocols() : CommandProtocols();
  std::vector<std::string> offered = net::WebSocket::Protocols(http);
  if (offered.empty()) offered.emplace_back();
  for (const std::string& protocol : offered) {
    Upgrade upgrade;
    upgrade.protocol = protocol;
    if (forward && protocol == kTunnelProtocol) {
      upgrade.kind = Upgrade::Kind::kTunnel;
      return upgrade;
    }
    const auto it = std::find_if(known.begin(), known.end(),
                                 [&protocol](const auto& entry) { return entry.name == protocol; });
    if (it == known.end()) continue;
    upgrade.kind = Upgrade::Kind::kChannels;
    upgrade.channels = *it;
    return upgrade;
  }
  std::vector<std::string_view> ours;
  if (forward) ours.push_back(kTunnelProtocol);
  for (const ChannelProtocol& entry : known) {
    if (!entry.name.empty()) ours.push_back(entry.name);
  }
  return TextAnswer(403, "the client offers the WebSocket protocols " + Joined(offered) +
                             ", this server has " + Joined(ours));
}

std::variant<Upgrade, HttpResponse> NegotiateWebSocket(const HttpRequest& http,
                                                       const node::StreamRequest& request) {
  auto chosen = ChooseChannels(http, request.kind);
  auto* upgrade = std::get_if<Upgrade>(&chosen);
  if (upgrade == nullptr) return chosen;
  auto answer = net::WebSocket::Accept(http, upgrade->protocol);
  if (!answer.ok()) return TextAnswer(400, answer.status().message());
  const auto& ports = request.ports;
  if (request.kind == Kind::kPortForward && upgrade->kind == Upgrade::Kind::kChannels &&
      (ports.empty() || ports.size() > WebSocketForward::kMaxPorts ||
       std::find(ports.begin(), ports.end(), 0) != ports.end())) {
    return TextAnswer(400,
                      "over this protocol the ports must be named when the address is asked "
                      "for: 1 to " +
                          std::to_string(WebSocketForward::kMaxPorts) + " of them, none 0");
  }
  upgrade->answer = *std::move(answer);
  return chosen;
}

}  // namespace

HttpResponse TextAnswer(int status, const std::string& text) {
  HttpResponse response;
  response.status = status;
  response.headers.Add("Content-Type", "text/plain; charset=utf-8");
  response.body = text + "\n";
  return response;
}

std::variant<Upgrade, HttpResponse> Negotiate(const HttpRequest& http,
                                              const node::StreamRequest& request) {
  if (net::WebSocket::IsUpgrade(http)) return NegotiateWebSocket(http, request);
  if (Has(http, "Upgrade", kSpdy) && Has(http, "Connection", "upgrade"))
    return NegotiateSpdy(http, request.kind);
  return TextAnswer(400,
                    "this address takes an upgrade to SPDY/3.1 or WebSocket only: \"Connection: "
                    "Upgrade\" and \"Upgrade: ...\" are needed");
}

}  // namespace interlink::streaming
