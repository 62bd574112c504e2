#include "auth/issuer_http.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "auth/strict_json.h"

namespace interlink::auth {
namespace {

constexpr const char* kDiscovery = "/.well-known/openid-configuration";
constexpr int kHttpOk = 200;
constexpr int kFirstRedirect = 300;
constexpr int kFirstRefusal = 400;

// "invalid_client" and the like: letters and "_", nothing that could forge a line of a log.
std::string ErrorName(const std::string& body) {
  const auto parsed = ParseStrictJson(body);
  if (!parsed.ok()) return "";
  const auto named = parsed->find("error");
  if (named == parsed->end() || !named->is_string()) return "";
  const std::string name = named->get<std::string>().substr(0, 64);
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  });
  return plain ? name : "";
}

}  // namespace

std::string DiscoveryUrl(std::string issuer) {
  while (issuer.ends_with('/')) issuer.pop_back();
  return issuer + kDiscovery;
}

Result<net::Url> TrustedUrl(const std::string& text) {
  ASSIGN_OR_RETURN(net::Url url, net::ParseUrl(text));
  if (url.scheme == "https" || net::IsLoopbackHost(url.host)) return url;
  return InvalidArgument("\"" + text + "\" must begin with https://");
}

Result<std::string> DiscoveredUrl(const std::string& document, const std::string& issuer,
                                  const std::string& member) {
  const auto parsed = ParseStrictJson(document);
  if (!parsed.ok()) return InvalidArgument("its discovery document: " + parsed.status().message());
  const auto named = parsed->find("issuer");
  // Discovery 1.0, 4.3: else one issuer could speak for another.
  if (named == parsed->end() || *named != nlohmann::json(issuer))
    return InvalidArgument("its discovery document is another issuer's");
  const auto url = parsed->find(member);
  if (url == parsed->end() || !url->is_string())
    return InvalidArgument("its discovery document names no " + member);
  return url->get<std::string>();
}

Status CheckIssuerAnswer(const net::HttpResponse& answer) {
  if (answer.status == kHttpOk) return {};
  const std::string code = std::to_string(answer.status);
  if (answer.status >= kFirstRedirect && answer.status < kFirstRefusal)
    return Unavailable("it answers " + code + ": redirects are not followed");
  const std::string name = ErrorName(answer.body);
  return Unavailable("it answers " + code + (name.empty() ? "" : ": " + name));
}

}  // namespace interlink::auth
