// The real node and the real site on random walks: crashes between calls and in the middle of
// commits, lost, late and repeated messages, full disks, lost stores and restored backups at any
// moment. No duplicate, no orphan, no lost exit, nothing killed that nobody asked to end (DESIGN
// 6).
//
// INTERLINK_WALKS=first:count takes other walks. Threads decide as well, so a seed gives a walk's
// steps, not their exact interleaving: repeat a failed one, its story is on stderr.
#include <cstdlib>
#include <exception>
#include <iostream>

#include "two_stores_lab.h"

namespace interlink::test {
namespace {

struct Walks {
  uint32_t first = 1;
  uint32_t count;
};

Walks WalksOf(uint32_t count) {
  const char* text = std::getenv("INTERLINK_WALKS");  // NOLINT(concurrency-mt-unsafe): one thread
  if (text == nullptr) return {1, count};
  char* end = nullptr;
  Walks walks{static_cast<uint32_t>(std::strtoul(text, &end, 10)), 0};
  if (*end == ':') walks.count = static_cast<uint32_t>(std::strtoul(end + 1, &end, 10));
  INFO("INTERLINK_WALKS must be first:count, e.g. 100:20, not " << text);
  REQUIRE((*end == '\0' && walks.count > 0));
  return walks;
}

constexpr int kCallsPerWalk = 30;

enum class Backups { kNone, kOneSide, kBothSides };

struct Perils {
  Weather weather = {};
  bool crashes = false;
  Backups backups = Backups::kNone;  // restored
  bool losses = false;               // of stores, on the sides that are restored
  bool full_disks = false;
  bool backend_away = false;  // for a while it takes no work
};

class Walk {
 public:
  Walk(const Perils& perils, uint32_t seed) : perils_(perils), random_(seed), lab_(seed) {
    lab_.direct.SetWeather(perils.weather);
  }
  ~Walk() {
    if (std::uncaught_exceptions() > 0) std::cerr << "the walk's story: " << lab_.story() << "\n";
  }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  void Go() {
    // What one side forgets the other remembers: it is the same side all along.
    const bool site_forgets = OneIn(2);
    for (int i = 0; i < kCallsPerWalk; ++i) {
      if (perils_.full_disks && OneIn(8)) lab_.RandomCallOnFullDisk();
      lab_.RandomCall();
      lab_.CheckNoDuplicate();
      if (OneIn(6)) lab_.RandomExit();
      if (OneIn(10)) lab_.direct.CutStreams();
      if (perils_.backend_away && OneIn(4)) lab_.SetBackendAway(OneIn(2));
      if (perils_.crashes && OneIn(7)) Crash();
      if (perils_.backups != Backups::kNone && OneIn(5)) lab_.KeepBackups();
      if (perils_.backups != Backups::kNone && OneIn(9)) Restore(site_forgets);
      if (perils_.losses && OneIn(12)) Lose(site_forgets);
      lab_.CheckNoDuplicate();
    }
    lab_.direct.SetWeather({});
    lab_.SetBackendAway(false);
    lab_.WaitLinked();
    lab_.CheckSettled();
    lab_.CheckNoDuplicate();
    lab_.CheckRemovesAll();
    lab_.CheckNoDuplicate();
  }
  int hung() const { return lab_.hung(); }

 private:
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  bool OneIn(int n) { return Below(n) == 0; }
  void Crash() {
    if (OneIn(2)) {
      lab_.CrashAmidCommits();
    } else if (OneIn(2)) {
      lab_.KillSite();
      if (OneIn(2)) lab_.RandomCall();
      lab_.BootSite();
    } else {
      lab_.KillNode();
      lab_.BootNode();
    }
    if (OneIn(2)) lab_.WaitLinked();
  }
  void Restore(bool site_forgets) {
    if (perils_.backups == Backups::kBothSides && OneIn(2)) {
      lab_.RestoreBoth();
    } else {
      SiteForgets(site_forgets) ? lab_.RestoreSite() : lab_.RestoreNode();
    }
    lab_.WaitLinked();
  }
  void Lose(bool site_forgets) {
    SiteForgets(site_forgets) ? lab_.LoseSite() : lab_.LoseNode();
    lab_.WaitLinked();
  }
  // True: the site is the side that forgets. Where it may be either, one after the other has the
  // effect of both at once.
  bool SiteForgets(bool site_forgets) {
    if (perils_.backups != Backups::kBothSides) return site_forgets;
    lab_.AllowOneMoreStart();
    return OneIn(2);
  }

