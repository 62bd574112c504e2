// Tokens: what is taken, and every way to make one that must not be (RFC 8725 lists most of them).
#include "auth/jwt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "auth/jwk_set.h"
#include "base/base64url.h"
#include "token_issuer.h"

namespace interlink::auth {
namespace {

using nlohmann::json;

constexpr int64_t kNow = 1'800'000'000;
const ClaimRules kRules{"https://issuer.example", {"interlink", "site-x"}, 30};

json GoodClaims() {
  return {{"iss", "https://issuer.example"},
          {"sub", "system:node:n1"},
          {"aud", {"interlink"}},
          {"exp", kNow + 600},
          {"nbf", kNow - 5},
          {"iat", kNow - 5}};
}

// Made once: an RSA key takes a while.
const IssuerKey& KeyOf(const std::string& kind) {
  static const std::map<std::string, IssuerKey> kKeys = {{"RSA", IssuerKey("RSA")},
                                                         {"other RSA", IssuerKey("RSA")},
                                                         {"P-256", IssuerKey("P-256")},
                                                         {"P-384", IssuerKey("P-384")},
                                                         {"Ed25519", IssuerKey("Ed25519")}};
  return kKeys.at(kind);
}

json NamedJwk(const IssuerKey& key, const std::string& id) {
  json jwk = key.Jwk();
  jwk["kid"] = id;
  return jwk;
}

JwkSet SetOf(const std::vector<json>& keys) {
  const auto set = JwkSet::Parse(json{{"keys", keys}}.dump());
  INFO(set.status().ToString());
  REQUIRE(set.ok());
  return *set;
}

// The whole way: what it says, who signed it, and when.
Status Checked(const std::string& token, const JwkSet& keys) {
  const auto parsed = ParseJwt(token);
  RETURN_IF_ERROR(parsed.status());
  RETURN_IF_ERROR(keys.Verify(*parsed));
  return CheckClaims(parsed->claims, kRules, kNow);
}

bool Mentions(const Status& status, const std::string& text) {
  INFO(status.ToString());
  const bool found = status.message().find(text) != std::string::npos;
  CHECK(found);
  return found;
}

TEST_CASE("a token of each algorithm is taken with its key, and with no other") {
  struct Row {
    const char* algorithm;
    const char* kind;
  };
  const auto row =
      GENERATE(Row{"RS256", "RSA"}, Row{"RS384", "RSA"}, Row{"RS512", "RSA"}, Row{"PS256", "RSA"},
               Row{"ES256", "P-256"}, Row{"ES384", "P-384"}, Row{"EdDSA", "Ed25519"});
  CAPTURE(row.algorithm);
  const IssuerKey& key = KeyOf(row.kind);
  const IssuerKey stranger(row.kind);
  const std::string token =
      SignedToken(key, {{"alg", row.algorithm}, {"kid", "k1"}, {"typ", "JWT"}}, GoodClaims());

  CHECK(Checked(token, SetOf({NamedJwk(key, "k1")})).ToString() == "OK");
  CHECK(Checked(token, SetOf({NamedJwk(stranger, "k1")})).code() == Code::kUnauthenticated);
  CHECK(Checked(token, SetOf({NamedJwk(key, "k2")})).code() == Code::kNotFound);
}

TEST_CASE("a token without a key id is taken with the only key that fits") {
  const std::string token = SignedToken(KeyOf("RSA"), {{"alg", "RS256"}}, GoodClaims());

  CHECK(Checked(token, SetOf({NamedJwk(KeyOf("P-256"), "a"), NamedJwk(KeyOf("RSA"), "b")})).ok());
  const Status two =
      Checked(token, SetOf({NamedJwk(KeyOf("RSA"), "a"), NamedJwk(KeyOf("other RSA"), "b")}));
  CHECK(two.code() == Code::kUnauthenticated);
  CHECK(Mentions(two, "names no key"));
}

TEST_CASE("the key's own algorithm binds") {
  json jwk = NamedJwk(KeyOf("RSA"), "k1");
  jwk["alg"] = "RS256";

  const std::string with_pss =
      SignedToken(KeyOf("RSA"), {{"alg", "PS256"}, {"kid", "k1"}}, GoodClaims());
  CHECK(Checked(with_pss, SetOf({jwk})).code() == Code::kNotFound);
  const std::string as_it_says =
      SignedToken(KeyOf("RSA"), {{"alg", "RS256"}, {"kid", "k1"}}, GoodClaims());
  CHECK(Checked(as_it_says, SetOf({jwk})).ok());
}

TEST_CASE("a token that is signed by nobody, or with a public key as a secret, is refused") {
  const IssuerKey& key = KeyOf("RSA");
  const JwkSet keys = SetOf({NamedJwk(key, "k1")});
  const std::string claims = GoodClaims().dump();

  SECTION("none, in any letters") {
    const auto name = GENERATE(as<std::string>{}, "none", "None", "NONE", "nOnE", "");
    const Status refused =
        Checked(Compact(json{{"alg", name}, {"kid", "k1"}}.dump(), claims, ""), keys);
    CHECK(refused.code() == Code::kUnauthenticated);
    CHECK(Mentions(refused, "algorithm is not taken"));
  }
  SECTION("a known algorithm with an empty signature") {
    const auto name = GENERATE(as<std::string>{}, "RS256", "PS256");
    CHECK(Checked(Compact(json{{"alg", name}, {"kid", "k1"}}.dump(), claims, ""), keys).code() ==
          Code::kUnauthenticated);
  }
  SECTION("HS256 with the public key") {
    const std::string text = EncodeBase64Url(json{{"alg", "HS256"}, {"kid", "k1"}}.dump()) + "." +
                             EncodeBase64Url(claims);
    const std::string secret = key.PublicPem();
    std::string mac(32, '\0');
    unsigned size = 32;
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(mac.data()), &size);
    CHECK(Checked(text + "." + EncodeBase64Url(mac), keys).code() == Code::kUnauthenticated);
  }
  SECTION("a number for the algorithm") {
    CHECK(Checked(Compact(R"({"alg":256,"kid":"k1"})", claims, "x"), keys).code() ==
          Code::kUnauthenticated);
  }
}

TEST_CASE("a changed byte in any part is refused") {
  const JwkSet keys = SetOf({NamedJwk(KeyOf("P-256"), "k1")});
  const std::string token =
      SignedToken(KeyOf("P-256"), {{"alg", "ES256"}, {"kid", "k1"}}, GoodClaims());
  REQUIRE(Checked(token, keys).ok());

  for (size_t at = 0; at < token.size(); ++at) {
    std::string changed = token;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    CAPTURE(at);
    CHECK_FALSE(Checked(changed, keys).ok());
  }
}

TEST_CASE("an EC signature of the wrong form is refused") {
  const JwkSet keys = SetOf({NamedJwk(KeyOf("P-256"), "k1")});
  const std::string header = R"({"alg":"ES256","kid":"k1"})";
  const auto signature =
      GENERATE(as<std::string>{}, "", std::string(64, '\0'), std::string(63, 'x'),
               std::string(96, 'x'), std::string(64, '\xff'), std::string(72, '0'));

  CHECK(Checked(Compact(header, GoodClaims().dump(), signature), keys).code() ==
        Code::kUnauthenticated);
}

TEST_CASE("what nobody here understands in a header is refused") {
  const IssuerKey& key = KeyOf("Ed25519");
  const JwkSet keys = SetOf({NamedJwk(key, "k1")});
  json header = {{"alg", "EdDSA"}, {"kid", "k1"}};
  const auto more = GENERATE(as<std::string>{}, "crit", "b64", "cty");
  header[more] = more == "crit" ? json::array({"exp"}) : json(more == "cty" ? "JWT" : "x");

  const Status refused = Checked(SignedToken(key, header, GoodClaims()), keys);
  CHECK(refused.code() == Code::kUnauthenticated);
}

TEST_CASE("keys that a token brings along do not count") {
  const IssuerKey own("P-256");
  json header = {{"alg", "ES256"}, {"kid", "k1"}, {"jku", "https://evil.example/keys"}};
  header["jwk"] = own.Jwk();

  const Status refused =
      Checked(SignedToken(own, header, GoodClaims()), SetOf({NamedJwk(KeyOf("P-256"), "k1")}));
  CHECK(refused.code() == Code::kUnauthenticated);
}

TEST_CASE("what is no token is refused, and never repeated") {
  const auto text =
      GENERATE(as<std::string>{}, "", ".", "..", "...", "a.b", "secretsecret", "a.b.c.d",
               "e30.e30.e30=", "e30.e30.e3 0", "e30.bm8.", "!!!.e30.e30", std::string(1 << 20, 'a'),
               "eyJhbGciOiJSUzI1NiIsImFsZyI6Im5vbmUifQ.e30.e30");
  const auto parsed = ParseJwt(text);

  REQUIRE(parsed.status().code() == Code::kUnauthenticated);
  CHECK(parsed.status().message().size() < 200);
  CHECK(parsed.status().message().find("secretsecret") == std::string::npos);
}

TEST_CASE("a name that comes twice, or too deep a tree, is refused") {
  const std::string header = R"({"alg":"RS256"})";
  const std::string deep = R"({"a":)" + std::string(2000, '[') + std::string(2000, ']') + "}";
  const auto claims =
      GENERATE_COPY(as<std::string>{}, R"({"sub":"a","sub":"b"})", R"({"x":{"y":1,"y":2}})", deep,
                    R"([1])", R"("text")", "{}{}", "{\"a\":\"\xff\"}");
  CHECK(ParseJwt(Compact(header, claims, "x")).status().code() == Code::kUnauthenticated);
}

TEST_CASE("each claim is checked, and the refusal names it") {
  struct Row {
    const char* claim;
    json value;
    const char* says;  // empty: it is taken
  };
  const std::vector<Row> rows = {
      {"iss", "https://issuer.example/", "iss"},
      {"iss", json::array({"https://issuer.example"}), "iss"},
      {"iss", nullptr, "iss"},
      {"aud", "interlink", ""},
      {"aud", json::array({"other", "site-x"}), ""},
      {"aud", "inter", "aud"},
      {"aud", json::array(), "aud"},
      {"aud", json::array({1, "interlink"}), "aud"},
      {"aud", nullptr, "aud"},
      {"exp", kNow - 29, ""},
      {"exp", kNow - 30, "exp"},
      {"exp", static_cast<double>(kNow) + 0.5, ""},
      {"exp", "1900000000", "exp"},
      {"exp", 1e300, "exp"},
      {"exp", -1, "exp"},
      {"exp", nullptr, "exp"},
      {"nbf", kNow + 30, ""},
      {"nbf", kNow + 31, "nbf"},
      {"nbf", "soon", "nbf"},
      {"iat", kNow + 31, "iat"},
  };
  for (const Row& row : rows) {
    json claims = GoodClaims();
    if (row.value.is_null()) {
      claims.erase(row.claim);
    } else {
      claims[row.claim] = row.value;
    }
    const auto parsed = JwtClaims::Parse(claims.dump());
    REQUIRE(parsed.ok());
    const Status checked = CheckClaims(*parsed, kRules, kNow);
    CAPTURE(row.claim, row.value.dump(), checked.ToString());
    CHECK(checked.ok() == (*row.says == '\0'));
    CHECK(checked.message().find(row.says) != std::string::npos);
  }
}

TEST_CASE("a claim is found by its path, whatever its names hold") {
  const auto claims = JwtClaims::Parse(
      R"({"kubernetes.io":{"namespace":"hpc","pod":{"name":"p"}},"groups":["a","b"],"one":"x"})");
  REQUIRE(claims.ok());

  CHECK(claims->String({"kubernetes.io", "namespace"}) == "hpc");
  CHECK_FALSE(claims->String({"kubernetes", "io", "namespace"}));
  CHECK_FALSE(claims->String({"kubernetes.io", "pod"}));
  CHECK(claims->Strings({"groups"}) == std::vector<std::string>{"a", "b"});
  CHECK(claims->Strings({"one"}) == std::vector<std::string>{"x"});
  CHECK_FALSE(JwtClaims().String({"x"}));
}

TEST_CASE("a key set is what RFC 7517 says, within limits") {
  SECTION("what cannot be used is passed over") {
    const JwkSet set = SetOf({NamedJwk(KeyOf("RSA"), "good"),
                              {{"kty", "oct"}, {"k", "c2VjcmV0"}, {"kid", "secret"}},
                              NamedJwk(IssuerKey("P-521"), "curve"),
                              NamedJwk(IssuerKey("RSA", 1024), "short"),
                              {{"kty", "EC"}, {"crv", "P-256"}, {"x", "AAAA"}, {"y", "AAAA"}},
                              json("no object")});
    CHECK(set.size() == 1);
    CHECK(set.Has("good"));
    CHECK_FALSE(set.Has("short"));
  }
  SECTION("a key that is for something else") {
    json for_encryption = NamedJwk(KeyOf("RSA"), "a");
    for_encryption["use"] = "enc";
    json to_sign = NamedJwk(KeyOf("RSA"), "b");
    to_sign["key_ops"] = json::array({"sign"});
    json of_other_algorithm = NamedJwk(KeyOf("RSA"), "c");
    of_other_algorithm["alg"] = "ES256";
    CHECK_FALSE(
        JwkSet::Parse(
            json{{"keys", json::array({for_encryption, to_sign, of_other_algorithm})}}.dump())
            .ok());
  }
  SECTION("a point that is not on its curve") {
    json jwk = NamedJwk(KeyOf("P-256"), "k");
    jwk["y"] = jwk["x"];
    CHECK_FALSE(JwkSet::Parse(json{{"keys", json::array({jwk})}}.dump()).ok());
  }
  SECTION("an exponent that makes each check expensive, or none") {
    for (const std::string& e :
         {std::string(1, '\x01'), std::string(1, '\x04'), std::string(9, '\xff')}) {
      json jwk = NamedJwk(KeyOf("RSA"), "k");
      jwk["e"] = EncodeBase64Url(e);
      CHECK_FALSE(JwkSet::Parse(json{{"keys", json::array({jwk})}}.dump()).ok());
    }
  }
  SECTION("too many, or no set") {
    const json many(std::vector<json>(10'000, NamedJwk(KeyOf("Ed25519"), "k")));
    CHECK(Mentions(JwkSet::Parse(json{{"keys", many}}.dump()).status(), "10000 keys"));
    for (const char* text : {"", "<html>", "[]", "{}", R"({"keys":{}})", R"({"keys":[]})"})
      CHECK_FALSE(JwkSet::Parse(text).ok());
    CHECK_FALSE(JwkSet::Parse(std::string((1 << 20) + 1, ' ')).ok());
  }
}

TEST_CASE("base64url is strict: each value has one text") {
  CHECK(DecodeBase64Url("").value() == "");
  CHECK(DecodeBase64Url("_-8").value() == "\xff\xef");
  CHECK(DecodeBase64Url("Zm9v").value() == "foo");
  for (const char* text :
       {"Zm9vYg==", "Zm9v\n", "Zm 9v", "Zm9vY", "Zm9vYh", "+/8", "Zg=", "\xc3\xa9"})
    CHECK_FALSE(DecodeBase64Url(text).ok());
}

}  // namespace
}  // namespace interlink::auth
