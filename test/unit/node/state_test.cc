// The pure state functions.
#include "node/state.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <vector>

namespace interlink::node {
namespace {

using namespace interlink::v1;  // NOLINT(google-build-using-namespace): the tables below stay
                                // readable
using runtime::v1::ContainerState;
using runtime::v1::PodSandboxState;

TEST_CASE("A sandbox is shown by what was seen of it, never by what is wanted") {
  struct Row {
    Wanted wanted;
    Seen seen;
    bool failure;
    bool abandoned;
    bool exited;
    std::optional<PodSandboxState> shown;
  };
  const auto row = GENERATE(values<Row>({
      {WANTED_CREATE, SEEN_NOTHING, false, false, true, {}},
      {WANTED_CREATE, SEEN_PENDING, false, false, true, {}},
      {WANTED_CREATE, SEEN_UP, false, false, true, runtime::v1::SANDBOX_READY},
      {WANTED_CREATE, SEEN_UP, false, true, true, {}},
      {WANTED_STOP, SEEN_PENDING, false, false, true, {}},
      {WANTED_STOP, SEEN_UP, false, false, true, runtime::v1::SANDBOX_READY},
      {WANTED_REMOVE, SEEN_UP, false, false, true, runtime::v1::SANDBOX_READY},
      {WANTED_STOP, SEEN_DOWN, false, false, false, runtime::v1::SANDBOX_READY},
      {WANTED_STOP, SEEN_DOWN, false, false, true, runtime::v1::SANDBOX_NOTREADY},
      {WANTED_CREATE, SEEN_DOWN, false, false, true, runtime::v1::SANDBOX_NOTREADY},
      {WANTED_CREATE, SEEN_DOWN, true, false, true, {}},
      {WANTED_REMOVE, SEEN_DOWN, false, false, true, runtime::v1::SANDBOX_NOTREADY},
      {WANTED_REMOVE, SEEN_GONE, false, false, true, {}},
  }));
  StoredNodeSandbox sandbox;
  sandbox.set_wanted(row.wanted);
  sandbox.set_abandoned(row.abandoned);
  sandbox.mutable_fact()->set_seen(row.seen);
  if (row.failure) sandbox.mutable_fact()->mutable_failure()->set_code(3);

  CHECK(Shown(sandbox, row.exited) == row.shown);
}

TEST_CASE("A container is RUNNING from the committed start on and EXITED once its exit is told") {
  struct Row {
    Wanted wanted;
    Seen seen;
    bool exit_shown;
    std::optional<ContainerState> shown;
  };
  const auto row = GENERATE(values<Row>({
      {WANTED_CREATE, SEEN_NOTHING, false, {}},
      {WANTED_CREATE, SEEN_CREATED, false, runtime::v1::CONTAINER_CREATED},
      {WANTED_START, SEEN_CREATED, false, runtime::v1::CONTAINER_RUNNING},
      {WANTED_START, SEEN_UP, false, runtime::v1::CONTAINER_RUNNING},
      {WANTED_CREATE, SEEN_UP, false, runtime::v1::CONTAINER_RUNNING},
      {WANTED_STOP, SEEN_UP, false, runtime::v1::CONTAINER_RUNNING},
      {WANTED_STOP, SEEN_CREATED, false, runtime::v1::CONTAINER_CREATED},
      {WANTED_START, SEEN_DOWN, false, runtime::v1::CONTAINER_RUNNING},
      {WANTED_START, SEEN_DOWN, true, runtime::v1::CONTAINER_EXITED},
      {WANTED_REMOVE, SEEN_DOWN, true, runtime::v1::CONTAINER_EXITED},
      {WANTED_REMOVE, SEEN_GONE, false, {}},
  }));
  StoredNodeContainer container;
  container.set_wanted(row.wanted);
  container.set_exit_shown(row.exit_shown);
  container.mutable_fact()->set_seen(row.seen);

  CHECK(Shown(container) == row.shown);
}

TEST_CASE("A container whose start was committed is never CREATED again") {
  StoredNodeContainer container;
  container.set_started(true);
  container.set_wanted(GENERATE(WANTED_START, WANTED_STOP, WANTED_REMOVE));
  container.mutable_fact()->set_seen(SEEN_CREATED);

  CHECK(Shown(container) == runtime::v1::CONTAINER_RUNNING);
}

TEST_CASE("Facts are ordered by rank, then epoch, then revision") {
  const auto fact = [](Seen seen, uint64_t epoch, uint64_t revision) {
    SandboxRecord record;
    record.set_seen(seen);
    record.set_epoch(epoch);
    record.set_revision(revision);
    return record;
  };
  CHECK(IsNewer(fact(SEEN_DOWN, 1, 1), fact(SEEN_UP, 9, 9)));
  CHECK_FALSE(IsNewer(fact(SEEN_UP, 9, 9), fact(SEEN_DOWN, 1, 1)));
  CHECK(IsNewer(fact(SEEN_UP, 2, 1), fact(SEEN_UP, 1, 9)));
  CHECK(IsNewer(fact(SEEN_UP, 1, 2), fact(SEEN_UP, 1, 1)));
  CHECK_FALSE(IsNewer(fact(SEEN_UP, 1, 1), fact(SEEN_UP, 1, 1)));
}

TEST_CASE("A lost container says 255, Error and why") {
  ContainerRecord fact;
  fact.mutable_failure()->set_code(9);

  MarkLost("the site has nothing of it", 77, fact);

  CHECK(fact.seen() == SEEN_DOWN);
  CHECK(fact.exit_code() == 255);
  CHECK(fact.reason() == "Error");
  CHECK(fact.message() == "lost: the site has nothing of it");
  CHECK(fact.finished_ns() == 77);
  CHECK_FALSE(fact.has_failure());
}

// --- the whole product of what Shown looks at. Millions of pairs: what breaks a rule is counted
// and named, and each rule is checked once.

constexpr std::array kAllWanted = {WANTED_UNSPECIFIED, WANTED_CREATE, WANTED_START, WANTED_STOP,
                                   WANTED_REMOVE};
// So many pairs of states may follow each other.
constexpr size_t kSandboxPairs = 182'250;
constexpr size_t kContainerPairs = 152'730;

constexpr std::array kAllSeen = {SEEN_NOTHING, SEEN_PENDING, SEEN_CREATED,
                                 SEEN_UP,      SEEN_DOWN,    SEEN_GONE};

struct Broken {
  size_t count = 0;
  std::string first;
  void Add(const std::string& what) {
    if (count++ == 0) first = what;
  }
};

struct ShownSandbox {
  StoredNodeSandbox sandbox;
  bool exited = false;
  std::optional<PodSandboxState> shown;

