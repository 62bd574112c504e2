// Issuers: their keys stay fresh, whatever they answer, and their tokens name a node.
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>

#include "auth/issuer_keys.h"
#include "auth/oidc_verifier.h"
#include "issuer_server.h"
#include "support/eventually.h"
#include "support/manual_clock.h"
#include "support/temporary_folder.h"
#include "token_issuer.h"

namespace interlink::auth {
namespace {

using nlohmann::json;
using test::Eventually;
using Claim = std::vector<std::string>;

// Made once: all tests of this file have the same keys.
const IssuerKey& First() {
  static const IssuerKey kKey("P-256");
  return kKey;
}
const IssuerKey& Second() {
  static const IssuerKey kKey("Ed25519");
  return kKey;
}

json PublicJwk(const IssuerKey& key, const std::string& id) {
  json jwk = key.Jwk();
  jwk["kid"] = id;
  return jwk;
}

class LoggedLines final : public Log {
 public:
  bool Enabled(LogLevel) const override { return true; }
  void Write(LogLevel level, std::string_view message,
             const std::vector<LogField>& fields) override {
    const MutexLock lock(mutex_);
    if (level == LogLevel::kError) errors_.emplace_back(message);
    for (const LogField& field : fields)
      if (field.key == "reason") errors_.back() += ": " + field.value;
  }
  std::vector<std::string> errors() {
    const MutexLock lock(mutex_);
    return errors_;
  }

