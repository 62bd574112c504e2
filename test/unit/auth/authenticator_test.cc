#include "auth/authenticator.h"

#include <catch2/catch.hpp>

namespace interlink::auth {
namespace {

class OneToken final : public TokenVerifier {
 public:
  Result<TokenIdentity> Verify(std::string_view token) const override {
    if (token != "right") return Unauthenticated("the bearer token is not known here");
    TokenIdentity identity;
    identity.node = NodeId("node-1");
    return identity;
  }
};

net::Peer Verified(const std::string& name) {
  net::Peer peer;
  peer.verified = true;
  peer.common_name = name;
  return peer;
}

const std::optional<std::string> kNone;
const std::optional<std::string> kRight = "Bearer right";

Authenticator Make(AuthenticatorOptions options, const TokenVerifier* tokens) {
  auto made = Authenticator::Create(std::move(options), tokens);
  REQUIRE(made.ok());
  return *made;
}

TEST_CASE("a verified certificate names the node") {
  const Authenticator authenticator = Make({}, nullptr);

  const auto identity = authenticator.Authenticate(Verified("node-1"), kNone);

  REQUIRE(identity.ok());
  CHECK(identity->node == NodeId("node-1"));
  CHECK(identity->by_certificate);
  CHECK_FALSE(identity->by_token);
}

TEST_CASE("where a certificate is required, a token alone is not enough") {
  const OneToken tokens;
  const Authenticator authenticator = Make({}, &tokens);

  CHECK(authenticator.Authenticate({}, kRight).status().code() == Code::kUnauthenticated);
}

TEST_CASE("a certificate that has expired is worth nothing, however old its connection is") {
  const Authenticator authenticator = Make({}, nullptr);
  net::Peer peer = Verified("node-1");
  peer.not_after = 1'000'000'000;

  const Status expired = authenticator.Authenticate(peer, kNone).status();
  CHECK(expired.code() == Code::kUnauthenticated);
  CHECK_THAT(expired.message(), Catch::Contains("has expired"));

  peer.not_after = 4'000'000'000;
  CHECK(authenticator.Authenticate(peer, kNone).ok());
}

TEST_CASE("a certificate that was not verified is worth nothing") {
  const OneToken tokens;
  const Authenticator authenticator = Make({.client_auth = net::ClientAuth::kVerify}, &tokens);
  net::Peer peer = Verified("node-1");
  peer.verified = false;

  CHECK(authenticator.Authenticate(peer, kNone).status().code() == Code::kUnauthenticated);
}

TEST_CASE("a token alone is enough where certificates are not required") {
  const OneToken tokens;
  const auto mode = GENERATE(net::ClientAuth::kVerify, net::ClientAuth::kNone);
  const Authenticator authenticator = Make({.client_auth = mode}, &tokens);

  const auto identity = authenticator.Authenticate({}, kRight);

  REQUIRE(identity.ok());
  CHECK(identity->node == NodeId("node-1"));
  CHECK(identity->by_token);
}

TEST_CASE("a wrong token is refused whatever the certificate says") {
  const OneToken tokens;
  const Authenticator authenticator = Make({}, &tokens);

  CHECK(authenticator.Authenticate(Verified("node-1"), "Bearer wrong").status().code() ==
        Code::kUnauthenticated);
}

TEST_CASE("the certificate and the token must name the same node") {
  const OneToken tokens;
  const Authenticator authenticator = Make({}, &tokens);

  CHECK(authenticator.Authenticate(Verified("node-1"), kRight).ok());
  CHECK(authenticator.Authenticate(Verified("node-2"), kRight).status().code() ==
        Code::kPermissionDenied);
}

TEST_CASE("a second factor that is required must be there") {
  const OneToken tokens;
  const Authenticator authenticator = Make({.require_token = true}, &tokens);

  CHECK(authenticator.Authenticate(Verified("node-1"), kNone).status().code() ==
        Code::kUnauthenticated);
  CHECK(authenticator.Authenticate(Verified("node-1"), kRight).ok());
}

TEST_CASE("Authorization headers that are no bearer token are refused") {
  const OneToken tokens;
  const Authenticator authenticator = Make({}, &tokens);
  const auto header = GENERATE(as<std::string>(), "", "Bearer", "Bearer ",
                               "Basic cmlnaHQ=", "right", "Bearer  right", "Bearer right ");

  INFO(header);
  CHECK(authenticator.Authenticate(Verified("node-1"), header).status().code() ==
        Code::kUnauthenticated);
}

TEST_CASE("the scheme of the header compares without case") {
  const OneToken tokens;
  const Authenticator authenticator = Make({}, &tokens);

  CHECK(authenticator.Authenticate(Verified("node-1"), "bEARER right").ok());
}

TEST_CASE("a URI rule takes the node from the one URI that fits") {
  AuthenticatorOptions options;
  options.rule.uri_prefix = "interlink://site/node/";
  const Authenticator authenticator = Make(options, nullptr);
  net::Peer peer = Verified("somebody else");

  CHECK(authenticator.Authenticate(peer, kNone).status().code() == Code::kUnauthenticated);
  peer.uris = {"https://x", "interlink://site/node/node-7"};
  CHECK(authenticator.Authenticate(peer, kNone)->node == NodeId("node-7"));
  peer.uris.emplace_back("interlink://site/node/node-8");
  CHECK(authenticator.Authenticate(peer, kNone).status().code() == Code::kUnauthenticated);
}

TEST_CASE("a prefix of the common name is required and taken away") {
  AuthenticatorOptions options;
  options.rule.common_name_prefix = "system:node:";
  const Authenticator authenticator = Make(options, nullptr);

  CHECK(authenticator.Authenticate(Verified("system:node:n1"), kNone)->node == NodeId("n1"));
  CHECK_FALSE(authenticator.Authenticate(Verified("n1"), kNone).ok());
}

TEST_CASE("names that could leave their folder are no node names") {
  const Authenticator authenticator = Make({}, nullptr);
  const auto name = GENERATE(as<std::string>(), "", ".", "..", "../x", "a/b", "a b", "-a", "a\nb",
                             std::string("a\0b", 3), "a:b", std::string(254, 'a'), "n\xc3\xb6");

  INFO(name);
  CHECK(authenticator.Authenticate(Verified(name), kNone).status().code() ==
        Code::kUnauthenticated);
}

TEST_CASE("options with which nobody could be identified are refused") {
  CHECK_FALSE(Authenticator::Create({.client_auth = net::ClientAuth::kNone}, nullptr).ok());
  CHECK_FALSE(Authenticator::Create({.require_token = true}, nullptr).ok());
}

}  // namespace
}  // namespace interlink::auth