  const SandboxRecord& fact() const { return sandbox.fact(); }
  // A failed start is told as DOWN; nothing below has a failure.
  bool Possible() const { return !fact().has_failure() || fact().seen() >= SEEN_DOWN; }
  // Not listed, READY, NOTREADY, gone.
  int Rank() const {
    if (shown) return shown == runtime::v1::SANDBOX_READY ? 1 : 2;
    return sandbox.abandoned() || fact().seen() == SEEN_GONE ? 3 : 0;
  }
  std::string Text() const {
    return sandbox.ShortDebugString() + (exited ? " exited" : "") + " shown " +
           (shown ? runtime::v1::PodSandboxState_Name(*shown) : "not at all");
  }
};

std::vector<ShownSandbox> AllSandboxes() {
  std::vector<ShownSandbox> all;
  for (const Wanted wanted : kAllWanted) {
    for (const Wanted told : kAllWanted) {
      for (const Seen seen : kAllSeen) {
        for (unsigned bits = 0; bits < 16; ++bits) {
          ShownSandbox item;
          item.sandbox.set_wanted(wanted);
          item.sandbox.set_abandoned((bits & 1U) != 0);
          auto& fact = *item.sandbox.mutable_fact();
          fact.set_wanted(told);
          fact.set_seen(seen);
          if ((bits & 2U) != 0) fact.set_up_ns(5);
          if ((bits & 4U) != 0) fact.mutable_failure()->set_code(3);
          item.exited = (bits & 8U) != 0;
          item.shown = Shown(item.sandbox, item.exited);
          all.push_back(std::move(item));
        }
      }
    }
  }
  return all;
}

// Facts and requests that may turn `a` into `b`: nothing falls, and only what never was up fails.
bool MayBecome(const ShownSandbox& a, const ShownSandbox& b) {
  const bool failed = a.fact().has_failure();
  const bool fails = b.fact().has_failure();
  return a.sandbox.wanted() <= b.sandbox.wanted() && a.fact().wanted() <= b.fact().wanted() &&
         a.fact().seen() <= b.fact().seen() && a.sandbox.abandoned() <= b.sandbox.abandoned() &&
         a.fact().up_ns() <= b.fact().up_ns() && a.exited <= b.exited && failed <= fails &&
         (failed == fails || a.fact().seen() < SEEN_UP);
}

TEST_CASE("In every state a sandbox is not listed, READY or NOTREADY, by what was seen alone") {
  const auto all = AllSandboxes();
  CHECK(all.size() == 5 * 5 * 6 * 16);
  Broken early;
  Broken listed_gone;
  Broken not_ready;
  Broken unlisted;
  Broken by_wish;
  for (const ShownSandbox& item : all) {
    const Seen seen = item.fact().seen();
    const bool listed = item.shown.has_value();
    if (listed && seen < SEEN_UP) early.Add(item.Text());
    if (listed && (seen == SEEN_GONE || item.sandbox.abandoned())) listed_gone.Add(item.Text());
    if (item.shown == runtime::v1::SANDBOX_NOTREADY && (seen != SEEN_DOWN || !item.exited))
      not_ready.Add(item.Text());
    const bool was_up = seen == SEEN_UP || (seen == SEEN_DOWN && item.fact().up_ns() != 0);
    if (was_up && !item.sandbox.abandoned() && !listed) unlisted.Add(item.Text());
    ShownSandbox other = item;
    other.sandbox.set_wanted(WANTED_CREATE);
    other.sandbox.mutable_fact()->set_wanted(WANTED_CREATE);
    if (Shown(other.sandbox, other.exited) != item.shown) by_wish.Add(item.Text());
  }
  for (const Broken& rule : {early, listed_gone, not_ready, unlisted, by_wish}) {
    INFO(rule.first);
    CHECK(rule.count == 0);
  }
}

TEST_CASE("What is shown of a sandbox never falls back when more is wanted or seen") {
  auto all = AllSandboxes();
  std::erase_if(all, [](const ShownSandbox& item) { return !item.Possible(); });
  size_t pairs = 0;
  Broken falls;
  for (const ShownSandbox& a : all) {
    for (const ShownSandbox& b : all) {
      if (!MayBecome(a, b)) continue;
      ++pairs;
      if (b.Rank() < a.Rank()) falls.Add(a.Text() + " -> " + b.Text());
    }
  }
  INFO(falls.first);
  CHECK(falls.count == 0);
  CHECK(pairs == kSandboxPairs);
}

struct ShownContainer {
  StoredNodeContainer container;
  std::optional<ContainerState> shown;

