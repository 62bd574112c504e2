#include "images/net_transport.h"

#include <utility>

#include "net/http_client.h"
#include "net/io.h"
#include "net/tls.h"

namespace interlink::images {
namespace {

constexpr auto kConnectTimeout = std::chrono::seconds(15);
constexpr auto kIdle = std::chrono::seconds(60);
constexpr int kIoThreads = 4;  // one layer each

std::string HostHeader(const net::Url& url) {
  std::string host = url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
  // Signed URLs are signed for the host as it was written.
  return url.has_port ? host + ":" + std::to_string(url.port) : host;
}

TransportHead HeadOf(const net::HttpResponse& response) {
  TransportHead head;
  head.status = response.status;
  head.body = response.body;
  for (const auto& [name, value] : response.headers.items()) {
    std::string key = name;
    for (char& c : key) c = (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
    head.headers.emplace(std::move(key), value);
  }
  return head;
}

class NetTransport final : public RegistryTransport {
 public:
  explicit NetTransport(std::shared_ptr<const net::TlsContext> tls)
      : tls_(std::move(tls)), io_(kIoThreads) {}

  Status Fetch(const Call& call, const TransportRequest& request,
               const std::function<Status(const TransportHead&)>& on_head,
               const std::function<Status(std::string_view)>& on_bytes) override {
    RETURN_IF_ERROR(call.Check("asking the registry"));
    net::HttpClientOptions options;
    options.endpoint.host = request.url.host;
    options.endpoint.port = request.url.port;
    if (request.url.scheme == "https") options.endpoint.tls = tls_;
    options.host_header = HostHeader(request.url);
    options.connect_timeout = kConnectTimeout;
    net::HttpClient client(io_, options);
    net::HttpRequest message;
    message.method = request.method;
    message.target = request.url.target;
    message.body = request.body;
    message.headers.Add("User-Agent", "interlink-api");
    for (const auto& [name, value] : request.headers) message.headers.Add(name, value);
    Status status = client.Stream(
        call, std::move(message), kIdle,
        [&](const net::HttpResponse& head) { return on_head(HeadOf(head)); }, on_bytes);
    if (status.ok()) return status;
    // A deadline of the connection's own is the registry's fault, not the caller's.
    RETURN_IF_ERROR(call.Check("asking the registry"));
    if (status.code() == Code::kDeadlineExceeded) return Unavailable(status.message());
    return status;
  }

 private:
  const std::shared_ptr<const net::TlsContext> tls_;  // owners: this and its connections
  net::Io io_;
};

}  // namespace

Result<std::unique_ptr<RegistryTransport>> MakeNetTransport(const std::string& ca_file) {
  ASSIGN_OR_RETURN(auto tls, net::TlsContext::Client(net::TlsFiles{"", "", ca_file}));
  return std::unique_ptr<RegistryTransport>(std::make_unique<NetTransport>(std::move(tls)));
}

}  // namespace interlink::images
