#include <atomic>
#include <catch2/catch.hpp>

#include "base/call.h"
#include "base/clock.h"
#include "base/rollback.h"
#include "base/step_pool.h"
#include "base/timer.h"
#include "support/eventually.h"

namespace interlink {
namespace {

using test::Eventually;

TEST_CASE("steps of one key run in order, one at a time") {
  StepPool pool("test", 8, 1000);
  std::atomic<int> running = 0;
  std::atomic<bool> overlapped = false;
  std::vector<int> order;
  std::atomic<int> done = 0;
  for (int i = 0; i < 200; ++i) {
    REQUIRE(pool.Post("k",
                      [&, i] {
                        if (running.fetch_add(1) != 0) overlapped = true;
                        order.push_back(i);
                        running.fetch_sub(1);
                        ++done;
                      })
                .ok());
  }
  REQUIRE(Eventually([&] { return done == 200; }));
  CHECK_FALSE(overlapped);
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("a slow key does not hold up another") {
  std::atomic<bool> release = false;
  std::atomic<bool> other = false;
  StepPool pool("test", 2, 1000);
  REQUIRE(pool.Post("slow", [&] { Eventually([&] { return release.load(); }); }).ok());
  REQUIRE(pool.Post("fast", [&] { other = true; }).ok());
  CHECK(Eventually([&] { return other.load(); }));
  release = true;
}

TEST_CASE("a pool is busy while steps run in more than half of its threads") {
  std::atomic<bool> release = false;
  std::atomic<int> begun = 0;
  StepPool pool("test", 4, 1000);
  const auto step = [&] {
    ++begun;
    Eventually([&] { return release.load(); });
  };
  REQUIRE(pool.Post("a", step).ok());
  REQUIRE(pool.Post("b", step).ok());
  REQUIRE(Eventually([&] { return begun == 2; }));
  CHECK_FALSE(pool.Busy());
  REQUIRE(pool.Post("c", step).ok());
  CHECK(Eventually([&] { return pool.Busy(); }));
  release = true;
  CHECK(Eventually([&] { return !pool.Busy(); }));
}

TEST_CASE("a full queue refuses new steps and still takes those that must not be lost") {
  std::atomic<bool> release = false;
  std::atomic<int> ran = 0;
  std::atomic<bool> begun = false;
  StepPool pool("test", 1, 2);
  REQUIRE(pool.Post("a",
                    [&] {
                      begun = true;
                      Eventually([&] { return release.load(); });
                    })
              .ok());
  REQUIRE(Eventually([&] { return begun.load(); }));
  REQUIRE(pool.Post("b", [&] { ++ran; }).ok());
  REQUIRE(pool.Post("c", [&] { ++ran; }).ok());
  CHECK(pool.Post("d", [&] { ++ran; }).code() == Code::kUnavailable);
  CHECK(pool.PostAlways("e", [&] { ++ran; }).ok());
  release = true;
  CHECK(Eventually([&] { return ran == 3; }));
}

TEST_CASE("a stopped pool refuses everything") {
  StepPool pool("test", 1, 2);
  pool.Stop(std::chrono::seconds(1));
  CHECK(pool.PostAlways("a", [] {}).code() == Code::kUnavailable);
}

TEST_CASE("a timer fires in order and not after a cancel") {
  Timer timer;
  Mutex mutex;
  std::vector<int> fired;
  const auto note = [&](int i) {
    return [&, i] {
      MutexLock lock(mutex);
      fired.push_back(i);
    };
  };
  // Far enough off that the cancel comes before it on a busy machine, too.
  const SteadyTime soon = SystemClock().Steady() + std::chrono::seconds(3);
  timer.At(soon + std::chrono::milliseconds(30), note(2));
  timer.At(soon, note(1));
  const auto key = timer.At(soon + std::chrono::milliseconds(10), note(9));
  CHECK(timer.Cancel(key));
  CHECK_FALSE(timer.Cancel(key));
  REQUIRE(Eventually([&] {
    MutexLock lock(mutex);
    return fired.size() == 2;
  }));
  CHECK(fired == std::vector<int>{1, 2});
}

TEST_CASE("cancelling a call runs what was registered, once, and not what was released") {
  const Call call = Call::WithTimeout(std::chrono::minutes(1));
  int kept = 0;
  int released = 0;
  const auto registration = call.OnCancel([&] { ++kept; });
  {
    const auto short_lived = call.OnCancel([&] { ++released; });
  }
  call.Cancel();
  call.Cancel();
  CHECK(kept == 1);
  CHECK(released == 0);
  CHECK(call.Check("x").code() == Code::kCancelled);
  bool late = false;
  const auto after = call.OnCancel([&] { late = true; });
  CHECK(late);
}

TEST_CASE("a rollback undoes in reverse and tells what it could not undo") {
  std::string order;
  Rollback rollback;
  rollback.Push("a", [&] {
    order += "a";
    return Status::Ok();
  });
  rollback.Push("b", [&] {
    order += "b";
    return Unavailable("busy");
  });
  const Status status = rollback.Fail(InternalError("step 3"));
  CHECK(order == "ba");
  CHECK(status.ToString() == "INTERNAL: step 3 (undo of b: busy)");
}

}  // namespace
}  // namespace interlink