  const ContainerRecord& fact() const { return container.fact(); }
  bool Started() const {
    return container.started() || container.wanted() == WANTED_START || WasStarted(fact());
  }
  // `started` is stored with the start, an exit is shown of what has ended, and a creation that
  // failed is told as DOWN.
  bool Possible() const {
    return Started() == container.started() &&
           (!container.exit_shown() || fact().seen() >= SEEN_DOWN) &&
           (!fact().has_failure() || fact().seen() >= SEEN_DOWN);
  }
  // Not listed, CREATED, RUNNING, EXITED, gone.
  int Rank() const {
    if (shown) return 1 + static_cast<int>(*shown);
    return container.abandoned() || fact().seen() == SEEN_GONE ? 4 : 0;
  }
  std::string Text() const {
    return container.ShortDebugString() + " shown " +
           (shown ? runtime::v1::ContainerState_Name(*shown) : "not at all");
  }
};

std::vector<ShownContainer> AllContainers() {
  std::vector<ShownContainer> all;
  for (const Wanted wanted : kAllWanted) {
    for (const Wanted told : kAllWanted) {
      for (const Seen seen : kAllSeen) {
        for (unsigned bits = 0; bits < 32; ++bits) {
          ShownContainer item;
          item.container.set_wanted(wanted);
          item.container.set_started((bits & 1U) != 0);
          item.container.set_exit_shown((bits & 2U) != 0);
          item.container.set_abandoned((bits & 4U) != 0);
          auto& fact = *item.container.mutable_fact();
          fact.set_wanted(told);
          fact.set_seen(seen);
          if ((bits & 8U) != 0) fact.mutable_failure()->set_code(3);
          if ((bits & 16U) != 0) fact.set_started_ns(5);
          item.shown = Shown(item.container);
          all.push_back(std::move(item));
        }
      }
    }
  }
  return all;
}

bool MayBecome(const ShownContainer& a, const ShownContainer& b) {
  const bool failed = a.fact().has_failure();
  const bool fails = b.fact().has_failure();
  return a.container.wanted() <= b.container.wanted() && a.fact().wanted() <= b.fact().wanted() &&
         a.fact().seen() <= b.fact().seen() && a.container.started() <= b.container.started() &&
         a.container.exit_shown() <= b.container.exit_shown() &&
         (a.fact().seen() < SEEN_GONE || a.container.exit_shown() == b.container.exit_shown()) &&
         a.container.abandoned() <= b.container.abandoned() &&
         a.fact().started_ns() <= b.fact().started_ns() && failed <= fails &&
         (failed == fails || a.fact().seen() < SEEN_CREATED);
}

TEST_CASE(
    "In every state a container is not listed, CREATED, RUNNING or EXITED as DESIGN 6.10 says") {
  const auto all = AllContainers();
  CHECK(all.size() == 5 * 5 * 6 * 32);
  Broken unknown;
  Broken early;
  Broken listed_abandoned;
  Broken created_again;
  Broken exit_untold;
  Broken exit_taken_back;
  Broken unlisted;
  for (const ShownContainer& item : all) {
    const Seen seen = item.fact().seen();
    const bool listed = item.shown.has_value();
    if (item.shown == runtime::v1::CONTAINER_UNKNOWN) unknown.Add(item.Text());
    if (listed && !item.container.exit_shown() && seen < SEEN_CREATED) early.Add(item.Text());
    if (listed && item.container.abandoned()) listed_abandoned.Add(item.Text());
    if (item.shown == runtime::v1::CONTAINER_CREATED && (item.Started() || seen >= SEEN_UP))
      created_again.Add(item.Text());
    if (item.shown == runtime::v1::CONTAINER_EXITED && !item.container.exit_shown())
      exit_untold.Add(item.Text());
    if (item.container.exit_shown() && !item.container.abandoned() &&
        item.shown != runtime::v1::CONTAINER_EXITED)
      exit_taken_back.Add(item.Text());
    const bool exists = seen >= SEEN_CREATED && seen < SEEN_GONE && !item.fact().has_failure();
    if (exists && !item.container.abandoned() && !listed) unlisted.Add(item.Text());
  }
  for (const Broken& rule :
       {unknown, early, listed_abandoned, created_again, exit_untold, exit_taken_back, unlisted}) {
    INFO(rule.first);
    CHECK(rule.count == 0);
  }
}

TEST_CASE("What is shown of a container never falls back when more is wanted or seen") {
  auto all = AllContainers();
  std::erase_if(all, [](const ShownContainer& item) { return !item.Possible(); });
  size_t pairs = 0;
  Broken falls;
  Broken exit_changes;
  for (const ShownContainer& a : all) {
    for (const ShownContainer& b : all) {
      if (!MayBecome(a, b)) continue;
      ++pairs;
      if (b.Rank() < a.Rank()) falls.Add(a.Text() + " -> " + b.Text());
      if (a.shown == runtime::v1::CONTAINER_EXITED && b.shown != a.shown &&
          !b.container.abandoned())
        exit_changes.Add(a.Text() + " -> " + b.Text());
    }
  }
  for (const Broken& rule : {falls, exit_changes}) {
    INFO(rule.first);
    CHECK(rule.count == 0);
  }
  CHECK(pairs == kContainerPairs);
}

// Without it a stop that overtakes the start's answer shows CREATED again.
TEST_CASE("It is the stored `started` that keeps RUNNING from falling back") {
  StoredNodeContainer before;
  before.set_wanted(WANTED_START);
  before.mutable_fact()->set_seen(SEEN_CREATED);
  StoredNodeContainer after = before;
  after.set_wanted(WANTED_STOP);

  CHECK(Shown(before) == runtime::v1::CONTAINER_RUNNING);
  CHECK(Shown(after) == runtime::v1::CONTAINER_CREATED);
  after.set_started(true);
  CHECK(Shown(after) == runtime::v1::CONTAINER_RUNNING);
}

TEST_CASE("Facts have one order, and the last of any three is the same however they come") {
  std::vector<SandboxRecord> facts;
  for (const Seen seen : kAllSeen) {
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      for (uint64_t revision = 0; revision < 3; ++revision) {
        SandboxRecord record;
        record.set_seen(seen);
        record.set_epoch(epoch);
        record.set_revision(revision);
        facts.push_back(record);
      }
    }
  }
  size_t not_total = 0;
  for (size_t a = 0; a < facts.size(); ++a) {
    for (size_t b = 0; b < facts.size(); ++b) {
      const int newer =
          (IsNewer(facts[a], facts[b]) ? 1 : 0) + (IsNewer(facts[b], facts[a]) ? 1 : 0);
      if (newer != (a == b ? 0 : 1)) ++not_total;
    }
  }
  CHECK(not_total == 0);

