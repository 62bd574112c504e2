#include "auth/authenticator.h"

#include <algorithm>
#include <ctime>

#include "auth/deny_list.h"
#include "net/http.h"

namespace interlink::auth {
namespace {

constexpr size_t kMaxName = 253;

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

Status CheckNodeName(std::string_view name) {
  const bool good = !name.empty() && name.size() <= kMaxName && IsAlphanumeric(name.front()) &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return IsAlphanumeric(c) || c == '.' || c == '_' || c == '-';
                    });
  if (good) return {};
  std::string shown;
  for (const char c : name.substr(0, kMaxName)) shown += c >= 0x20 && c < 0x7f ? c : '?';
  return InvalidArgument("\"" + shown +
                         "\" cannot be a node's name: it needs 1 to 253 of the characters "
                         "A-Z a-z 0-9 . _ - and begins with a letter or digit");
}

Result<Authenticator> Authenticator::Create(AuthenticatorOptions options,
                                            const TokenVerifier* tokens, const DenyList* denied) {
  if (tokens == nullptr && options.require_token)
    return InvalidArgument("a token is required of every node, but no token file is configured");
  if (tokens == nullptr && options.client_auth == net::ClientAuth::kNone) {
    return InvalidArgument(
        "with ClientAuth \"none\" and without a token file no node could be identified: set "
        "ClientAuth to \"require\" or name a token file");
  }
  return Authenticator(std::move(options), tokens, denied);
}

Result<NodeId> Authenticator::NodeOfCertificate(const net::Peer& peer) const {
  std::string_view name = peer.common_name;
  if (!options_.rule.uri_prefix.empty()) {
    const std::string_view prefix = options_.rule.uri_prefix;
    const auto fits = [prefix](const std::string& uri) { return uri.starts_with(prefix); };
    const auto first = std::find_if(peer.uris.begin(), peer.uris.end(), fits);
    if (first == peer.uris.end()) {
      return Unauthenticated(
          "the client certificate has no URI alternative name that begins with \"" +
          options_.rule.uri_prefix + "\"");
    }
    if (std::find_if(first + 1, peer.uris.end(), fits) != peer.uris.end()) {
      return Unauthenticated(
          "the client certificate has more than one URI alternative name that begins with \"" +
          options_.rule.uri_prefix + "\"");
    }
    name = *first;
    name.remove_prefix(prefix.size());
  } else if (!name.starts_with(options_.rule.common_name_prefix)) {
    return Unauthenticated("the common name of the client certificate does not begin with \"" +
                           options_.rule.common_name_prefix + "\"");
  } else {
    name.remove_prefix(options_.rule.common_name_prefix.size());
  }
  if (const Status status = CheckNodeName(name); !status.ok())
    return Unauthenticated("the client certificate: " + status.message());
  return NodeId(name);
}

Result<TokenIdentity> Authenticator::IdentityOfToken(const std::string& authorization) const {
  // RFC 6750: the scheme compares without case.
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view text = authorization;
  if (text.size() <= kScheme.size() || !net::EqualNoCase(text.substr(0, kScheme.size()), kScheme))
    return Unauthenticated("the Authorization header must be \"Bearer TOKEN\"");
  if (tokens_ == nullptr)
    return Unauthenticated("this site takes no bearer tokens: remove the token");
  return tokens_->Verify(text.substr(kScheme.size()));
}

Result<Identity> Authenticator::Authenticate(
    const net::Peer& peer, const std::optional<std::string>& authorization) const {
  Identity identity;
  if (options_.client_auth != net::ClientAuth::kNone && peer.verified) {
    if (options_.revoked && options_.revoked(peer))
      return Unauthenticated("the client certificate has been revoked: get another one");
    // It was good when the connection was made, and the connection may have stood for long.
    if (peer.not_after != 0 && peer.not_after < std::time(nullptr))
      return Unauthenticated("the client certificate has expired: renew it");
    ASSIGN_OR_RETURN(identity.node, NodeOfCertificate(peer));
    identity.by_certificate = true;
  } else if (options_.client_auth == net::ClientAuth::kRequire) {
    return Unauthenticated("a client certificate is needed");
  }
  if (authorization) {
    ASSIGN_OR_RETURN(identity.token, IdentityOfToken(*authorization));
    if (identity.by_certificate && identity.token.node != identity.node) {
      return PermissionDenied("the client certificate is of node \"" + identity.node.str() +
                              "\" and the token is of another one");
    }
    identity.node = identity.token.node;
    identity.by_token = true;
  } else if (options_.require_token) {
    return Unauthenticated("a bearer token is needed");
  }
  if (identity.node.empty())
    return Unauthenticated("a client certificate or a bearer token is needed");
  return identity;
}

Status Authenticator::CheckDenied(const Identity& identity) const {
  return denied_ == nullptr ? Status() : denied_->Check(identity);
}

}  // namespace interlink::auth
