// What an agent leaves of its containers' logs, and how the site reads it without the agent.
#include "agent/left_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "agent/log_keeper.h"
#include "agent_hub/left_log.h"
#include "base/file.h"
#include "shim/layout.h"
#include "shim/left_log.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::agent {
namespace {

namespace fs = std::filesystem;

const ContainerId kId(std::string(64, 'c'));
constexpr uint64_t kEverything = UINT64_MAX;

// A line of the shim's, with a time of its own.
std::string Line(uint64_t number, size_t size = 10) {
  std::string line(shim::kLogHeader, ' ');
  shim::PutLogHeader(line.data(), 1'700'000'000'000'000'000 + number * 1000,
                     shim::LogStream::kStdout, false);
  return line + std::to_string(number) + std::string(size, 'x') + "\n";
}

std::string Lines(uint64_t from, uint64_t to, size_t size = 10) {
  std::string lines;
  for (uint64_t number = from; number < to; ++number) lines += Line(number, size);
  return lines;
}

// A pod's folder, and a container's shim that only has a log.
struct Lab {
  Lab() { REQUIRE(MakeDirectories(shim_folder, 0700).ok()); }

  void Log(const std::string& bytes) {
    std::ofstream(shim_folder + "/" + shim::kLogFile, std::ios::app) << bytes;
    text += bytes;
  }
  void SetOffset(const char* name, uint64_t offset) const {
    const UniqueFd fd(
        open((shim_folder + "/" + name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(shim::WriteLogOffset(fd.get(), offset));
  }
  // The oldest part is gone, as the shim leaves it: zeros, or what a file system without holes has.
  void Drop(uint64_t to) const {
    SetOffset(shim::kLogStartFile, to);
    const UniqueFd fd(open((shim_folder + "/" + shim::kLogFile).c_str(), O_WRONLY | O_CLOEXEC));
    const std::string zeros(to, '\0');
    REQUIRE(pwrite(fd.get(), zeros.data(), zeros.size(), 0) == static_cast<ssize_t>(to));
  }
  LeftLog NewProcess(uint64_t limit = 1 << 30) const { return {shim_folder, left_folder, limit}; }
  sdk::LogChunk Read(uint64_t offset, size_t max = 1 << 20, uint64_t log_end = 0) const {
    const auto chunk = agent_hub::ReadLeftLog(pod, kId, log_end, offset, max);
    INFO(chunk.status().ToString());
    REQUIRE(chunk.ok());
    return *chunk;
  }
  // As a reader does, until the end.
  std::string ReadAll(uint64_t offset, size_t max = 1 << 20) const {
    std::string all;
    for (int calls = 0; calls < 10'000; ++calls) {
      const auto chunk = Read(offset, max);
      all += chunk.bytes;
      CHECK(chunk.next >= offset);
      offset = chunk.next;
      if (chunk.end) return all;
    }
    FAIL("no end");
    return all;
  }
  size_t Segments() const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(left_folder))
      count += entry.path().filename().string().size() == shim::kSegmentName ? 1U : 0U;
    return count;
  }

  test::TemporaryFolder folder;
  const std::string pod = folder.path();
  const std::string shim_folder = folder.File("shim");
  const std::string left_folder = folder.File("logs/" + kId.str());
  std::string text;
};

TEST_CASE("What nobody acknowledged is saved and read at its offsets, and nothing else") {
  Lab lab;
  lab.Log(Lines(0, 100));
  const uint64_t acknowledged = Lines(0, 60).size();
  lab.SetOffset(shim::kLogAckFile, acknowledged);
  LeftLog left = lab.NewProcess();

  REQUIRE(left.Finish().ok());

  const auto chunk = lab.Read(acknowledged);
  CHECK(chunk.bytes == Lines(60, 100));
  CHECK(chunk.next == lab.text.size());
  CHECK(chunk.end);
  const auto middle = lab.Read(acknowledged + 7, 5);
  CHECK(middle.bytes == lab.text.substr(acknowledged + 7, 5));
  CHECK(middle.next == acknowledged + 12);
  CHECK_FALSE(middle.end);
  CHECK(lab.Read(lab.text.size()).end);
  CHECK(agent_hub::LeftLogEnd(lab.pod, kId).value() == lab.text.size());
  CHECK(fs::file_size(lab.left_folder + "/" + std::string(16, '0') +
                      std::to_string(acknowledged)) == Lines(60, 100).size());
}

TEST_CASE("A log that was read to its end leaves only its end") {
  Lab lab;
  lab.Log(Lines(0, 100));
  lab.SetOffset(shim::kLogAckFile, lab.text.size());
  LeftLog left = lab.NewProcess();

  REQUIRE(left.Save(lab.text.size()).ok());
  CHECK_FALSE(fs::exists(lab.left_folder));
  REQUIRE(left.Finish().ok());

  CHECK(lab.Segments() == 0);
  const auto chunk = lab.Read(lab.text.size());
  CHECK(chunk.bytes.empty());
  CHECK(chunk.next == lab.text.size());
  CHECK(chunk.end);
}

TEST_CASE("A container without a log has an empty one") {
  Lab lab;
  LeftLog left = lab.NewProcess();
  CHECK(left.Save(kEverything).status().code() == Code::kNotFound);

  REQUIRE(left.Finish().ok());

  CHECK(lab.Read(0).end);
  CHECK(lab.Read(0).bytes.empty());
}

TEST_CASE("A log is saved step by step, by one process after another, whatever is read meanwhile") {
  Lab lab;
  const size_t max = GENERATE(1 << 20, 1000);
  for (uint64_t step = 0; step < 20; ++step) {
    lab.Log(Lines(step * 10, step * 10 + 10, 500));
    LeftLog left = lab.NewProcess();
    for (int save = 0; save < 3; ++save) {
      REQUIRE(left.Save(lab.text.size()).value() == lab.text.size());
      lab.Log(Line(9000 + step));
    }
  }
  REQUIRE(lab.NewProcess().Finish().ok());

  CHECK(lab.ReadAll(0, max) == lab.text);
}

TEST_CASE("Saved bytes go when they are acknowledged, in time") {
  Lab lab;
  LeftLog left = lab.NewProcess();
  for (uint64_t step = 0; step < 20; ++step) {
    lab.Log(Lines(step * 100, step * 100 + 100, 10'000));
    REQUIRE(left.Save(kEverything).ok());
  }
  CHECK(lab.Segments() >= 5);
  CHECK(lab.Segments() <= 8);
  const uint64_t acknowledged = lab.text.size() - 100;
  lab.SetOffset(shim::kLogAckFile, acknowledged);

  REQUIRE(left.Save(kEverything).ok());
  CHECK(lab.Segments() == 1);
  REQUIRE(left.Finish().ok());

  CHECK(lab.Read(acknowledged).bytes == lab.text.substr(acknowledged));
}

TEST_CASE("What is above the limit goes, the oldest first, and its reader is told") {
  Lab lab;
  LeftLog left = lab.NewProcess(8U << 20U);
  lab.Log(Lines(0, 2000, 10'000));

  REQUIRE(left.Finish().ok());

  const auto gap = lab.Read(0);
  CHECK(gap.bytes.find("bytes of log were dropped") != std::string::npos);
  CHECK(gap.next >= lab.text.size() - (12U << 20U));
  CHECK(gap.next <= lab.text.size() - (8U << 20U));
  CHECK_FALSE(gap.end);
  CHECK(lab.ReadAll(gap.next) == lab.text.substr(gap.next));
  // Just before the line that follows: a reader keeps what is later than what it has.
  shim::LogLine note;
  shim::LogLine next;
  REQUIRE(shim::ParseLogLine(gap.bytes.substr(0, gap.bytes.size() - 1), note));
  const std::string line = lab.text.substr(gap.next);
  REQUIRE(shim::ParseLogLine(line.substr(0, line.find('\n')), next));
  CHECK(note.time_ns == next.time_ns - 1);
}

TEST_CASE("What the shim dropped while it was saved is said, not given as zeros") {
  Lab lab;
  LeftLog left = lab.NewProcess();
  lab.Log(Lines(0, 10));
  REQUIRE(left.Save(kEverything).ok());
  lab.Log(Lines(10, 100));
  const uint64_t start = Lines(0, 50).size();
  lab.Drop(start);

  REQUIRE(left.Finish().ok());

  const std::string all = lab.ReadAll(0);
  CHECK(all.find('\0') == std::string::npos);
  CHECK(all.starts_with(Lines(0, 10)));
  CHECK(all.ends_with(Lines(50, 100)));
  CHECK(all.find(std::to_string(Lines(10, 50).size()) + " bytes of log were dropped") !=
        std::string::npos);
}

TEST_CASE("A log whose agent died is read to its last whole line, and says that it is not all") {
  Lab lab;
  lab.Log(Lines(0, 10));
  LeftLog left = lab.NewProcess();
  const uint64_t torn = lab.text.size() - 3;
  REQUIRE(left.Save(torn).ok());
  const uint64_t whole = Lines(0, 9).size();
  const uint64_t log_end = GENERATE(0, 100'000);

  const auto chunk = lab.Read(0, 1 << 20, log_end);
  CHECK(chunk.bytes == Lines(0, 9));
  CHECK(chunk.next == whole);
  CHECK_FALSE(chunk.end);
  const auto last = lab.Read(chunk.next, 1 << 20, log_end);
  CHECK(last.bytes.find("lost with the allocation") != std::string::npos);
  CHECK(last.end);
  CHECK(last.next == (log_end == 0 ? whole + 1 : log_end));
  shim::LogLine note;
  REQUIRE(shim::ParseLogLine(last.bytes.substr(0, last.bytes.size() - 1), note));
  CHECK(note.time_ns == 1'700'000'000'000'009'001 - 1000);
  CHECK(agent_hub::LeftLogEnd(lab.pod, kId).value() == whole + 1);
  const auto after = lab.Read(last.next, 1 << 20, log_end);
  CHECK(after.bytes.empty());
  CHECK(after.end);
}

TEST_CASE("A pod that left nothing has a log that says so") {
  const Lab lab;
  const auto chunk = lab.Read(4711, 1 << 20, 5000);
  CHECK(chunk.bytes.find("lost with the allocation") != std::string::npos);
  CHECK(chunk.next == 5000);
  CHECK(chunk.end);
  CHECK_FALSE(agent_hub::ReadLeftLog(lab.pod + "/absent", kId, 0, 0, 100).ok());
}

// The page of a file that a dying machine did not write is zeros on a file server.
TEST_CASE("Bytes that were not known to be on the disk are not read") {
  Lab lab;
  lab.Log(Lines(0, 10));
  REQUIRE(lab.NewProcess().Save(kEverything).ok());
  std::ofstream(lab.left_folder + "/" + std::string(shim::kSegmentName, '0'), std::ios::app)
      << std::string(5000, '\0');

  CHECK(lab.ReadAll(0).find('\0') == std::string::npos);

  lab.Log(Lines(10, 20));
  REQUIRE(lab.NewProcess().Finish().ok());
  CHECK(lab.ReadAll(0) == lab.text);
}

TEST_CASE("Links, fifos and damaged files among the logs are errors") {
  Lab lab;
  lab.Log(Lines(0, 10));
  REQUIRE(lab.NewProcess().Finish().ok());
  const std::string segment = lab.left_folder + "/" + std::string(shim::kSegmentName, '0');
  const std::string secret = lab.folder.File("secret");
  REQUIRE(WriteFileAtomically(secret, "secret", 0600).ok());
  const int what = GENERATE(0, 1, 2, 3);
  if (what < 2) REQUIRE(unlink(segment.c_str()) == 0);
  if (what == 0) REQUIRE(symlink(secret.c_str(), segment.c_str()) == 0);
  if (what == 1) REQUIRE(mkfifo(segment.c_str(), 0600) == 0);
  if (what == 2) std::ofstream(lab.left_folder + "/end", std::ios::trunc) << "1 x\n";
  if (what == 3) {
    fs::rename(lab.left_folder, lab.folder.File("moved"));
    REQUIRE(symlink(lab.folder.File("moved").c_str(), lab.left_folder.c_str()) == 0);
  }

  const auto chunk = agent_hub::ReadLeftLog(lab.pod, kId, 0, 0, 100);

  // A folder that is a link is no folder: nothing was left.
  if (what == 3) {
    CHECK(chunk->bytes.find("lost with the allocation") != std::string::npos);
  } else {
    CHECK_FALSE(chunk.ok());
  }
}

TEST_CASE("A container that writes is saved while it runs, and to its end when it ended") {
  Lab lab;
  NullLog log;
  LogKeeper::Options options;
  options.folder = lab.folder.File("logs");
  options.shim_folder = [&lab](const ContainerId&) { return lab.shim_folder; };
  options.every = std::chrono::milliseconds(5);
  LogKeeper keeper(options, log);
  keeper.Track(kId, false);
  lab.Log(Lines(0, 10));
  CHECK(test::Eventually([&] {
    const auto chunk = agent_hub::ReadLeftLog(lab.pod, kId, 0, 0, 1 << 20);
    return chunk.ok() && chunk->bytes == Lines(0, 10);
  }));
  lab.Log(Lines(10, 20));

  keeper.Track(kId, true);

  CHECK(keeper.AwaitSaved(std::chrono::steady_clock::now() + std::chrono::seconds(20)));
  const auto chunk = lab.Read(0);
  CHECK(chunk.bytes == lab.text);
  CHECK(chunk.end);
}

TEST_CASE("A log that cannot be saved is not said to be, and is when it can be") {
  Lab lab;
  NullLog log;
  LogKeeper::Options options;
  options.folder = lab.folder.File("logs");
  options.shim_folder = [&lab](const ContainerId&) { return lab.shim_folder; };
  options.every = std::chrono::milliseconds(5);
  lab.Log(Lines(0, 10));
  REQUIRE(WriteFileAtomically(options.folder, "in the way", 0600).ok());
  LogKeeper keeper(options, log);
  keeper.Track(kId, true);
  CHECK_FALSE(keeper.AwaitSaved(std::chrono::steady_clock::now() + std::chrono::milliseconds(200)));

  REQUIRE(unlink(options.folder.c_str()) == 0);

  CHECK(keeper.AwaitSaved(std::chrono::steady_clock::now() + std::chrono::seconds(20)));
  CHECK(lab.Read(0).bytes == lab.text);
}

TEST_CASE("A removed container's log goes and does not come back") {
  Lab lab;
  NullLog log;
  LogKeeper::Options options;
  options.folder = lab.folder.File("logs");
  options.shim_folder = [&lab](const ContainerId&) { return lab.shim_folder; };
  options.every = std::chrono::milliseconds(5);
  lab.Log(Lines(0, 10));
  LogKeeper keeper(options, log);
  keeper.Track(kId, true);
  REQUIRE(keeper.AwaitSaved(std::chrono::steady_clock::now() + std::chrono::seconds(20)));

  keeper.Forget(kId);
  keeper.Track(kId, true);

  CHECK(test::Eventually([&] { return !fs::exists(lab.left_folder); }));
  CHECK(keeper.AwaitSaved(std::chrono::steady_clock::now() + std::chrono::seconds(20)));
  CHECK_FALSE(fs::exists(lab.left_folder));
}

}  // namespace
}  // namespace interlink::agent