  size_t triples = 0;
  size_t differ = 0;
  for (size_t a = 0; a < facts.size(); ++a) {
    for (size_t b = a; b < facts.size(); ++b) {
      for (size_t c = b; c < facts.size(); ++c) {
        ++triples;
        // They were made in rising order, so the newest of the three is `c`.
        std::array<size_t, 3> order = {a, b, c};
        do {
          size_t known = order[0];
          for (const size_t next : order) {
            if (IsNewer(facts[next], facts[known])) known = next;
          }
          if (known != c) ++differ;
        } while (std::next_permutation(order.begin(), order.end()));
      }
    }
  }
  CHECK(triples == 54 * 55 * 56 / 6);
  CHECK(differ == 0);
}

TEST_CASE("Every failure that the site may tell is an error, and a known code keeps its meaning") {
  for (int code = -2; code < 40; ++code) {
    Failure failure;
    failure.set_code(code);
    failure.set_message("why");
    const Status status = FailureOf(failure);
    INFO(code);
    CHECK_FALSE(status.ok());
    CHECK(status.message() == "why");
    const bool known = code >= 1 && code <= 16;
    CHECK(static_cast<int>(status.code()) == (known ? code : static_cast<int>(Code::kInternal)));
  }
}

TEST_CASE("Between two shown states events tell every state that was gone through") {
  using runtime::v1::ContainerState;
  using Types = std::vector<runtime::v1::ContainerEventType>;
  constexpr auto kMade = runtime::v1::CONTAINER_CREATED_EVENT;
  constexpr auto kRuns = runtime::v1::CONTAINER_STARTED_EVENT;
  constexpr auto kEnds = runtime::v1::CONTAINER_STOPPED_EVENT;
  constexpr auto kGone = runtime::v1::CONTAINER_DELETED_EVENT;
  const std::optional<ContainerState> none;
  const std::optional<ContainerState> created = runtime::v1::CONTAINER_CREATED;
  const std::optional<ContainerState> running = runtime::v1::CONTAINER_RUNNING;
  const std::optional<ContainerState> exited = runtime::v1::CONTAINER_EXITED;

  CHECK(EventsBetween(none, none).empty());
  CHECK(EventsBetween(running, running).empty());
  CHECK(EventsBetween(none, created) == Types{kMade});
  CHECK(EventsBetween(none, running) == Types{kMade, kRuns});
  CHECK(EventsBetween(none, exited) == Types{kMade, kEnds});
  CHECK(EventsBetween(created, running) == Types{kRuns});
  CHECK(EventsBetween(created, exited) == Types{kEnds});
  CHECK(EventsBetween(running, exited) == Types{kEnds});
  CHECK(EventsBetween(created, none) == Types{kGone});
  CHECK(EventsBetween(running, none) == Types{kEnds, kGone});
  CHECK(EventsBetween(exited, none) == Types{kGone});

  using runtime::v1::PodSandboxState;
  const std::optional<PodSandboxState> away;
  const std::optional<PodSandboxState> ready = runtime::v1::SANDBOX_READY;
  const std::optional<PodSandboxState> ended = runtime::v1::SANDBOX_NOTREADY;
  CHECK(EventsBetween(away, away).empty());
  CHECK(EventsBetween(ready, ready).empty());
  CHECK(EventsBetween(away, ready) == Types{kMade, kRuns});
  CHECK(EventsBetween(away, ended) == Types{kMade, kEnds});
  CHECK(EventsBetween(ready, ended) == Types{kEnds});
  CHECK(EventsBetween(ready, away) == Types{kEnds, kGone});
  CHECK(EventsBetween(ended, away) == Types{kGone});
}

}  // namespace
}  // namespace interlink::node
