#include "config/oidc_section.h"

#include <algorithm>
#include <memory>

#include "net/url.h"

namespace interlink::config {
namespace {

Keys IssuerKeyTable(OidcIssuerConfig* i) {
  return {
      TextKey("Issuer", &i->issuer,
              "Its URL, as the claim iss of its tokens says it; https, or http on this machine. "
              "Must be set."),
      TextListKey("Audiences", &i->audiences,
                  "A token must name one of them in its claim aud. Must be set."),
      WithExample(PathKey("JWKSFile", &i->jwks_file,
                          "Its public keys, a JWK Set; read again when it changes. Default: the "
                          "issuer is asked for them (/.well-known/openid-configuration)."),
                  "\"/etc/interlink/api/issuer-keys.json\""),
      WithExample(PathKey("CACertFile", &i->ca_cert_file,
                          "Who has signed the issuer's certificate, PEM. Default: whom this "
                          "machine trusts."),
                  "\"/etc/interlink/api/issuer-ca.crt\""),
      TextListKey("NodeClaim", &i->node_claim,
                  "The claim that names the node, by the names from the top: [kubernetes.io, node, "
                  "name] for Kubernetes' service accounts."),
      WithExample(TextKey("NodePrefix", &i->node_prefix,
                          "What that claim must begin with; the rest is the node's name."),
                  "\"system:node:\""),
      TextListKey("GroupsClaim", &i->groups_claim,
                  "The claim that names groups, by the names from the top: a text or a list of "
                  "texts, for the policy's Groups. A token may lack it."),
      WithExample(TextListKey("TenantClaim", &i->tenant_claim,
                              "The claim that names the tenant, for the policy's Tenants. With it "
                              "a token without a tenant is refused. Default: none."),
                  "[\"tenant\"]"),
  };
}

Status CheckIssuer(const OidcIssuerConfig& issuer, const std::string& path) {
  const auto refuse = [&](const std::string& key, const std::string& text) {
    return InvalidArgument(issuer.where + ": " + path + "." + key + " " + text);
  };
  const auto url = net::ParseUrl(issuer.issuer);
  if (!url.ok()) {
    return refuse("Issuer",
                  issuer.issuer.empty() ? "must be set" : "is no URL: " + url.status().message());
  }
  if (url->scheme != "https" && !net::IsLoopbackHost(url->host))
    return refuse("Issuer", "must begin with https://: nobody else may answer for it");
  if (issuer.audiences.empty())
    return refuse("Audiences",
                  "must be set: a token that is for somebody else is not for this site");
  if (issuer.node_claim.empty()) return refuse("NodeClaim", "must name a claim");
  return {};
}

Status ReadIssuers(const Value& value, const std::string& path,
                   std::vector<OidcIssuerConfig>* target) {
  if (value.kind != Value::Kind::kList) return MustBe(value, path, "a list of maps");
  target->clear();
  for (size_t i = 0; i < value.items.size(); ++i) {
    const Value& item = value.items[i];
    const std::string place = path + "[" + std::to_string(i) + "]";
    if (item.kind != Value::Kind::kMap)
      return MustBe(item, place, "a map with the keys Issuer and Audiences");
    OidcIssuerConfig issuer;
    issuer.where = item.where;
    RETURN_IF_ERROR(ReadKeys(item, IssuerKeyTable(&issuer), place + ".", nullptr));
    RETURN_IF_ERROR(CheckIssuer(issuer, place));
    const auto twin = std::find_if(target->begin(), target->end(), [&](const auto& other) {
      return other.issuer == issuer.issuer;
    });
    if (twin != target->end()) {
      return InvalidArgument(issuer.where + ": issuer " + Quoted(issuer.issuer) +
                             " stands twice, it is also at " + twin->where);
    }
    target->push_back(std::move(issuer));
  }
  return {};
}

}  // namespace

Key OidcKey(std::vector<OidcIssuerConfig>* target) {
  Key key;
  key.path = "Auth.OIDC";
  key.takes = "a list of maps";
  key.doc =
      "Issuers of OpenID Connect whose bearer tokens are taken, beside those of Auth.TokenFile. "
      "Signed with RS256, RS384, RS512, PS256, ES256, ES384 or EdDSA; clocks may differ by 30 s.";
  key.example =
      "    - Issuer: \"https://login.example.org\"\n"
      "      Audiences: [\"interlink\"]";
  key.read = [target](const Value& value, const std::string& path) {
    return ReadIssuers(value, path, target);
  };
  key.identity = [target] {
    std::string text;
    for (OidcIssuerConfig& issuer : *target) {
      for (const Key& one : IssuerKeyTable(&issuer)) text += one.path + "=" + one.show() + "\n";
    }
    return text;
  };
  key.item_keys = [defaults = std::make_shared<OidcIssuerConfig>()] {
    return IssuerKeyTable(defaults.get());
  };
  return key;
}

}  // namespace interlink::config
