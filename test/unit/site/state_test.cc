// The rules of a record's state over all of their input: every state, every fact, every order of
// facts (DESIGN 6.2, 6.8). What breaks a rule is counted and named; each rule is checked once.
#include "site/state.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <functional>
#include <set>
#include <vector>

namespace interlink::site {
namespace {

using namespace interlink::v1;  // NOLINT(google-build-using-namespace): enum values
using State = sdk::Observation::State;

constexpr std::array kAllWanted = {WANTED_UNSPECIFIED, WANTED_CREATE, WANTED_START, WANTED_STOP,
                                   WANTED_REMOVE};
constexpr std::array kAllSeen = {SEEN_NOTHING, SEEN_PENDING, SEEN_CREATED,
                                 SEEN_UP,      SEEN_DOWN,    SEEN_GONE};

struct Broken {
  size_t count = 0;
  std::string first;
  void Add(const std::string& what) {
    if (count++ == 0) first = what;
  }
};

template <typename... Rules>
void CheckAll(const Rules&... rules) {
  for (const Broken& rule : {rules...}) {
    INFO(rule.first);
    CHECK(rule.count == 0);
  }
}

std::string Text(const google::protobuf::Message& message) { return message.ShortDebugString(); }

// A backend tells with each fact all that it knows by then, so a later one carries what the earlier
// ones did.
sdk::Observation ContainerFact(State state, int exit_code) {
  sdk::Observation fact;
  fact.container = ContainerId(std::string(64, 'c'));
  fact.state = state;
  if (state >= State::kCreated) {
    fact.user_known = true;
    fact.uid = 1000;
    fact.supplemental_groups = {4, 5};
  }
  if (state >= State::kUp) fact.started_ns = 6;
  if (state == State::kDown) {
    fact.exit_code = exit_code;
    fact.reason = exit_code == 0 ? "Completed" : "Error";
    fact.message = "ended with " + std::to_string(exit_code);
    fact.finished_ns = 9 + exit_code;
    fact.log_end = 100U + static_cast<unsigned>(exit_code);
    fact.termination_message = "bye " + std::to_string(exit_code);
  }
  return fact;
}

std::vector<sdk::Observation> ContainerFacts() {
  return {ContainerFact(State::kPending, 0), ContainerFact(State::kCreated, 0),
          ContainerFact(State::kUp, 0), ContainerFact(State::kDown, 0),
          ContainerFact(State::kDown, 7)};
}

sdk::Observation SandboxFact(State state, const std::string& reason) {
  sdk::Observation fact;
  fact.state = state;
  fact.reason = reason;
  fact.message = reason.empty() ? "" : "because of " + reason;
  if (state == State::kPending) fact.expected_start_ns = reason.empty() ? 0 : 77;
  fact.allocation = "job 12";
  if (state == State::kUp || state == State::kDown) fact.started_ns = 6;
  if (state == State::kUp) fact.ips = {"10.0.0.1", "fd00::1"};
  if (state == State::kDown || state == State::kFailed) fact.finished_ns = 9;
  return fact;
}

std::vector<sdk::Observation> SandboxFacts() {
  return {SandboxFact(State::kPending, ""),         SandboxFact(State::kPending, "Priority"),
          SandboxFact(State::kPending, "Reserved"), SandboxFact(State::kUp, ""),
          SandboxFact(State::kDown, "TimeLimit"),   SandboxFact(State::kFailed, "BadConstraints")};
}

std::vector<ContainerRecord> ContainerRecords() {
  std::vector<ContainerRecord> all;
  for (const Wanted wanted : kAllWanted) {
    for (const Seen seen : kAllSeen) {
      for (unsigned bits = 0; bits < 8; ++bits) {
        ContainerRecord record;
        record.set_wanted(wanted);
        record.set_seen(seen);
        record.set_epoch(3);
        record.set_revision(4);
        record.set_held((bits & 1U) != 0);
        if ((bits & 2U) != 0) record.set_started_ns(2);
        if ((bits & 4U) != 0) MarkFailed(Status(Code::kNotFound, "no image"), 8, record);
        if ((bits & 4U) != 0) record.set_seen(std::max(seen, SEEN_DOWN));
        all.push_back(record);
      }
    }
  }
  return all;
}

std::vector<SandboxRecord> SandboxRecords() {
  std::vector<SandboxRecord> all;
  for (const Wanted wanted : kAllWanted) {
    for (const Seen seen : kAllSeen) {
      for (unsigned bits = 0; bits < 16; ++bits) {
        SandboxRecord record;
        record.set_wanted(wanted);
        record.set_seen(seen);
        record.set_epoch(3);
        record.set_revision(4);
        record.set_held((bits & 1U) != 0);
        if ((bits & 2U) != 0) record.set_up_ns(2);
        if ((bits & 4U) != 0) record.set_allocation("job 12");
        if ((bits & 8U) != 0) MarkFailed(Status(Code::kNotFound, "no image"), 8, record);
        if ((bits & 8U) != 0) record.set_seen(std::max(seen, SEEN_DOWN));
        all.push_back(record);
      }
    }
  }
  return all;
}

// What holds for every record and every fact, of both kinds.
template <typename Record>
void CheckOneFact(const std::vector<Record>& records, const std::vector<sdk::Observation>& facts,
                  size_t combinations) {
  Broken falls;
  Broken lower;
  Broken silent;
  Broken repeated;
  Broken held;
  Broken wish;
  Broken stamp;
  Broken unsettled;
  size_t count = 0;
  for (const Record& before : records) {
    for (const sdk::Observation& fact : facts) {
      ++count;
      Record after = before;
      const bool changed = ApplyFact(fact, after);
      const std::string story = Text(before) + " -> " + Text(after);
      if (after.seen() < before.seen()) falls.Add(story);
      if (after.seen() != std::max(before.seen(), SeenOf(fact))) falls.Add(story);
      if (SeenOf(fact) < before.seen() && changed) lower.Add(story);
      if (changed == (Text(before) == Text(after))) silent.Add(story);
      Record again = after;
      if (ApplyFact(fact, again) || Text(again) != Text(after)) repeated.Add(story);
      if (after.seen() > before.seen() && after.held()) held.Add(story);
      if (after.wanted() != before.wanted()) wish.Add(story);
      if (after.epoch() != before.epoch() || after.revision() != before.revision())
        stamp.Add(story);
      for (const Wanted asked : kAllWanted) {
        if (Settled(before, asked) && !Settled(after, asked)) unsettled.Add(story);
      }
    }
  }
  CheckAll(falls, lower, silent, repeated, held, wish, stamp, unsettled);
  CHECK(count == combinations);
}

TEST_CASE("A fact of a container raises what was seen or changes nothing, and once only") {
  CheckOneFact(ContainerRecords(), ContainerFacts(), 5 * 6 * 8 * 5);
}

TEST_CASE("A fact of a sandbox raises what was seen, changes a queue's words, or nothing") {
  CheckOneFact(SandboxRecords(), SandboxFacts(), 5 * 6 * 16 * 6);
}

// A scheduler may give its job id and no other word. The node names it while the pod waits, so a
// fact that brings only the id must not pass for a repeated one.
TEST_CASE("A queued sandbox's allocation is told when it is all that is new") {
  SandboxRecord record;
  record.set_wanted(WANTED_CREATE);
  record.set_seen(SEEN_PENDING);
  sdk::Observation fact;
  fact.state = State::kPending;
  fact.allocation = "job 12";

  CHECK(ApplyFact(fact, record));
  CHECK(record.allocation() == "job 12");
  CHECK_FALSE(ApplyFact(fact, record));
  fact.allocation.clear();
  CHECK_FALSE(ApplyFact(fact, record));
  CHECK(record.allocation() == "job 12");
}

// Calls `check` with every sequence of up to `length` of `facts`; returns their number.
size_t EverySequence(size_t facts, size_t length,
                     const std::function<void(const std::vector<size_t>&)>& check) {
  size_t count = 0;
  std::vector<size_t> sequence;
  const std::function<void()> extend = [&] {
    ++count;
    check(sequence);
    if (sequence.size() == length) return;
    for (size_t next = 0; next < facts; ++next) {
      sequence.push_back(next);
      extend();
      sequence.pop_back();
    }
  };
  extend();
  return count;
}

// The first end in the sequence is the one that is told.
const sdk::Observation* FirstEnd(const std::vector<sdk::Observation>& facts,
                                 const std::vector<size_t>& sequence) {
  for (const size_t at : sequence) {
    if (facts[at].state == State::kDown || facts[at].state == State::kFailed) return &facts[at];
  }
  return nullptr;
}

TEST_CASE("Through any five facts a container's first end is told and the later ones are not") {
  const auto facts = ContainerFacts();
  Broken order;
  Broken end;
  const size_t count = EverySequence(facts.size(), 5, [&](const std::vector<size_t>& sequence) {
    ContainerRecord record;
    record.set_wanted(WANTED_CREATE);
    Seen highest = SEEN_NOTHING;
    for (const size_t at : sequence) {
      ApplyFact(facts[at], record);
      highest = std::max(highest, SeenOf(facts[at]));
    }
    if (record.seen() != highest) order.Add(Text(record));
    const sdk::Observation* first = FirstEnd(facts, sequence);
    const bool right = first == nullptr
                           ? record.finished_ns() == 0 && record.reason().empty()
                           : record.exit_code() == first->exit_code &&
                                 record.reason() == first->reason &&
                                 record.finished_ns() == first->finished_ns &&
                                 record.log_end() == first->log_end &&
                                 record.termination_message() == first->termination_message;
    if (!right) end.Add(Text(record));
  });
  CheckAll(order, end);
  CHECK(count == 1 + 5 + 25 + 125 + 625 + 3125);
}

TEST_CASE("Through any five facts a sandbox's first end is told, with its failure or without") {
  const auto facts = SandboxFacts();
  Broken order;
  Broken end;
  const size_t count = EverySequence(facts.size(), 5, [&](const std::vector<size_t>& sequence) {
    SandboxRecord record;
    record.set_wanted(WANTED_CREATE);
    Seen highest = SEEN_NOTHING;
    for (const size_t at : sequence) {
      ApplyFact(facts[at], record);
      highest = std::max(highest, SeenOf(facts[at]));
    }
    if (record.seen() != highest) order.Add(Text(record));
    const sdk::Observation* first = FirstEnd(facts, sequence);
    const bool right = first == nullptr
                           ? record.down_ns() == 0 && !record.has_failure()
                           : record.reason() == first->reason &&
                                 record.has_failure() == (first->state == State::kFailed);
    if (!right) end.Add(Text(record));
  });
  CheckAll(order, end);
  CHECK(count == 1 + 6 + 36 + 216 + 1296 + 7776);
}

// Every set of the facts that holds at most one end, in every order.
template <typename Record>
size_t CheckOrders(const std::vector<sdk::Observation>& facts,
                   const std::function<bool(const std::vector<size_t>&)>& comparable) {
  size_t orders = 0;
  Broken differs;
  for (unsigned set = 1; set < 1U << facts.size(); ++set) {
    std::vector<size_t> order;
    for (size_t at = 0; at < facts.size(); ++at) {
      if ((set >> at & 1U) != 0) order.push_back(at);
    }
    if (!comparable(order)) continue;
    std::set<std::string> ends;
    do {
      ++orders;
      Record record;
      for (const size_t at : order) ApplyFact(facts[at], record);
      // Addresses of what has ended are of no use: an end that comes first leaves none.
      if constexpr (std::is_same_v<Record, SandboxRecord>) {
        if (record.seen() == SEEN_DOWN) record.clear_ips();
      }
      ends.insert(Text(record));
    } while (std::next_permutation(order.begin(), order.end()));
    if (ends.size() != 1) differs.Add(*ends.begin() + " or " + *ends.rbegin());
  }
  CheckAll(differs);
  return orders;
}

TEST_CASE("The order in which a container's facts come does not change what is known at the end") {
  const auto facts = ContainerFacts();
  const size_t orders = CheckOrders<ContainerRecord>(facts, [](const std::vector<size_t>& set) {
    return std::count_if(set.begin(), set.end(), [](size_t at) { return at >= 3; }) <= 1;
  });
  CHECK(orders == 15 + 2 * 49);
}

TEST_CASE("The order in which a sandbox's facts come does not change what is known at the end") {
  const auto facts = SandboxFacts();
  // Of a queue's words the last ones stand, and what was up does not fail: no two of either.
  const size_t orders = CheckOrders<SandboxRecord>(facts, [](const std::vector<size_t>& set) {
    const auto count = [&set](size_t from, size_t to) {
      return std::count_if(set.begin(), set.end(),
                           [from, to](size_t at) { return from <= at && at <= to; });
    };
    return count(0, 2) <= 1 && count(4, 5) <= 1 && count(3, 3) + count(5, 5) <= 1;
  });
  CHECK(orders == 6 + 20 + 18);
}

TEST_CASE("What is wanted only rises, and a raise says whether it was one") {
  size_t count = 0;
  for (const Wanted from : kAllWanted) {
    for (const Wanted to : kAllWanted) {
      ContainerRecord container;
      container.set_wanted(from);
      SandboxRecord sandbox;
      sandbox.set_wanted(from);
      INFO(from << " -> " << to);
      CHECK(RaiseWanted(to, container) == (to > from));
      CHECK(container.wanted() == std::max(from, to));
      CHECK(RaiseWanted(to, sandbox) == (to > from));
      CHECK(sandbox.wanted() == std::max(from, to));
      ++count;
    }
  }
  CHECK(count == 25);
}

TEST_CASE("What has settled for more has settled for less, and for good") {
  for (const Seen seen : kAllSeen) {
    ContainerRecord container;
    container.set_seen(seen);
    SandboxRecord sandbox;
    sandbox.set_seen(seen);
    for (size_t asked = 1; asked < kAllWanted.size(); ++asked) {
      INFO(seen << " " << kAllWanted[asked]);
      if (Settled(container, kAllWanted[asked])) CHECK(Settled(container, kAllWanted[asked - 1]));
      if (Settled(sandbox, kAllWanted[asked])) CHECK(Settled(sandbox, kAllWanted[asked - 1]));
    }
    CHECK(Settled(container, WANTED_REMOVE) == (seen == SEEN_GONE));
    CHECK(Settled(container, WANTED_STOP) == (seen >= SEEN_DOWN));
    CHECK(Settled(container, WANTED_START) == (seen >= SEEN_UP));
    CHECK(Settled(container, WANTED_CREATE) == (seen >= SEEN_CREATED));
    CHECK(Settled(sandbox, WANTED_REMOVE) == (seen == SEEN_GONE));
    CHECK(Settled(sandbox, WANTED_STOP) == (seen >= SEEN_DOWN));
    CHECK(Settled(sandbox, WANTED_CREATE) == (seen >= SEEN_UP));
  }
}

TEST_CASE("Only an answer that proves that nothing started is a refusal") {
  const std::set<Code> refusals = {Code::kInvalidArgument,  Code::kUnimplemented,
                                   Code::kPermissionDenied, Code::kFailedPrecondition,
                                   Code::kNotFound,         Code::kOutOfRange,
                                   Code::kAlreadyExists};
  for (int code = 0; code <= static_cast<int>(Code::kUnauthenticated); ++code) {
    INFO(CodeName(static_cast<Code>(code)));
    CHECK(IsRefusal(static_cast<Code>(code)) == refusals.contains(static_cast<Code>(code)));
  }
}

TEST_CASE("Every refusal is told as an end with a failure, and no later fact takes it back") {
  size_t count = 0;
  for (int code = 1; code <= static_cast<int>(Code::kUnauthenticated); ++code) {
    const Status why(static_cast<Code>(code), "why not");
    ContainerRecord container;
    MarkFailed(why, 5, container);
    SandboxRecord sandbox;
    MarkFailed(why, 5, sandbox);
    const std::string told = Text(container);
    const std::string told_of_pod = Text(sandbox);
    for (const auto& fact : ContainerFacts()) {
      ApplyFact(fact, container);
      ++count;
    }
    for (const auto& fact : SandboxFacts()) {
      ApplyFact(fact, sandbox);
      ++count;
    }
    INFO(CodeName(why.code()));
    CHECK(Text(container) == told);
    CHECK(Text(sandbox) == told_of_pod);
    CHECK(container.exit_code() == kStartErrorExitCode);
    CHECK(FailureOf(container).code() == why.code());
    CHECK(FailureOf(sandbox).message() == "why not");
  }
  CHECK(count == 16 * 11);
}

}  // namespace
}  // namespace interlink::site
