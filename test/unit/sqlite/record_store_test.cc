#include "sqlite/record_store.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>

#include "base/unique_fd.h"
#include "folder.h"

namespace interlink::sqlite {
namespace {

RecordStore::Options OptionsIn(const Folder& folder) {
  return {.folder = folder.path(), .application_id = 9, .reserve_bytes = 65536};
}

Call Soon() { return Call::WithTimeout(std::chrono::seconds(30)); }

using Table = std::map<std::tuple<int, std::string, std::string>, std::string>;

Table LoadAll(RecordStore& store) {
  Table table;
  auto rows = store.Load();
  REQUIRE(rows.ok());
  for (auto& row : *rows) {
    const bool once =
        table.emplace(std::tuple(row.kind, row.owner, row.key), std::move(row.bytes)).second;
    REQUIRE(once);
  }
  return table;
}

TEST_CASE("records are put, replaced and erased, and survive a restart") {
  const Folder folder;
  Lineage lineage;
  {
    auto store = RecordStore::Open(OptionsIn(folder));
    REQUIRE(store.ok());
    lineage = (*store)->lineage();
    REQUIRE(LoadAll(**store).empty());
    REQUIRE((*store)
                ->CommitAndWait(Soon(), {{{1, "n", "a", "one"}, {1, "m", "a", "other"}}, {}, true})
                .ok());
    REQUIRE(
        (*store)
            ->CommitAndWait(Soon(), {{{1, "n", "a", "two"}, {2, "n", "a", std::string(2, '\0')}},
                                     {{1, "m", "a", ""}, {1, "m", "never there", ""}},
                                     true})
            .ok());
  }

  auto store = RecordStore::Open(OptionsIn(folder));

  REQUIRE(store.ok());
  REQUIRE(LoadAll(**store) == Table{{{1, "n", "a"}, "two"}, {{2, "n", "a"}, std::string(2, '\0')}});
  REQUIRE(lineage.str().size() == 32);
  REQUIRE((*store)->lineage() == lineage);
}

TEST_CASE("two stores have two lineages") {
  const Folder one;
  const Folder two;

  REQUIRE((*RecordStore::Open(OptionsIn(one)))->lineage() !=
          (*RecordStore::Open(OptionsIn(two)))->lineage());
}

TEST_CASE("commits of many threads are answered once each, the last of a key wins in call order") {
  const Folder folder;
  constexpr int kThreads = 4;
  constexpr int kCommits = 300;
  std::atomic<int> answered = 0;
  std::atomic<int> failed = 0;
  {
    auto store = RecordStore::Open(OptionsIn(folder));
    REQUIRE(store.ok());
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kCommits; ++i) {
          (*store)->Commit({{{1, "", std::to_string(t), std::to_string(i)}}, {}, true},
                           [&](const Status& status) {
                             ++answered;
                             if (!status.ok()) ++failed;
                           });
        }
      });
    }
    threads.clear();
    // Its end commits what is queued.
  }

  REQUIRE(answered == kThreads * kCommits);
  REQUIRE(failed == 0);
  auto store = RecordStore::Open(OptionsIn(folder));
  for (int t = 0; t < kThreads; ++t) {
    REQUIRE(LoadAll(**store).at({1, "", std::to_string(t)}) == std::to_string(kCommits - 1));
  }
}

TEST_CASE("a full queue refuses at once and the rest goes on") {
  const Folder folder;
  auto options = OptionsIn(folder);
  options.max_queued = 2;
  auto store = RecordStore::Open(options);
  REQUIRE(store.ok());
  Mutex mutex;
  CondVar wake;
  bool entered = false;
  bool release = false;
  std::vector<Code> codes;
  const auto keep = [&](const Status& status) {
    MutexLock lock(mutex);
    codes.push_back(status.code());
    wake.NotifyAll();
  };
  // Holds the writer inside its first answer.
  (*store)->Commit({{{1, "", "first", ""}}, {}, true}, [&](const Status&) {
    MutexLock lock(mutex);
    entered = true;
    wake.NotifyAll();
    wake.WaitFor(mutex, std::chrono::seconds(30), [&]() NO_LOCK_ANALYSIS { return release; });
  });
  {
    MutexLock lock(mutex);
    REQUIRE(
        wake.WaitFor(mutex, std::chrono::seconds(30), [&]() NO_LOCK_ANALYSIS { return entered; }));
  }

  for (int i = 0; i < 3; ++i) (*store)->Commit({{{1, "", std::to_string(i), ""}}, {}, true}, keep);

  MutexLock lock(mutex);
  REQUIRE(codes == std::vector{Code::kUnavailable});
  release = true;
  wake.NotifyAll();
  REQUIRE(wake.WaitFor(mutex, std::chrono::seconds(30),
                       [&]() NO_LOCK_ANALYSIS { return codes.size() == 3; }));
  REQUIRE(codes == std::vector{Code::kUnavailable, Code::kOk, Code::kOk});
}

