// The parent of an agent: namespaces that outlive the program, restarts, signals.
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <sstream>
#include <string>

#include "lab.h"

namespace interlink::shim {
namespace {

// A folder that an ordinary user may write to, and what that user runs in it.
class Ordinary {
 public:
  Ordinary() {
    char pattern[] = "/tmp/interlink-supervise-XXXXXX";
    REQUIRE(mkdtemp(pattern) != nullptr);
    path_ = pattern;
    REQUIRE(chmod(pattern, 0777) == 0);
  }
  ~Ordinary() { RunProgram({"/bin/rm", "-rf", path_}); }

  std::string File(const std::string& name) const { return path_ + "/" + name; }
  std::string Text(const std::string& name) const {
    return access(File(name).c_str(), F_OK) == 0 ? ReadAll(File(name)) : "";
  }
  std::vector<std::string> Command(const std::string& script) const {
    return {"/usr/bin/setpriv",
            "--reuid",
            "12345",
            "--regid",
            "12345",
            "--clear-groups",
            "--bounding-set",
            "-all",
            SHIM_BINARY,
            "supervise",
            "--",
            "/bin/sh",
            "-c",
            "cd " + path_ + "; " + script};
  }
  Ran Run(const std::string& script) const { return RunProgram(Command(script)); }

 private:
  std::string path_;
};

int EndOf(pid_t pid) {
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_CASE("an ordinary user becomes root of a user namespace with one id") {
  const Ordinary user;

  const Ran ran =
      user.Run("id -u; tr -s ' ' < /proc/self/uid_map; mount -t tmpfs none . && echo mounted");

  CHECK(ran.code == 0);
  CHECK(ran.out == "0\n 0 12345 1\nmounted\n");
}

TEST_CASE("root becomes root of a user namespace with all of its ids, and of nothing else") {
  if (geteuid() != 0) return;
  const std::string ids = RunProgram({"/bin/sh", "-c", "tr -s ' ' < /proc/self/uid_map"}).out;

  const Ran ran =
      RunProgram({SHIM_BINARY, "supervise", "--allow-root", "--", "/bin/sh", "-c",
                  "tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map; "
                  "setpriv --reuid 1000 --regid 1000 --groups 7,8 id; "
                  "hostname elsewhere 2>/dev/null || echo refused; ls -A /sys/fs/cgroup"});

  CHECK(ran.code == 0);
  CHECK(ran.out.find(ids + ids + "uid=1000") == 0);
  CHECK(ran.out.find("8") != std::string::npos);
  // The host name is the machine's; what is mounted in /sys is not to be seen.
  CHECK(ran.out.ends_with("\nrefused\n"));
}

TEST_CASE("the program's own end is the command's") {
  const Ordinary user;
  const int code = GENERATE(0, 2, 3, 127);

  CHECK(user.Run("echo once >> n; exit " + std::to_string(code)).code == code);
  CHECK(user.Text("n") == "once\n");
}

TEST_CASE("a program that fails or is killed is started again in the same namespaces") {
  const Ordinary user;
  const std::string fails = GENERATE(as<std::string>{}, "exit 1", "kill -9 $$");

  const Ran ran = user.Run(
      "readlink /proc/self/ns/user /proc/self/ns/mnt >> ns; [ -e again ] && exit 0; touch again; " +
      fails);

  CHECK(ran.code == 0);
  const std::string seen = user.Text("ns");
  REQUIRE(seen.size() % 2 == 0);
  CHECK(seen.substr(0, seen.size() / 2) == seen.substr(seen.size() / 2));
}

// The shims of its containers wait for so long.
TEST_CASE("a program that is killed again and again is started again within its shims' lease") {
  const Ordinary user;
  std::vector<std::string> command = user.Command(
      "cut -d' ' -f1 /proc/uptime >> starts; [ $(wc -l < starts) -gt 5 ] && exit 0; kill -9 $$");
  const auto dashes = std::find(command.begin(), command.end(), "--");
  command.insert(dashes, {"--lease", "8"});

  const Ran ran = RunProgram(command);

  CHECK(ran.code == 0);
  std::istringstream starts(user.Text("starts"));
  double before = 0;
  int count = 0;
  for (double start = 0; starts >> start; before = start, ++count) {
    if (count > 0) CHECK(start - before < 8);
  }
  CHECK(count == 6);
}

TEST_CASE("signals that end a job become TERM, also for a program that is started afterwards") {
  const Ordinary user;
  const int signal = GENERATE(SIGTERM, SIGINT, SIGHUP);
  const pid_t pid = StartProgram(
      user.Command("trap 'echo term >> got; [ -e first ] && exit 0; touch first; kill -9 $$' TERM; "
                   "touch ready; while :; do sleep 0.05; done"));
  REQUIRE(Eventually([&] { return access(user.File("ready").c_str(), F_OK) == 0; }));

  REQUIRE(kill(pid, signal) == 0);

  CHECK(EndOf(pid) == 0);
  CHECK(user.Text("got") == "term\nterm\n");
}

TEST_CASE("a parent that is killed takes the job's end to the program") {
  const Ordinary user;
  const pid_t pid =
      StartProgram(user.Command("trap 'echo term > got; exit 0' TERM; touch ready; "
                                "while :; do sleep 0.05; done"));
  REQUIRE(Eventually([&] { return access(user.File("ready").c_str(), F_OK) == 0; }));

  REQUIRE(kill(pid, SIGKILL) == 0);

  CHECK(EndOf(pid) == 128 + SIGKILL);
  CHECK(Eventually([&] { return user.Text("got") == "term\n"; }));
}

TEST_CASE("root is refused, and so is a command line without a program") {
  CHECK(RunProgram({SHIM_BINARY, "supervise", "--"}).code == 2);
  CHECK(RunProgram({SHIM_BINARY, "supervise", "--what", "--", "/bin/true"}).code == 2);
  CHECK(RunProgram({SHIM_BINARY, "supervise", "--lease"}).code == 2);
  for (const char* lease : {"0", "x", "-1", "4294967296"}) {
    CHECK(RunProgram({SHIM_BINARY, "supervise", "--lease", lease, "--", "/bin/true"}).code == 2);
  }
  const Ran ran = RunProgram({SHIM_BINARY, "supervise", "--", "/bin/true"});
  CHECK(ran.code == 2);
  CHECK(ran.err.find("--allow-root") != std::string::npos);
  CHECK(RunProgram({SHIM_BINARY, "supervise", "--allow-root", "--", "/bin/true"}).code == 0);
  CHECK(RunProgram({SHIM_BINARY, "supervise", "--allow-root", "--", "/bin/absent"}).code == 127);
}

}  // namespace
}  // namespace interlink::shim
