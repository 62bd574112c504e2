// `interlink-shim ch-run` where no container comes of it. Those that live are made by a real agent:
// test/integration/agent/engines_test.cc.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "lab.h"

namespace interlink::shim {
namespace {

// A bundle of an ordinary user, and calls of the command as root of a user namespace of that user.
class ChRunBundle {
 public:
  ChRunBundle() {
    char pattern[] = "/tmp/interlink-ch-run-XXXXXX";
    REQUIRE(mkdtemp(pattern) != nullptr);
    path_ = pattern;
    for (const char* name : {"", "/root", "/bundle", "/bundle/rootfs"}) {
      mkdir((path_ + name).c_str(), 0755);
      REQUIRE(chown((path_ + name).c_str(), 12345, 12345) == 0);
    }
    Launch(Items({"root", Root(), "user", "1000", "1000", "folder", "/", "word", "/true"}));
  }
  ~ChRunBundle() { RunProgram({"/bin/rm", "-rf", path_}); }
  ChRunBundle(const ChRunBundle&) = delete;
  ChRunBundle& operator=(const ChRunBundle&) = delete;

  static std::string Items(const std::vector<std::string>& words) {
    std::string bytes;
    for (const std::string& word : words) bytes += word + '\0';
    return bytes;
  }
  void Launch(const std::string& bytes) const {
    std::ofstream(File("bundle/launch"), std::ios::binary) << bytes;
  }
  void Program(const std::string& script) const {
    std::ofstream(File("program")) << "#!/bin/sh\n" << script << "\n";
    REQUIRE(chmod(File("program").c_str(), 0755) == 0);
  }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  std::string Root() const { return path_ + "/bundle/rootfs"; }
  // Of `create` and what stands behind it in a shell. The exit code is what the script says.
  Ran Run(const std::string& script) const {
    const std::string command = std::string(SHIM_BINARY) + " ch-run --program " + File("program") +
                                " --root " + File("root");
    const std::string functions = "call() { " + command + " \"$@\"; }; create() { call create " +
                                  "--bundle " + File("bundle") + " --pid-file " + File("pid") +
                                  " c; }; ";
    return RunProgram({"/usr/bin/timeout", "60", "/usr/bin/setpriv", "--reuid", "12345", "--regid",
                       "12345", "--clear-groups", "--bounding-set", "-all", SHIM_BINARY,
                       "supervise", "--", "/bin/sh", "-c", functions + script});
  }
  bool Forgotten() const { return access(File("root/c").c_str(), F_OK) != 0; }

 private:
  std::string path_;
};

TEST_CASE("ch-run: a create that is killed leaves no process, and delete leaves no file") {
  const ChRunBundle bundle;
  bundle.Program("echo $$ >" + bundle.File("root/started") + "; exec sleep 471105");

  // The command itself, not a shell around it, is what is killed.
  const std::string create = SHIM_BINARY " ch-run --program " + bundle.File("program") +
                             " --root " + bundle.File("root") + " create --bundle " +
                             bundle.File("bundle") + " --pid-file " + bundle.File("pid") + " c";
  const Ran ran = bundle.Run(
      create + " & creator=$!; for file in started c/pid; do until [ -s " + bundle.File("root") +
      "/$file ]; do :; done; done; kill -KILL $creator; wait $creator; " +
      "while pgrep -x -f 'sleep 471105' >/dev/null; do :; done; " +
      "call delete --force c || exit 21; call delete --force c || exit 22; exit 9");

  INFO(ran.err);
  CHECK(ran.code == 9);
  CHECK(bundle.Forgotten());
}

TEST_CASE("ch-run: what the image or its place cannot have is refused in words") {
  const ChRunBundle bundle;
  bundle.Program("exit 0");
  std::string words;
  SECTION("a link as a folder that ch-run takes") {
    REQUIRE(symlink("/var/tmp", (bundle.Root() + "/tmp").c_str()) == 0);
    REQUIRE(mkdir((bundle.Root() + "/var").c_str(), 0777) == 0);
    REQUIRE(mkdir((bundle.Root() + "/var/tmp").c_str(), 0777) == 0);
    words = "ch-run needs a folder as the image's \"/tmp\"";
  }
  SECTION("a file as one") {
    std::ofstream(bundle.Root() + "/proc") << "x";
    words = "ch-run needs a folder as the image's \"/proc\"";
  }
  SECTION("a root that would not be found") {
    REQUIRE(mkdir("/dev/shm/interlink-ch-run", 0777) == 0);
    REQUIRE(chmod("/dev/shm/interlink-ch-run", 0777) == 0);
    bundle.Launch(ChRunBundle::Items(
        {"root", "/dev/shm/interlink-ch-run", "user", "0", "0", "folder", "/", "word", "/true"}));
    words = "ch-run takes /dev from the machine";
  }
  SECTION("a program that makes none") { words = "has ended without a container: is it ch-run?"; }
  SECTION("a program's own words") {
    bundle.Program("echo no luck today >&2; exit 3");
    words = "no luck today";
  }

  const Ran ran = bundle.Run("create; exit $((10 + $?))");

  RunProgram({"/bin/rm", "-rf", "/dev/shm/interlink-ch-run"});
  CHECK(ran.code == 11);
  CHECK_THAT(ran.err, Catch::Contains(words));
  CHECK(bundle.Forgotten());
}

TEST_CASE("ch-run: a launch file that is none is refused before anything is made") {
  const ChRunBundle bundle;
  bundle.Program("exit 0");
  const std::string whole =
      ChRunBundle::Items({"root", bundle.Root(), "user", "0", "0", "folder", "/", "word", "/true"});
  bundle.Launch(GENERATE_REF(std::string(), whole.substr(0, whole.size() - 1),
                             whole + ChRunBundle::Items({"docker"}),
                             whole + ChRunBundle::Items({"user", "root", "root"}),
                             ChRunBundle::Items({"root", "/", "user", "0", "0", "folder", "/"})));

  const Ran ran = bundle.Run("create; exit $((10 + $?))");

  CHECK(ran.code == 11);
  CHECK_THAT(ran.err, Catch::Contains("launch file is damaged"));
  CHECK(bundle.Forgotten());
}

TEST_CASE("ch-run: a container that is not there is started and looked into by nobody") {
  const ChRunBundle bundle;
  bundle.Program("exit 0");

  const Ran ran =
      bundle.Run("call start c; [ $? = 1 ] || exit 20; call start ../bundle; " +
                 std::string("[ $? = 1 ] || exit 21; call exec --detach --process ") +
                 bundle.File("bundle/launch") + " --pid-file " + bundle.File("pid") +
                 " c; [ $? = 1 ] || exit 22; call run c; [ $? = 2 ] || exit 23; exit 9");

  INFO(ran.err);
  CHECK(ran.code == 9);
}

}  // namespace
}  // namespace interlink::shim
