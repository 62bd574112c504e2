// On a real full disk.
#include <signal.h>
#include <unistd.h>

#include "folder.h"
#include "sqlite/record_store.h"
#include "support/small_disk.h"

namespace interlink::sqlite {
namespace {

using test::Expect;
using test::FillDisk;
using test::RunOnSmallDisk;

Call InTime() { return Call::WithTimeout(std::chrono::seconds(30)); }

TEST_CASE("on a full disk ends are still committed, new work is refused, and room heals it") {
  const Folder folder;

  REQUIRE(RunOnSmallDisk(folder.path(), "16m", [&folder] {
    const RecordStore::Options options{.folder = folder.File("s"), .application_id = 9};
    const std::string record(1500, 'r');
    auto store = RecordStore::Open(options);
    Expect(store.ok(), store.status().ToString());
    for (int i = 0; i < 200; ++i) {
      Expect(
          (*store)->CommitAndWait(InTime(), {{{2, "", std::to_string(i), record}}, {}, false}).ok(),
          "there is room");
    }

    FillDisk(folder.File("filler"));
    Status refused;
    for (int i = 0; i < 2000 && refused.ok(); ++i) {
      refused = (*store)->CommitAndWait(InTime(),
                                        {{{2, "", "n" + std::to_string(i), record}}, {}, false});
    }
    Expect(refused.code() == Code::kResourceExhausted, "new work: " + refused.ToString());
    Expect(refused.message().find(options.folder) != std::string::npos, refused.ToString());
    // Every record is stopped and removed.
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 200; ++i) {
        const Status status =
            (*store)->CommitAndWait(InTime(), {{{2, "", std::to_string(i), record}}, {}, true});
        Expect(status.ok(), "an end: " + status.ToString());
      }
    }
    for (int i = 0; i < 100; ++i) {
      Expect((*store)->CommitAndWait(InTime(), {{}, {{2, "", std::to_string(i), ""}}, true}).ok(),
             "an erase");
    }
    Expect((*store)->CommitAndWait(InTime(), {{{2, "", "new", record}}, {}, false}).code() ==
               Code::kResourceExhausted,
           "new work is still refused");

    Expect(unlink(folder.File("filler").c_str()) == 0, "remove the filler");
    Expect((*store)->CommitAndWait(InTime(), {{{2, "", "new", record}}, {}, false}).ok(),
           "new work goes on by itself");
    Expect(std::filesystem::exists(options.folder + "/reserve"), "the reserve is back");
    store->reset();

    auto again = RecordStore::Open(options);
    Expect(again.ok(), again.status().ToString());
    const auto rows = (*again)->Load();
    Expect(rows.ok(), rows.status().ToString());
    size_t ended = 0;
    for (const auto& row : *rows) ended += row.key[0] != 'n' ? 1 : 0;
    Expect(ended == 100, "100 of the first records are left");
  }));
}

TEST_CASE("a store on a disk that is already full says so") {
  const Folder folder;

  REQUIRE(RunOnSmallDisk(folder.path(), "1m", [&folder] {
    FillDisk(folder.File("filler"));
    const auto store = RecordStore::Open({.folder = folder.File("s"), .application_id = 9});
    Expect(store.status().code() == Code::kResourceExhausted, store.status().ToString());
  }));
}

TEST_CASE("a group with ends and new work on a full disk fails only the new work") {
  const Folder folder;

  REQUIRE(RunOnSmallDisk(folder.path(), "16m", [&folder] {
    auto store = RecordStore::Open({.folder = folder.File("s"), .application_id = 9});
    Expect(store.ok(), store.status().ToString());
    FillDisk(folder.File("filler"));
    Mutex mutex;
    CondVar wake;
    int ends = 0;
    int refused = 0;
    int answered = 0;
    for (int i = 0; i < 400; ++i) {
      const bool end = i % 2 == 0;
      (*store)->Commit({{{2, "", std::to_string(i), std::string(4000, 'r')}}, {}, end},
                       [&, end](const Status& status) {
                         MutexLock lock(mutex);
                         ++answered;
                         if (end && status.ok()) ++ends;
                         if (!end && status.code() == Code::kResourceExhausted) ++refused;
                         wake.NotifyAll();
                       });
    }
    MutexLock lock(mutex);
    Expect(wake.WaitFor(mutex, std::chrono::seconds(30),
                        [&]() NO_LOCK_ANALYSIS { return answered == 400; }),
           "all are answered");
    Expect(ends == 200, "all ends are committed: " + std::to_string(ends));
    Expect(refused > 0, "new work is refused");
  }));
}

}  // namespace
}  // namespace interlink::sqlite