TEST_CASE("waiting ends at the deadline and says that the commit may still happen") {
  const Folder folder;
  auto store = RecordStore::Open(OptionsIn(folder));
  Mutex mutex;
  CondVar wake;
  bool release = false;
  (*store)->Commit({{{1, "", "first", ""}}, {}, true}, [&](const Status&) {
    MutexLock lock(mutex);
    wake.WaitFor(mutex, std::chrono::seconds(30), [&]() NO_LOCK_ANALYSIS { return release; });
  });

  const Status status = (*store)->CommitAndWait(Call::WithTimeout(std::chrono::milliseconds(20)),
                                                {{{1, "", "second", ""}}, {}, true});
  {
    MutexLock lock(mutex);
    release = true;
    wake.NotifyAll();
  }

  REQUIRE(status.code() == Code::kUnavailable);
  store->reset();
  REQUIRE(LoadAll(**RecordStore::Open(OptionsIn(folder))).size() == 2);
}

TEST_CASE("10,000 records load in less than a second") {
  const Folder folder;
  {
    auto store = RecordStore::Open(OptionsIn(folder));
    for (int i = 0; i < 100; ++i) {
      RowBatch batch;
      for (int n = 0; n < 100; ++n) {
        batch.puts.push_back(
            {2, "node", std::to_string(i * 100 + n), std::string(1500, static_cast<char>(n))});
      }
      REQUIRE((*store)->CommitAndWait(Soon(), std::move(batch)).ok());
    }
  }
  const auto begin = std::chrono::steady_clock::now();

  auto store = RecordStore::Open(OptionsIn(folder));
  const size_t count = store.ok() ? (*store)->Load()->size() : 0;

  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  REQUIRE(count == 10'000);
  INFO(took.count());
#ifndef INTERLINK_SANITIZED
  CHECK(took.count() < 10);  // room for a busy machine
#endif
}

TEST_CASE("a store of another daemon is refused") {
  const Folder folder;
  { REQUIRE(RecordStore::Open(OptionsIn(folder)).ok()); }
  auto options = OptionsIn(folder);
  options.application_id = 10;

  REQUIRE(RecordStore::Open(options).status().code() == Code::kFailedPrecondition);
}

constexpr int kPairs = 20;

// Commits pairs of records for ever; writes {pair, number} to `out` when a commit was answered OK.
[[noreturn]] void CommitForEver(const Folder& folder, int first, int out) {
  auto store = RecordStore::Open(OptionsIn(folder));
  if (!store.ok()) _exit(3);
  if (write(out, "\0\0\0\0\0\0\0\0", 8) != 8) _exit(2);
  std::atomic<int> flying = 0;
  for (int number = first;; ++number) {
    const int pair = number % kPairs;
    const std::string key = std::to_string(pair);
    ++flying;
    (*store)->Commit(
        {{{1, "", key, std::to_string(number)}, {2, "", key, std::to_string(number)}}, {}, true},
        [&flying, pair, number, out](const Status& status) {
          if (!status.ok()) _exit(4);
          const int32_t told[2] = {pair, number};
          if (write(out, told, sizeof told) != sizeof told) _exit(2);
          --flying;
          flying.notify_all();
        });
    for (int now = flying; now >= 64; now = flying) flying.wait(now);
  }
}

TEST_CASE("what was answered OK survives kill -9, and a batch is whole or absent") {
  const Folder folder;
  std::mt19937 random(5);
  std::map<int32_t, int32_t> acknowledged;
  int32_t last = 0;
  for (int life = 0; life < 25; ++life) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    if (child == 0) CommitForEver(folder, last + 1000, ends[1]);
    close(ends[1]);
    const UniqueFd in(ends[0]);
    int left = static_cast<int>(random() % 300);
    int32_t told[2];
    while (read(in.get(), told, sizeof told) == sizeof told) {
      if (told[1] != 0) acknowledged[told[0]] = told[1];
      last = std::max(last, told[1]);
      if (left-- == 0) REQUIRE(kill(child, SIGKILL) == 0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));

    auto store = RecordStore::Open(OptionsIn(folder));
    REQUIRE(store.ok());
    const Table table = LoadAll(**store);
    for (const auto& [pair, number] : acknowledged) {
      REQUIRE(std::stoi(table.at({1, "", std::to_string(pair)})) >= number);
    }
    for (int pair = 0; pair < kPairs; ++pair) {
      const auto one = table.find({1, "", std::to_string(pair)});
      const auto two = table.find({2, "", std::to_string(pair)});
      REQUIRE((one == table.end()) == (two == table.end()));
      if (one != table.end()) REQUIRE(one->second == two->second);
    }
  }
  REQUIRE(last > 1000);
}

}  // namespace
}  // namespace interlink::sqlite
