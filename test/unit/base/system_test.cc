#include <fcntl.h>
#include <poll.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "base/id.h"
#include "base/spawn.h"
#include "base/unique_fd.h"
#include "support/temporary_folder.h"

namespace interlink {
namespace {

Call Soon() { return Call::WithTimeout(std::chrono::seconds(20)); }

TEST_CASE("a command's outputs and exit code come back") {
  const auto output = RunCommand(Soon(), {.argv = {"sh", "-c", "cat; echo err >&2; exit 7"}}, "in");
  REQUIRE(output.ok());
  CHECK(output->out == "in");
  CHECK(output->err == "err\n");
  CHECK(output->exit.code == 7);
}

TEST_CASE("large output on both streams does not block and is cut at the limit") {
  const auto output = RunCommand(
      Soon(), {.argv = {"sh", "-c", "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2"}}, "",
      1000);
  REQUIRE(output.ok());
  CHECK(output->out.size() == 1000);
  CHECK(output->err.size() == 1000);
}

TEST_CASE("a command that overruns its deadline is killed") {
  const auto output =
      RunCommand(Call::WithTimeout(std::chrono::milliseconds(100)), {.argv = {"sleep", "100"}});
  CHECK(output.status().code() == Code::kDeadlineExceeded);
}

TEST_CASE("a command with a session of its own is killed with all that it started") {
  std::array<int, 2> held{};
  REQUIRE(pipe2(held.data(), O_CLOEXEC) == 0);
  const UniqueFd read_end(held[0]);
  UniqueFd write_end(held[1]);
  SpawnOptions options{.argv = {"sh", "-c", "sleep 100 & echo started >&3; sleep 100"},
                       .descriptors = {{write_end.get(), 3}},
                       .new_session = true};

  CHECK(RunCommand(Call::WithTimeout(std::chrono::seconds(8)), options).status().code() ==
        Code::kDeadlineExceeded);

  write_end.Reset();
  std::string seen;
  std::array<char, 64> buffer{};
  pollfd item{read_end.get(), POLLIN, 0};
  // The end of the file comes when nobody has the other end: neither the shell nor its sleep.
  while (poll(&item, 1, 20000) == 1) {
    const ssize_t n = read(read_end.get(), buffer.data(), buffer.size());
    if (n <= 0) break;
    seen.append(buffer.data(), static_cast<size_t>(n));
  }
  CHECK(item.revents == POLLHUP);
  CHECK(seen == "started\n");
}

TEST_CASE("a missing program is an error that names it") {
  const auto output = RunCommand(Soon(), {.argv = {"/nonexistent/tool"}});
  CHECK(output.status().code() == Code::kNotFound);
  CHECK(output.status().message().find("/nonexistent/tool") != std::string::npos);
}

TEST_CASE("a child gets no descriptor that was not named for it") {
  const UniqueFd leaky(open("/dev/null", O_RDONLY));
  const auto output = RunCommand(Soon(), {.argv = {"sh", "-c", "ls /proc/self/fd | wc -l"}});
  REQUIRE(output.ok());
  CHECK(std::stoi(output->out) <= 4);  // 0, 1, 2 and the folder itself
}

TEST_CASE("death by a signal is 128 and its number") {
  const auto output = RunCommand(Soon(), {.argv = {"sh", "-c", "kill -9 $$"}});
  REQUIRE(output.ok());
  CHECK(output->exit.code == 137);
  CHECK(output->exit.signal == SIGKILL);
}

TEST_CASE("a file is replaced whole and has its mode") {
  const std::string folder =
      std::filesystem::temp_directory_path() / ("interlink-file-" + RandomHex(6));
  REQUIRE(MakeDirectories(folder + "/a/b", 0700).ok());
  REQUIRE(WriteFileAtomically(folder + "/a/b/f", "one", 0600).ok());
  REQUIRE(WriteFileAtomically(folder + "/a/b/f", "two", 0600).ok());
  CHECK(ReadFile(folder + "/a/b/f").value() == "two");
  CHECK(ReadFile(folder + "/a/b/f", 2).status().code() == Code::kResourceExhausted);
  struct stat about {};
  REQUIRE(stat((folder + "/a/b/f").c_str(), &about) == 0);
  CHECK((about.st_mode & 0777U) == 0600U);
  REQUIRE(RemoveTree(folder).ok());
  CHECK_FALSE(std::filesystem::exists(folder));
  CHECK(RemoveTree(folder).ok());
}

// A container that made folders in folders, beyond the longest path, could not be removed.
TEST_CASE("a plain file is read, and nothing else that stands in its place") {
  test::TemporaryFolder folder;
  const std::string path = folder.File("file");
  CHECK(ReadPlainFile(path, 9).status().code() == Code::kNotFound);
  REQUIRE(WriteFileAtomically(path, "text", 0600).ok());
  CHECK(ReadPlainFile(path, 9).value() == "text");
  CHECK(ReadPlainFile(path, 3).status().code() == Code::kResourceExhausted);
  const std::string other = folder.File("other");
  const int kind = GENERATE(0, 1, 2, 3);
  if (kind == 0) REQUIRE(symlink(path.c_str(), other.c_str()) == 0);
  if (kind == 1) REQUIRE(mkfifo(other.c_str(), 0600) == 0);
  if (kind == 2) REQUIRE(mkdir(other.c_str(), 0700) == 0);
  if (kind == 3) REQUIRE(symlink("/dev/zero", other.c_str()) == 0);
  CHECK(ReadPlainFile(other, 9).status().code() == Code::kDataLoss);
}

TEST_CASE("a tree of any depth is removed, with a few descriptors") {
  const test::TemporaryFolder folder;
  const std::string top = folder.File("top");
  REQUIRE(mkdir(top.c_str(), 0700) == 0);
  UniqueFd at(open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string name(100, 'd');
  for (int i = 0; i < 300; ++i) {
    REQUIRE(mkdirat(at.get(), name.c_str(), 0700) == 0);
    at = UniqueFd(openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(at);
    REQUIRE(UniqueFd(openat(at.get(), "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)));
  }

  CHECK(RemoveTree(top).ToString() == "OK");
  CHECK(access(top.c_str(), F_OK) != 0);
}

// Images of some distributions have folders without a right to write: their layers stayed for ever
// where the site is an ordinary user.
TEST_CASE("a tree with closed folders is removed by their owner") {
  const test::TemporaryFolder folder;
  const std::string top = folder.File("top");
  REQUIRE(MakeDirectories(top + "/closed/inner/only-a-folder", 0700).ok());
  REQUIRE(WriteFileAtomically(top + "/closed/file", "x", 0400).ok());
  for (const char* name : {"/closed/inner", "/closed", ""})
    REQUIRE(chmod((top + name).c_str(), name == std::string("/closed") ? 0 : 0555) == 0);
  REQUIRE(chmod(folder.path().c_str(), 0777) == 0);

  // Root would be let in anyway.
  const bool root = geteuid() == 0;
  for (const char* name :
       {"/closed/inner/only-a-folder", "/closed/inner", "/closed/file", "/closed", ""})
    REQUIRE((!root || lchown((top + name).c_str(), 12345, 12345) == 0));

  Status removed;
  std::jthread([&] {
    if (root) setfsuid(12345);  // of this thread alone
    removed = RemoveTree(top);
  }).join();

  CHECK(removed.ToString() == "OK");
  CHECK(access(top.c_str(), F_OK) != 0);
}

TEST_CASE("removing a tree follows no links") {
  const test::TemporaryFolder folder;
  REQUIRE(mkdir(folder.File("kept").c_str(), 0700) == 0);
  REQUIRE(WriteFileAtomically(folder.File("kept/file"), "x", 0600).ok());
  REQUIRE(mkdir(folder.File("top").c_str(), 0700) == 0);
  REQUIRE(symlink(folder.File("kept").c_str(), folder.File("top/link").c_str()) == 0);
  REQUIRE(symlink("top", folder.File("link").c_str()) == 0);

  CHECK(RemoveTree(folder.File("top")).ok());
  CHECK(RemoveTree(folder.File("link")).ok());
  CHECK(RemoveTree(folder.File("absent")).ok());

  CHECK(ReadFile(folder.File("kept/file")).ok());
}

TEST_CASE("ids are 64 hex digits, and nothing else becomes part of a path") {
  CHECK(IsFullId(MintSandboxId().str()));
  const std::string bad = GENERATE(as<std::string>{}, "", "../x", std::string(63, 'a'),
                                   std::string(64, 'A'), std::string(64, '/'));
  CHECK_FALSE(IsFullId(bad));
}

TEST_CASE("times are RFC 3339 with nine digits") {
  CHECK(FormatRfc3339(0) == "1970-01-01T00:00:00.000000000Z");
  CHECK(FormatRfc3339(1'700'000'000'000'000'001) == "2023-11-14T22:13:20.000000001Z");
}

}  // namespace
}  // namespace interlink
