// What a crash leaves, and how a new life goes on.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <fstream>
#include <set>

#include "base/unique_fd.h"
#include "log_lab.h"

namespace interlink::cri_log {
namespace {

const ContainerId kResumed("c1");

// All files of the container, in the order of their lines.
std::string AllText(const Folder& folder) {
  // By the time of the first line: a later life begins with an earlier offset, so names do not
  // tell.
  std::multiset<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    if (entry.path().filename().string().starts_with("0.log"))
      files.insert(ReadFile(entry.path().string()).value());
  }
  std::string all;
  for (const auto& text : files) all += text;
  return all;
}

std::string Rotated(size_t number) { return "0.log.20260101-" + std::to_string(100000 + number); }

void Resume(const Folder& folder, const std::string& stream, uint64_t from, std::mt19937& random) {
  NullLog log;
  NullMetrics metrics;
  const auto files = cri_log::Open(log, metrics);
  Positions positions(*files);
  REQUIRE(files->Open(kResumed, folder.File("0.log"), {from, 0}, true).ok());
  Send(*files, kResumed, stream, from, stream.size(), random);
  REQUIRE(positions.WaitFor(kResumed, stream.size()));
  REQUIRE(CloseAndWait(*files, kResumed));
}

TEST_CASE("from any cut, with any rotation, nothing is lost and nothing is doubled") {
  const int seed = GENERATE(range(0, 150));
  std::mt19937 random(static_cast<unsigned>(seed));
  const Folder folder;
  const auto lines = MakeLines(random, 5 + random() % 60);
  const std::string stream = Join(lines);
  // An earlier life wrote `whole` lines and a torn one, rotated a few times, and remembered an
  // older position.
  const size_t whole = random() % lines.size();
  const size_t remembered = whole == 0 ? 0 : random() % (whole + 1);
  size_t rotations = 0;
  uint64_t from = 0;
  {
    std::ofstream file(folder.File("0.log"));
    for (size_t i = 0; i < whole; ++i) {
      file << lines[i];
      if (i < remembered) from += lines[i].size();
      if (random() % 10 == 0) {
        file.close();
        std::filesystem::rename(folder.File("0.log"), folder.File(Rotated(rotations++)));
        file.open(folder.File("0.log"));
      }
    }
    file << lines[whole].substr(0, random() % lines[whole].size());
  }
  // kubelet had renamed the file and has not asked for a new one.
  if (random() % 4 == 0) {
    std::filesystem::rename(folder.File("0.log"), folder.File(Rotated(rotations++)));
    std::ofstream(folder.File("0.log"));
  }

  INFO("seed " << seed);
  Resume(folder, stream, from, random);

  REQUIRE(AllText(folder) == stream);
}

TEST_CASE("a tail of zeros, as a power loss leaves, is cut") {
  const Folder folder;
  std::mt19937 random(7);
  const auto lines = MakeLines(random, 20);
  {
    std::ofstream file(folder.File("0.log"));
    for (int i = 0; i < 10; ++i) file << lines[static_cast<size_t>(i)];
    file << std::string(300'000, '\0');
  }

  Resume(folder, Join(lines), lines[0].size(), random);

  REQUIRE(AllText(folder) == Join(lines));
}

TEST_CASE("compressed and unfinished rotated files are not read") {
  const Folder folder;
  std::mt19937 random(8);
  const auto lines = MakeLines(random, 4);
  std::ofstream(folder.File("0.log")) << "";
  std::ofstream(folder.File("0.log.20260101-000000")) << lines[0] << lines[1].substr(0, 9);
  std::ofstream(folder.File("0.log.20260102-000000.gz")) << lines[3];
  std::ofstream(folder.File("0.log.20260103-000000.tmp")) << lines[3];
  std::ofstream(folder.File("0.logx")) << lines[3];

  Resume(folder, Join(lines), 0, random);

  REQUIRE(ReadFile(folder.File("0.log.20260101-000000")).value() == lines[0]);
  REQUIRE(ReadFile(folder.File("0.log")).value() == lines[1] + lines[2] + lines[3]);
  REQUIRE(ReadFile(folder.File("0.logx")).value() == lines[3]);
}

struct Missing {
  Folder folder;
  NullLog log;
  NullMetrics metrics;
  std::unique_ptr<node::LogFiles> files = cri_log::Open(log, metrics);
  Positions positions{*files};
  std::string one = Line(1, "one");
  std::string two = Line(2, "two");

  Missing() {
    std::ofstream(folder.File(Rotated(0))) << one;
    REQUIRE(files->Open(kResumed, folder.File("0.log"), {0, 0}, true).ok());
    files->Append(kResumed, 0, one + two, one.size() + two.size());
  }
};

TEST_CASE("a file that is gone after a restart is not made again before kubelet asks") {
  Missing lab;
  REQUIRE(CloseAndWait(*lab.files, ContainerId("a round later")));
  REQUIRE_FALSE(std::filesystem::exists(lab.folder.File("0.log")));

  REQUIRE(lab.files->Reopen(kResumed, true).ok());

  REQUIRE(lab.positions.WaitFor(kResumed, lab.one.size() + lab.two.size()));
  REQUIRE(ReadFile(lab.folder.File("0.log")).value() == lab.two);
}

TEST_CASE("a file that kubelet renames back is continued") {
  Missing lab;

  std::filesystem::rename(lab.folder.File(Rotated(0)), lab.folder.File("0.log"));

  REQUIRE(lab.positions.WaitFor(kResumed, lab.one.size() + lab.two.size()));
  REQUIRE(ReadFile(lab.folder.File("0.log")).value() == lab.one + lab.two);
}

TEST_CASE("a log without a file closes") {
  Missing lab;

  REQUIRE(CloseAndWait(*lab.files, kResumed));

  REQUIRE_FALSE(std::filesystem::exists(lab.folder.File("0.log")));
}

// A life of the writer: goes on from `from`, tells its durable positions through `out`, until it is
// killed or through.
[[noreturn]] void Live(const Folder& folder, const std::string& stream, uint64_t from, bool resume,
                       unsigned seed, int out) {
  NullLog log;
  NullMetrics metrics;
  std::mt19937 random(seed);
  const auto files = cri_log::Open(log, metrics);
  Mutex mutex;
  CondVar changed;
  uint64_t durable = from;
  files->SetDurable([&](const ContainerId&, node::LogPosition position) {
    if (write(out, &position.site_offset, sizeof position.site_offset) < 0) _exit(2);
    MutexLock lock(mutex);
    durable = position.site_offset;
    changed.NotifyAll();
  });
  if (!files->Open(kResumed, folder.File("0.log"), {from, 0}, resume).ok()) _exit(3);
  // Killed between a rename and its Reopen: kubelet asks again.
  const bool renamed = !std::filesystem::exists(folder.File("0.log"));
  if (renamed && !files->Reopen(kResumed, true).ok()) _exit(4);
  for (uint64_t at = from; at < stream.size();) {
    const uint64_t size = std::min<uint64_t>(stream.size() - at, 1 + random() % 3000);
    files->Append(kResumed, at, stream.substr(at, size), at + size);
    at += size;
    if (random() % 40 == 0) {
      std::filesystem::rename(folder.File("0.log"),
                              folder.File("0.log." + std::to_string(1'000'000'000 + at)));
      if (!files->Reopen(kResumed, true).ok()) _exit(4);
    }
    // The credit of the wire: never far ahead.
    MutexLock lock(mutex);
    changed.WaitFor(mutex, std::chrono::seconds(30),
                    [&]() NO_LOCK_ANALYSIS { return durable + 20'000 > at; });
  }
  MutexLock lock(mutex);
  changed.WaitFor(mutex, std::chrono::seconds(30),
                  [&]() NO_LOCK_ANALYSIS { return durable >= stream.size(); });
  _exit(durable >= stream.size() ? 0 : 5);
}

TEST_CASE("kill -9 at any moment loses no line and doubles none") {
  const Folder folder;
  std::mt19937 random(11);
  const std::string stream = Join(MakeLines(random, 4000));
  uint64_t durable = 0;
  bool through = false;
  int lives = 0;
  for (; !through && lives < 500; ++lives) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const auto seed = static_cast<unsigned>(random());
    const pid_t child = fork();
    if (child == 0) Live(folder, stream, durable, lives > 0, seed, ends[1]);
    close(ends[1]);
    const UniqueFd in(ends[0]);
    // Kills after a random number of told positions; the last ones live until they are through.
    int left = static_cast<int>(random() % 12);
    uint64_t told = 0;
    while (read(in.get(), &told, sizeof told) == sizeof told) {
      REQUIRE(told >= durable);
      durable = told;
      if (left-- == 0 && lives < 60) kill(child, SIGKILL);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    through = WIFEXITED(status);
    if (through) REQUIRE(WEXITSTATUS(status) == 0);
  }

  REQUIRE(through);
  REQUIRE(lives > 10);
  REQUIRE(durable == stream.size());
  REQUIRE(AllText(folder) == stream);
}

}  // namespace
}  // namespace interlink::cri_log