 private:
  Mutex mutex_;
  std::vector<std::string> errors_ GUARDED_BY(mutex_);
};

struct IssuerLab {
  IssuerLab() {
    server.AnswerKeys({PublicJwk(First(), "first")});
    clock.SetWall(1'800'000'000LL * 1'000'000'000LL);
  }
  IssuerKeysOptions Options() const {
    IssuerKeysOptions options;
    options.issuer = server.url();
    options.shortest_pause = std::chrono::milliseconds(20);
    options.longest_pause = std::chrono::milliseconds(100);
    return options;
  }
  std::unique_ptr<IssuerKeys> Keys() {
    auto keys = IssuerKeys::Create(Options(), server.io(), timer, log);
    INFO(keys.status().ToString());
    REQUIRE(keys.ok());
    return *std::move(keys);
  }
  OidcIssuer Rules() const {
    OidcIssuer rules;
    rules.keys = Options();
    rules.audiences = {"interlink"};
    return rules;
  }
  std::unique_ptr<OidcVerifier> Verifier(OidcIssuer rules, const TokenVerifier* others = nullptr) {
    std::vector<OidcIssuer> issuers;
    issuers.push_back(std::move(rules));
    auto made = OidcVerifier::Create(std::move(issuers), others, server.io(), timer, log, clock);
    INFO(made.status().ToString());
    REQUIRE(made.ok());
    return *std::move(made);
  }
  json Claims() const {
    return {{"iss", server.url()}, {"aud", "interlink"}, {"sub", "node-1"}, {"exp", 1'800'000'600}};
  }

  IssuerServer server;
  Timer timer;
  LoggedLines log;
  test::ManualClock clock;
};

Jwt TokenOf(const IssuerKey& key, const std::string& algorithm, const std::string& id) {
  const auto token = ParseJwt(SignedToken(key, {{"alg", algorithm}, {"kid", id}}, json::object()));
  REQUIRE(token.ok());
  return *token;
}

TEST_CASE("an issuer's keys come from where its discovery document says") {
  IssuerLab lab;
  const auto keys = lab.Keys();

  CHECK(Eventually([&] { return keys->Verify(TokenOf(First(), "ES256", "first")).ok(); }));
  CHECK(lab.server.Asked("/keys") == 1);
  CHECK(keys->Verify(TokenOf(IssuerKey("P-256"), "ES256", "first")).code() ==
        Code::kUnauthenticated);
}

TEST_CASE("a key that is new is read when the first token names it, and strangers ask no storm") {
  IssuerLab lab;
  const auto keys = lab.Keys();
  REQUIRE(Eventually([&] { return keys->Verify(TokenOf(First(), "ES256", "first")).ok(); }));

  lab.server.AnswerKeys({PublicJwk(First(), "first"), PublicJwk(Second(), "second")});
  const Jwt fresh = TokenOf(Second(), "EdDSA", "second");
  CHECK(Eventually([&] { return keys->Verify(fresh).ok(); }));
  CHECK(keys->Verify(TokenOf(First(), "ES256", "first")).ok());

  const int before = lab.server.Asked("/keys");
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 2000; ++i) {
    const Status unknown = keys->Verify(TokenOf(Second(), "EdDSA", "k" + std::to_string(i)));
    REQUIRE_FALSE(unknown.ok());
  }
  const auto pauses = (std::chrono::steady_clock::now() - began) / std::chrono::milliseconds(20);
  CHECK(lab.server.Asked("/keys") - before <= pauses + 2);
}

TEST_CASE("an issuer that answers something else takes nothing away, and the log says why once") {
  struct Row {
    const char* path;
    int status;
    std::string body;
    const char* says;
  };
  IssuerLab lab;
  const std::string url = lab.server.url();
  const std::vector<Row> rows = {
      {"/keys", 200, "<html>sign in</html>", "no JSON"},
      {"/keys", 500, "", "500"},
      {"/keys", 200, R"({"keys":[]})", "none of its 0 keys"},
      {"/keys", 200, std::string(2U << 20U, ' '), ""},
      {"/keys", 200, json{{"keys", std::vector<json>(10'000, json{{"kty", "oct"}})}}.dump(),
       "10000 keys"},
      {"/.well-known/openid-configuration", 302, "", "redirects are not followed"},
      {"/.well-known/openid-configuration", 200,
       json{{"issuer", url + "/"}, {"jwks_uri", url + "/keys"}}.dump(), "another issuer's"},
      {"/.well-known/openid-configuration", 200, json{{"issuer", url}}.dump(), "jwks_uri"},
      {"/.well-known/openid-configuration", 200,
       json{{"issuer", url}, {"jwks_uri", "http://keys.example/"}}.dump(), "https://"},
      {"/.well-known/openid-configuration", 200,
       json{{"issuer", url}, {"jwks_uri", "file:///etc/passwd"}}.dump(), ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.path, row.status, row.says);
    IssuerLab fresh;
    const std::string own = fresh.server.url();
    std::string body = row.body;
    for (size_t at = body.find(url); at != std::string::npos; at = body.find(url, at + 1))
      body.replace(at, url.size(), own);
    const auto keys = fresh.Keys();
    REQUIRE(Eventually([&] { return keys->Verify(TokenOf(First(), "ES256", "first")).ok(); }));

    fresh.server.Answer(row.path, row.status, body);
    const int asked = fresh.server.Asked(row.path);
    const Jwt unknown = TokenOf(Second(), "EdDSA", "second");
    REQUIRE(Eventually([&] {
      CHECK_FALSE(keys->Verify(unknown).ok());
      return fresh.server.Asked(row.path) >= asked + 4;
    }));

    CHECK(keys->Verify(TokenOf(First(), "ES256", "first")).ok());
    REQUIRE(fresh.log.errors().size() == 1);
    CHECK(fresh.log.errors()[0].find(row.says) != std::string::npos);
  }
}

TEST_CASE("without an issuer nobody is let in, and nobody is told that his token is wrong") {
  IssuerLab lab;
  lab.server.Stop();
  const auto keys = lab.Keys();

  REQUIRE(Eventually([&] { return !lab.log.errors().empty(); }));
  const Status unknown = keys->Verify(TokenOf(First(), "ES256", "first"));
  CHECK(unknown.code() == Code::kUnavailable);
  CHECK(unknown.message().find(lab.server.url()) != std::string::npos);
}

TEST_CASE("an issuer that is silent is given up in time") {
  IssuerLab lab;
  auto silent = net::Listener::Tcp(lab.server.io(), "127.0.0.1", 0, nullptr);
  REQUIRE(silent.ok());
  IssuerKeysOptions options = lab.Options();
  options.issuer = "http://127.0.0.1:" + std::to_string((*silent)->port());
  options.fetch_within = std::chrono::milliseconds(200);
  const auto keys = IssuerKeys::Create(options, lab.server.io(), lab.timer, lab.log);
  REQUIRE(keys.ok());

  CHECK(Eventually([&] { return !lab.log.errors().empty(); }, std::chrono::seconds(5)));
}

TEST_CASE("a key set can be a file, and changes with it") {
  IssuerLab lab;
  const test::TemporaryFolder folder;
  IssuerKeysOptions options = lab.Options();
  options.jwks_file = folder.File("jwks.json");
  const auto write = [&](const std::string& text) {
    const std::string fresh = folder.File("fresh");
    std::ofstream(fresh) << text;
    REQUIRE(rename(fresh.c_str(), options.jwks_file.c_str()) == 0);
  };
  const auto make = [&] {
    return IssuerKeys::Create(options, lab.server.io(), lab.timer, lab.log);
  };
  CHECK(make().status().code() == Code::kNotFound);
  write("{}");
  CHECK(make().status().code() == Code::kInvalidArgument);

  write(json{{"keys", json::array({PublicJwk(First(), "first")})}}.dump());
  const auto made = make();
  REQUIRE(made.ok());
  CHECK((*made)->Verify(TokenOf(First(), "ES256", "first")).ok());
  CHECK((*made)->Verify(TokenOf(Second(), "EdDSA", "second")).code() == Code::kUnauthenticated);

  write(json{{"keys", json::array({PublicJwk(Second(), "second")})}}.dump());
  CHECK(Eventually([&] { return (*made)->Verify(TokenOf(Second(), "EdDSA", "second")).ok(); }));
  write("broken");
  REQUIRE(Eventually([&] { return !lab.log.errors().empty(); }));
  CHECK((*made)->Verify(TokenOf(Second(), "EdDSA", "second")).ok());
  CHECK(lab.server.Asked("/keys") == 0);
}

// Each would have been a reading of the file and a check of all its keys, for anybody who asks.
TEST_CASE("tokens of unknown keys do not make a file be read") {
  IssuerLab lab;
  const test::TemporaryFolder folder;
  IssuerKeysOptions options = lab.Options();
  options.jwks_file = folder.File("jwks.json");
  const auto write = [&](const IssuerKey& key) {
    std::ofstream(options.jwks_file)
        << json{{"keys", json::array({PublicJwk(key, "first")})}}.dump();
    // Nothing shows that it has changed: only who reads it sees.
    const timespec same[2] = {{1, 0}, {1, 0}};
    REQUIRE(utimensat(AT_FDCWD, options.jwks_file.c_str(), same, 0) == 0);
  };
  const IssuerKey other("P-256");
  write(First());
  const auto made = IssuerKeys::Create(options, lab.server.io(), lab.timer, lab.log);
  REQUIRE(made.ok());
  write(other);

  CHECK_FALSE((*made)->Verify(TokenOf(First(), "ES256", "unknown")).ok());
  std::atomic<bool> later = false;
  lab.timer.After(Duration::zero(), [&] { later = true; });
  REQUIRE(Eventually([&] { return later.load(); }));

  CHECK((*made)->Verify(TokenOf(First(), "ES256", "first")).ok());
}

TEST_CASE("an issuer's address must be one that can be trusted") {
  IssuerLab lab;
  IssuerKeysOptions options = lab.Options();
  options.issuer = GENERATE(as<std::string>{}, "", "issuer", "http://issuer.example",
                            "ftp://127.0.0.1/", "https:");
  CHECK(IssuerKeys::Create(options, lab.server.io(), lab.timer, lab.log).status().code() ==
        Code::kInvalidArgument);
}

// --- what a token means

TEST_CASE("a token names its node, its groups and its tenant by the claims of its issuer's rules") {
  IssuerLab lab;
  OidcIssuer rules = lab.Rules();
  rules.node_claim = {"kubernetes.io", "node", "name"};
  rules.groups_claim = {"groups"};
  rules.tenant_claim = {"kubernetes.io", "namespace"};
  const auto verifier = lab.Verifier(rules);
  json claims = lab.Claims();
  claims["sub"] = "system:serviceaccount:kube-system:interlink";
  claims["groups"] = {"a", "b"};
  claims["kubernetes.io"] = {{"namespace", "kube-system"}, {"node", {{"name", "worker-7"}}}};
  const std::string token = SignedToken(First(), {{"alg", "ES256"}, {"kid", "first"}}, claims);

  REQUIRE(
      Eventually([&] { return verifier->Verify(token).status().code() != Code::kUnavailable; }));
  const auto identity = verifier->Verify(token);
  INFO(identity.status().ToString());
  REQUIRE(identity.ok());
  CHECK(identity->node == NodeId("worker-7"));
  CHECK(identity->subject == "system:serviceaccount:kube-system:interlink");
  CHECK(identity->groups == Claim{"a", "b"});
  CHECK(identity->tenant == "kube-system");
  CHECK(identity->issuer == lab.server.url());
}

TEST_CASE("a token that is somebody else's, old, or names no node is refused") {
  struct Row {
    const char* claim;
    json value;
    const char* says;
  };
  const Row row = GENERATE(
      Row{"iss", "https://other.example", "trusts"}, Row{"iss", nullptr, "trusts"},
      Row{"aud", "other", "aud"}, Row{"exp", 1'799'999'000, "expired"},
      Row{"sub", "user:x", "begins"}, Row{"sub", "node:", "node's name"},
      Row{"sub", "node:../x", "node's name"}, Row{"sub", json::array({"node:a"}), "names no node"},
      Row{"team", nullptr, "tenant"}, Row{"team", "", "tenant"});
  IssuerLab lab;
  OidcIssuer rules = lab.Rules();
  rules.node_prefix = "node:";
  rules.tenant_claim = {"team"};
  const auto verifier = lab.Verifier(rules);
  json claims = lab.Claims();
  claims["sub"] = "node:a";
  claims["team"] = "physics";
  const json header = {{"alg", "ES256"}, {"kid", "first"}};
  const std::string good = SignedToken(First(), header, claims);
  REQUIRE(Eventually([&] { return verifier->Verify(good).ok(); }));

  claims[row.claim] = row.value;
  if (row.value.is_null()) claims.erase(row.claim);
  const auto refused = verifier->Verify(SignedToken(First(), header, claims));

  CAPTURE(row.claim, refused.status().ToString());
  REQUIRE(refused.status().code() == Code::kUnauthenticated);
  CHECK(refused.status().message().find(row.says) != std::string::npos);
}

class OneStaticToken final : public TokenVerifier {
 public:
  Result<TokenIdentity> Verify(std::string_view token) const override {
    if (token != "a.static.token-of-a-file")
      return Unauthenticated("the bearer token is not known");
    TokenIdentity identity;
    identity.node = NodeId("static-1");
    return identity;
  }
};

TEST_CASE("a token that was good before ends with its time, and with its key") {
  IssuerLab lab;
  const test::TemporaryFolder folder;
  OidcIssuer rules = lab.Rules();
  rules.keys.jwks_file = folder.File("jwks.json");
  const auto write = [&](const IssuerKey& key) {
    const std::string fresh = folder.File("fresh");
    std::ofstream(fresh) << json{{"keys", json::array({PublicJwk(key, "first")})}}.dump();
    REQUIRE(rename(fresh.c_str(), rules.keys.jwks_file.c_str()) == 0);
  };
  write(First());
  const auto verifier = lab.Verifier(rules);
  const std::string token =
      SignedToken(First(), {{"alg", "ES256"}, {"kid", "first"}}, lab.Claims());
  for (int i = 0; i < 3; ++i) {
    const auto identity = verifier->Verify(token);
    INFO(identity.status().ToString());
    REQUIRE(identity.ok());
    CHECK(identity->node == NodeId("node-1"));
  }
  SECTION("time") {
    lab.clock.SetWall(1'800'000'700LL * 1'000'000'000LL);
    const Status ended = verifier->Verify(token).status();
    CHECK(ended.code() == Code::kUnauthenticated);
    CHECK_THAT(ended.message(), Catch::Contains("has expired"));
  }
  SECTION("key") {
    const IssuerKey other("P-256");
    write(other);
    CHECK(Eventually(
        [&] { return verifier->Verify(token).status().code() == Code::kUnauthenticated; }));
  }
  SECTION("another signature under the same claims is another token") {
    std::string forged = token;
    char& last = forged[forged.size() - 10];
    last = last == 'A' ? 'B' : 'A';
    CHECK(verifier->Verify(forged).status().code() == Code::kUnauthenticated);
    CHECK(verifier->Verify(token).ok());
  }
}

TEST_CASE("static tokens are taken beside an issuer's, a token of no trusted issuer is not") {
  IssuerLab lab;
  const OneStaticToken others;
  const auto verifier = lab.Verifier(lab.Rules(), &others);

  CHECK(verifier->Verify("a.static.token-of-a-file").value_or(TokenIdentity()).node ==
        NodeId("static-1"));
  CHECK(verifier->Verify("nothing").status().code() == Code::kUnauthenticated);
  json claims = lab.Claims();
  claims["iss"] = "https://evil.example";
  CHECK(verifier->Verify(SignedToken(First(), {{"alg", "ES256"}}, claims)).status().code() ==
        Code::kUnauthenticated);
}

TEST_CASE("rules that would let everybody in are refused") {
  IssuerLab lab;
  const auto refused = [&](std::vector<OidcIssuer> issuers) {
    return OidcVerifier::Create(std::move(issuers), nullptr, lab.server.io(), lab.timer, lab.log,
                                lab.clock)
               .status()
               .code() == Code::kInvalidArgument;
  };
  OidcIssuer no_audience = lab.Rules();
  no_audience.audiences.clear();
  OidcIssuer no_node = lab.Rules();
  no_node.node_claim.clear();

  CHECK(refused({}));
  CHECK(refused({no_audience}));
  CHECK(refused({no_node}));
  CHECK(refused({lab.Rules(), lab.Rules()}));
}

}  // namespace
}  // namespace interlink::auth
