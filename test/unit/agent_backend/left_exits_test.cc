// Exit records in a folder that is a job's: nothing in it is trusted.
#include "agent_backend/left_exits.h"

#include <sys/stat.h>
#include <unistd.h>

#include "agent_backend_lab.h"

namespace interlink::test {
namespace {

TEST_CASE("damaged records, links and pipes are no records, and harm nothing else") {
  AgentBackendLab lab;
  lab.LeaveExit(4, lab.pod);
  const std::string exits = lab.folder.File("pod/exits/");
  const auto name = [](char c) { return std::string(64, c); };
  REQUIRE(WriteFileAtomically(exits + name('1'), "no record", 0600).ok());
  REQUIRE(WriteFileAtomically(exits + "short", "no id", 0600).ok());
  REQUIRE(WriteFileAtomically(exits + name('3'), std::string(1U << 20U, 'x'), 0600).ok());
  REQUIRE(symlink("/etc/hostname", (exits + name('4')).c_str()) == 0);
  REQUIRE(mkfifo((exits + name('2')).c_str(), 0600) == 0);

  NullLog log;
  const auto read = agent_backend::ReadLeftExits(lab.folder.File("pod"), lab.pod, log);

  REQUIRE(read.ok());
  REQUIRE(read->size() == 1);
  CHECK(read->at(lab.unit).exit_code == 4);
}

TEST_CASE("a pod's folder without a folder of exits has none") {
  AgentBackendLab lab;
  NullLog log;

  CHECK(agent_backend::ReadLeftExits(lab.folder.File("nothing"), lab.pod, log)->empty());
  REQUIRE(MakeDirectories(lab.folder.File("pod"), 0700).ok());
  REQUIRE(WriteFileAtomically(lab.folder.File("pod/exits"), "a file", 0600).ok());
  const auto file = agent_backend::ReadLeftExits(lab.folder.File("pod"), lab.pod, log);
  REQUIRE(file.ok());
  CHECK(file->empty());
  // A job's user that puts a link there must not keep its pod from an end.
  REQUIRE(unlink(lab.folder.File("pod/exits").c_str()) == 0);
  REQUIRE(symlink("/etc", lab.folder.File("pod/exits").c_str()) == 0);
  const auto link = agent_backend::ReadLeftExits(lab.folder.File("pod"), lab.pod, log);
  REQUIRE(link.ok());
  CHECK(link->empty());
}

}  // namespace
}  // namespace interlink::test