  const Perils perils_;
  std::mt19937 random_;
  TwoStoresLab lab_;
};

void Take(const Perils& perils, uint32_t count) {
  const Walks walks = WalksOf(count);
  int hung = 0;
  for (uint32_t seed = walks.first; seed < walks.first + walks.count; ++seed) {
    INFO("seed " << seed << ": again with INTERLINK_WALKS=" << seed << ":1");
    Walk walk(perils, seed);
    walk.Go();
    hung += walk.hung();
  }
  std::cout << walks.count << " walks, " << hung << " crashes in the middle of a commit\n";
}

// Both stores come back from when the pod's first try was unfinished; since then it was removed,
// and the next try lives. The site imports that one, and the node repeats the first: held, it was
// run again beside the life that had been imported.
TEST_CASE("A creation that two backups bring back does not run beside the pod's next life") {
  TwoStoresLab lab(1);
  lab.SetBackendAway(true);
  REQUIRE_FALSE(lab.RunPod("p", 0).ok());
  lab.KeepBackups();
  lab.SetBackendAway(false);
  const SandboxId first = lab.RunPodUp("p", 0);
  REQUIRE(Eventually([&] { return lab.RemovePod(first).ok(); }));
  const SandboxId next = lab.RunPodUp("p", 1);

  lab.RestoreBoth(1);
  lab.WaitLinked();

  CHECK_FALSE(lab.RunPod("p", 0).ok());  // at the site by now, and waiting
  lab.CheckNoDuplicate();
  lab.CheckSettled();
  REQUIRE(Eventually([&] { return lab.RemovePod(next).ok(); }));
  CHECK(Eventually([&] { return lab.RunPod("p", 0).ok(); }));
  lab.CheckNoDuplicate();
  lab.CheckRemovesAll();
}

TEST_CASE("Nor does a container's creation beside the container's next life") {
  TwoStoresLab lab(1);
  const SandboxId in = lab.RunPodUp("p", 0);
  lab.SetBackendAway(true);
  REQUIRE_FALSE(lab.CreateUnit(in, "c", 0).ok());
  lab.KeepBackups();
  lab.SetBackendAway(false);
  const ContainerId first = lab.CreateUnitUp(in, "c", 0);
  REQUIRE(Eventually([&] { return lab.RemoveUnit(first).ok(); }));
  lab.CreateUnitUp(in, "c", 1);

  lab.RestoreBoth(1);
  lab.WaitLinked();

  CHECK_FALSE(lab.CreateUnit(in, "c", 0).ok());
  {
    MutexLock lock(lab.world.mutex);
    CHECK(lab.world.units.size() == 1);
  }
  lab.CheckRemovesAll();
}

// A lost store has linked, and before the site's list is in it the node is killed. The next start
// took the store for one that knows what it has: lists lacked what lives, and removes of it were
// answered OK.
TEST_CASE("A new store tells no list before the site's is in it, a crash in between included") {
  TwoStoresLab lab(1);
  const SandboxId pod = lab.RunPodUp("p", 0);
  lab.direct.HoldEvents(true);
  lab.LoseNode();
  REQUIRE(Eventually([&lab] { return lab.TakeOverWhereAsked(); }));
  CHECK_FALSE(lab.ListPods().has_value());

  lab.KillNode();
  lab.BootNode();

  CHECK_FALSE(lab.ListPods().has_value());
  CHECK_FALSE(lab.RemovePod(pod).ok());
  lab.direct.HoldEvents(false);
  lab.WaitLinked();
  CHECK(lab.ListPods()->items_size() == 1);
  lab.CheckRemovesAll();
}

TEST_CASE("Calls alone leave no duplicate, no orphan and lose no exit") { Take({}, 2); }

TEST_CASE("Neither do lost, late and repeated messages") {
  Take({.weather = {10, 10, 10, 15, 15}}, 4);
}

TEST_CASE("Neither do crashes of either side, also in the middle of a commit") {
  Take({.weather = {5, 5, 5, 10, 10}, .crashes = true}, 6);
}

TEST_CASE("Neither do backups of one side that are restored at any moment") {
  Take({.weather = {5, 5, 5, 10, 10}, .crashes = true, .backups = Backups::kOneSide}, 4);
}

TEST_CASE("Neither does one side that loses its store, with the takeover by a person") {
  Take({.weather = {5, 5, 5, 10, 10}, .crashes = true, .losses = true}, 4);
}

TEST_CASE("Neither do restored backups and lost stores of both sides, and full disks") {
  Take({.weather = {5, 5, 5, 10, 10},
        .crashes = true,
        .backups = Backups::kBothSides,
        .losses = true,
        .full_disks = true,
        .backend_away = true},
       3);
}

}  // namespace
}  // namespace interlink::test
