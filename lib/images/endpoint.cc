#include "images/endpoint.h"

#include "images/json.h"

namespace interlink::images {
namespace {

std::string WithoutTrailingSlashes(std::string text) {
  while (!text.empty() && text.back() == '/') text.pop_back();
  return text;
}

Result<Endpoint> ParseMirror(const std::string& text, const std::string& path) {
  const std::string what = "the mirror \"" + Printable(text) + "\"";
  auto url = net::ParseUrl(text);
  if (!url.ok()) return url.status().WithContext(what);
  if (url->scheme != "https" && !net::IsLoopbackHost(url->host))
    return InvalidArgument(what + " is plain http, which is for loopback addresses only");
  Endpoint out;
  const std::string base = WithoutTrailingSlashes(url->target);
  const bool has_version = (base + "/").find("/v2/") != std::string::npos;
  out.prefix = base + (has_version ? "/" : "/v2/") + path;
  out.url = *std::move(url);
  out.name = "mirror \"" + Printable(text) + "\"";
  return out;
}

}  // namespace

net::Url Endpoint::Target(const std::string& rest) const {
  net::Url out = url;
  out.target = prefix + "/" + rest;
  return out;
}

Result<std::vector<Endpoint>> Endpoints(const Mirrors& mirrors, const std::string& host,
                                        const std::string& path) {
  std::vector<Endpoint> out;
  if (const auto found = mirrors.find(host); found != mirrors.end()) {
    for (const std::string& text : found->second) {
      ASSIGN_OR_RETURN(out.emplace_back(), ParseMirror(text, path));
    }
  }
  const std::string server = host == "docker.io" ? "registry-1.docker.io" : host;
  ASSIGN_OR_RETURN(net::Url url, net::ParseUrl("https://" + server + "/"));
  if (net::IsLoopbackHost(url.host)) {
    ASSIGN_OR_RETURN(url, net::ParseUrl("http://" + server + "/"));
  }
  Endpoint origin;
  origin.url = std::move(url);
  origin.prefix = "/v2/" + path;
  origin.origin = true;
  origin.name = "registry \"" + host + "\"";
  out.push_back(std::move(origin));
  return out;
}

Status CheckHop(const net::Url& from, const net::Url& to) {
  const bool to_loopback = net::IsLoopbackHost(to.host);
  if (to_loopback && !net::IsLoopbackHost(from.host)) {
    return PermissionDenied("\"" + Printable(from.host) + "\" sends us to this machine's own \"" +
                            Printable(to.host) + "\"");
  }
  if (to.scheme != "https" && !to_loopback) {
    return PermissionDenied("\"" + Printable(from.host) + "\" sends us to plain http at \"" +
                            Printable(to.host) + "\"");
  }
  return {};
}

Result<net::Url> ResolveLocation(const net::Url& from, const std::string& location) {
  std::string text = location.substr(0, location.find('#'));
  net::Url out;
  if (text.compare(0, 2, "//") == 0) text.insert(0, from.scheme + ":");
  if (text.compare(0, 1, "/") == 0) {
    out = from;
    out.target = text;
  } else {
    auto url = net::ParseUrl(text);
    // Its message would repeat the text, which may be a signed address.
    if (!url.ok()) return Unavailable("a redirect to something that is no http or https URL");
    out = *std::move(url);
  }
  for (const char c : out.target) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f)
      return Unavailable("a redirect whose target holds a control character");
  }
  RETURN_IF_ERROR(CheckHop(from, out));
  return out;
}

}  // namespace interlink::images
