// What the engine reads of the machine's folders.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "engine/cni.h"
#include "engine/list_folder.h"
#include "engine/runtime_check.h"
#include "engine/writable_walk.h"
#include "support/temporary_folder.h"

namespace interlink::engine {

TEST_CASE("A writable layer is measured a part at a time, to the same sum") {
  const test::TemporaryFolder folder;
  for (int i = 0; i < 1000; ++i) std::ofstream(folder.File(std::to_string(i))) << "x";
  const SystemClock clock;
  WritableWalk whole(folder.path());
  WritableWalk parts(folder.path());

  REQUIRE(whole.GoOn(clock, clock.Steady() + std::chrono::minutes(1)));
  int calls = 1;
  while (!parts.GoOn(clock, clock.Steady() - std::chrono::seconds(1))) ++calls;

  CHECK(whole.files() == 1000);
  CHECK(parts.files() == 1000);
  CHECK(parts.bytes() == whole.bytes());
  CHECK(calls > 2);
}

TEST_CASE("A layer that is not there is empty") {
  const SystemClock clock;
  WritableWalk walk("/no/such/folder");
  CHECK(walk.GoOn(clock, clock.Steady()));
  CHECK(walk.files() == 0);
}

TEST_CASE("The folders in a folder are listed without links and files") {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder.File("a"));
  std::filesystem::create_directory_symlink("a", folder.File("link"));
  std::ofstream(folder.File("file")) << "x";

  CHECK(FoldersIn(folder.path()) == std::vector<std::string>{"a"});
  CHECK(ListFolder(folder.path()).value_or({}).size() == 3);
  CHECK(ListFolder(folder.File("none")).status().code() == Code::kNotFound);
}

TEST_CASE("A CNI configuration is checked against the installed plugins and the pod's ports") {
  const test::TemporaryFolder folder;
  const Cni cni("/none", {folder.path()});
  std::ofstream(folder.File("net")) << "";
  std::filesystem::permissions(folder.File("net"), std::filesystem::perms::owner_all);
  const std::string plain = R"({"name":"n","plugins":[{"type":"net"}]})";
  const std::string maps =
      R"({"name":"n","plugins":[{"type":"net","capabilities":{"portMappings":true}}]})";
  const std::vector<HostPort> ports = {{80, 80, "tcp", ""}};

  CHECK(cni.Check(plain, {}).ok());
  CHECK(cni.Check(maps, ports).ok());
  CHECK(cni.Check(plain, ports).code() == Code::kFailedPrecondition);
  CHECK(cni.Check(R"({"name":"n","type":"gone"})", {}).code() == Code::kFailedPrecondition);
  CHECK(cni.Check("[]", {}).code() == Code::kFailedPrecondition);
}

TEST_CASE("A runtime is tried before it is needed") {
  const test::TemporaryFolder folder;
  const auto program = [&](const std::string& text) {
    const std::string path = folder.File("runtime");
    std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  };
  auto patience = std::chrono::seconds(30);
  const auto why = [&](const std::string& runtime, const std::vector<std::string>& launcher = {}) {
    const Status status = CheckRuntime(Call::WithTimeout(patience), launcher,
                                       *FindContainerEngine("crun"), {"", runtime, "", false});
    return status.ok() ? "" : status.ToString();
  };
  CHECK(why(program("[ \"$1\" = --version ] && echo 'x version 1' && echo 'spec: 1.0.0'")).empty());
  CHECK(why(folder.File("absent")).find("there is no crun at") != std::string::npos);
  CHECK(why(program("echo true")).find("is no OCI runtime") != std::string::npos);
  CHECK(
      why(program("echo 'no\nway' >&2; exit 4")).find("cannot run here with engine crun: no way") !=
      std::string::npos);
  const std::string launcher = program("[ \"$1\" = a ] && shift && exec \"$@\"");
  CHECK(why("/bin/true", {launcher, "a"}).find("\"/bin/true\" is no OCI runtime") !=
        std::string::npos);
  patience = std::chrono::seconds(2);
  const std::string slow = why(program("sleep 60"));
  CHECK_FALSE(slow.empty());
  CHECK(slow.find("no OCI") == std::string::npos);
}

}  // namespace interlink::engine
