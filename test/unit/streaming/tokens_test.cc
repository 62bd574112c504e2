#include "streaming/tokens.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <set>
#include <thread>
#include <vector>

#include "support/manual_clock.h"

namespace interlink::streaming {
namespace {

using Kind = node::StreamRequest::Kind;
using test::ManualClock;

node::StreamRequest RequestOf(Kind kind, const std::string& container = "c") {
  node::StreamRequest request;
  request.kind = kind;
  request.container = ContainerId(container);
  return request;
}

TEST_CASE("a token stands for its request once") {
  ManualClock clock;
  Tokens tokens(clock);
  const auto token = tokens.Mint(RequestOf(Kind::kExec, "mine"));
  REQUIRE(token.ok());

  CHECK(tokens.Look(Kind::kExec, *token)->container.str() == "mine");
  CHECK(tokens.Take(Kind::kExec, *token)->container.str() == "mine");
  CHECK_FALSE(tokens.Take(Kind::kExec, *token));
  CHECK_FALSE(tokens.Look(Kind::kExec, *token));
}

TEST_CASE("tokens are long, differ and need no escape in a path") {
  ManualClock clock;
  Tokens tokens(clock);
  std::set<std::string> seen;
  for (int i = 0; i < 500; ++i) {
    const auto token = tokens.Mint(RequestOf(Kind::kExec));
    REQUIRE(token.ok());
    CHECK(token->size() == 32);  // of 6 bits each
    CHECK(token->find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-"
                                   "_") == std::string::npos);
    CHECK(seen.insert(*token).second);
  }
  std::set<char> letters;
  for (const std::string& token : seen) letters.insert(token.begin(), token.end());
  CHECK(letters.size() == 64);
}

TEST_CASE("a token of another kind, and one that was never minted, stand for nothing") {
  ManualClock clock;
  Tokens tokens(clock);
  const auto token = tokens.Mint(RequestOf(Kind::kExec));
  REQUIRE(token.ok());

  CHECK_FALSE(tokens.Take(Kind::kAttach, *token));
  CHECK_FALSE(tokens.Take(Kind::kPortForward, *token));
  CHECK_FALSE(tokens.Take(Kind::kExec, ""));
  CHECK_FALSE(tokens.Take(Kind::kExec, *token + "A"));
  CHECK(tokens.Take(Kind::kExec, *token));
}

TEST_CASE("a token lives for a minute") {
  ManualClock clock;
  Tokens tokens(clock);
  const auto early = tokens.Mint(RequestOf(Kind::kExec));
  const auto late = tokens.Mint(RequestOf(Kind::kExec));
  REQUIRE((early.ok() && late.ok()));

  clock.Advance(std::chrono::seconds(59));
  CHECK(tokens.Take(Kind::kExec, *early));
  clock.Advance(std::chrono::seconds(1));
  CHECK_FALSE(tokens.Look(Kind::kExec, *late));
  CHECK_FALSE(tokens.Take(Kind::kExec, *late));
}

TEST_CASE("a thousand tokens may be unused; use and age make room") {
  ManualClock clock;
  Tokens tokens(clock);
  std::string first;
  for (size_t i = 0; i < Tokens::kMaxUnused; ++i) {
    const auto token = tokens.Mint(RequestOf(Kind::kExec));
    REQUIRE(token.ok());
    if (i == 0) first = *token;
  }
  CHECK(tokens.Mint(RequestOf(Kind::kExec)).status().code() == Code::kResourceExhausted);

  CHECK(tokens.Take(Kind::kExec, first));
  CHECK(tokens.Mint(RequestOf(Kind::kExec)).ok());
  CHECK(tokens.Mint(RequestOf(Kind::kExec)).status().code() == Code::kResourceExhausted);
  clock.Advance(Tokens::kLife);
  CHECK(tokens.Mint(RequestOf(Kind::kExec)).ok());
}

TEST_CASE("of those who come at once with one token one gets it") {
  ManualClock clock;
  Tokens tokens(clock);
  for (int round = 0; round < 50; ++round) {
    const auto token = tokens.Mint(RequestOf(Kind::kExec));
    REQUIRE(token.ok());
    std::atomic<int> got = 0;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] { got += tokens.Take(Kind::kExec, *token) ? 1 : 0; });
    }
    CHECK(got == 1);
  }
}

}  // namespace
}  // namespace interlink::streaming
