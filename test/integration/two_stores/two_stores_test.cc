// The real node and the real site, with crashes, lost and late messages and restored backups at
// random moments: no duplicate, no orphan, no lost exit (DESIGN 6).
//
// INTERLINK_TWO_STORES_SEED and INTERLINK_TWO_STORES_ROUNDS choose another or a longer walk.
#include <cstdlib>
#include <iostream>

#include "two_stores_lab.h"

namespace interlink::test {
namespace {

uint32_t Number(const char* variable, uint32_t otherwise) {
  const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): before any thread
  return text == nullptr ? otherwise : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

constexpr int kCallsPerRound = 30;

struct Walk {
  Weather weather;
  bool crashes;
  bool restores;
};

void Rounds(const Walk& walk, uint32_t rounds) {
  const uint32_t first = Number("INTERLINK_TWO_STORES_SEED", 1);
  for (uint32_t round = 0; round < Number("INTERLINK_TWO_STORES_ROUNDS", rounds); ++round) {
    const uint32_t seed = first + round;
    INFO("seed " << seed);
    std::mt19937 random(seed);
    const auto below = [&random](int n) {
      return std::uniform_int_distribution<int>(0, n - 1)(random);
    };
    TwoStoresLab lab(seed);
    lab.direct.SetWeather(walk.weather);
    // One restore a round, of one of the two: with both stores back in time nobody remembers.
    const int restore_at = walk.restores ? kCallsPerRound / 2 + below(kCallsPerRound / 2) : -1;
    const int backup_at = below(kCallsPerRound / 2);
    for (int i = 0; i < kCallsPerRound; ++i) {
      lab.RandomCall();
      lab.CheckNoDuplicate();
      if (below(6) == 0) lab.RandomExit();
      if (below(10) == 0) lab.direct.CutStreams();
      if (i == backup_at) lab.KeepBackups();
      if (i == restore_at) {
        below(2) == 0 ? lab.RestoreSite() : lab.RestoreNode();
        lab.WaitLinked();
      }
      if (!walk.crashes || below(8) != 0) continue;
      if (below(2) == 0) {
        lab.KillSite();
        if (below(2) == 0) lab.RandomCall();
        lab.BootSite();
      } else {
        lab.KillNode();
        lab.BootNode();
      }
      if (below(2) == 0) lab.WaitLinked();
    }
    lab.direct.SetWeather({});
    lab.WaitLinked();
    lab.CheckSettled();
    lab.CheckNoDuplicate();
    lab.CheckRemovesAll();
    lab.CheckNoDuplicate();
  }
}

TEST_CASE("Calls alone leave no duplicate, no orphan and lose no exit") {
  Rounds({{}, false, false}, 4);
}

TEST_CASE("Neither do lost and late messages") { Rounds({{10, 10, 10}, false, false}, 6); }

TEST_CASE("Neither do crashes of either side, with a bad network") {
  Rounds({{5, 5, 5}, true, false}, 8);
}

TEST_CASE("Neither do backups that are restored on either side") {
  Rounds({{5, 5, 5}, true, true}, 8);
}

}  // namespace
}  // namespace interlink::test
