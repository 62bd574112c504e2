#include "auth/verified_tokens.h"

#include <catch2/catch.hpp>
#include <string>

namespace interlink::auth {
namespace {

Sha256Digest Number(int i) { return Sha256(std::to_string(i)); }

TEST_CASE("a token is found by all of its bytes") {
  VerifiedTokens tokens;
  const auto keys = std::make_shared<const JwkSet>();
  tokens.Keep(Sha256("a.b.c"), {3, keys, *JwtClaims::Parse(R"({"sub":"n"})")});

  const auto found = tokens.Find(Sha256("a.b.c"));
  REQUIRE(found);
  CHECK(found->issuer == 3);
  CHECK(found->keys == keys);
  CHECK(found->claims.String({"sub"}) == "n");
  CHECK_FALSE(tokens.Find(Sha256("a.b.C")));
  CHECK_FALSE(tokens.Find(Sha256("a.b.")));
  CHECK_FALSE(tokens.Find(Sha256("")));
}

TEST_CASE("no more than so many are kept, and those that are asked for stay") {
  VerifiedTokens tokens(100);
  for (int i = 0; i < 1000; ++i) {
    tokens.Keep(Number(i), {});
    CHECK(tokens.Find(Number(0)));
  }
  size_t kept = 0;
  for (int i = 999; i >= 0; --i) kept += tokens.Find(Number(i)) ? 1U : 0U;

  CHECK(kept >= 50);
  CHECK(kept <= 100);
  CHECK(tokens.Find(Number(999)));
}

}  // namespace
}  // namespace interlink::auth
