// The pure state functions.
#include "node/state.h"

#include <catch2/catch.hpp>

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

}  // namespace
}  // namespace interlink::node
