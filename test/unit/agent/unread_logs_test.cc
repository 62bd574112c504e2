// What the site has not read of logs that end with the agent.
#include "agent/unread_logs.h"

#include <fcntl.h>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/unique_fd.h"
#include "shim/layout.h"
#include "support/manual_clock.h"
#include "support/temporary_folder.h"

namespace interlink::agent {
namespace {

const ContainerId kOne(std::string(64, '1'));
const ContainerId kTwo(std::string(64, '2'));

struct UnreadLab {
  std::string Folder(const ContainerId& id) const { return folder.File(id.str()); }
  void WriteLog(const ContainerId& id, const std::string& text) {
    REQUIRE(MakeDirectories(Folder(id), 0700).ok());
    REQUIRE(WriteFileAtomically(Folder(id) + "/" + shim::kLogFile, text, 0600).ok());
  }
  void Acknowledge(const ContainerId& id, uint64_t offset) {
    const UniqueFd fd(
        open((Folder(id) + "/" + shim::kLogAckFile).c_str(), O_WRONLY | O_CREAT, 0600));
    REQUIRE(shim::WriteLogOffset(fd.get(), offset));
  }

  test::TemporaryFolder folder;
  test::ManualClock clock;
  UnreadLogs logs{[this](const ContainerId& id) { return Folder(id); }, clock};
};

using Ids = std::vector<ContainerId>;

}  // namespace

TEST_CASE("A log is waited for until all of it is acknowledged") {
  UnreadLab lab;
  lab.WriteLog(kOne, "0123456789");
  CHECK(lab.logs.All().empty());  // it grows
  lab.logs.Ended(kOne);
  CHECK(lab.logs.All() == Ids{kOne});
  lab.Acknowledge(kOne, 9);
  CHECK(lab.logs.All() == Ids{kOne});
  lab.Acknowledge(kOne, 10);
  CHECK(lab.logs.All().empty());
}

TEST_CASE("A container without a log is not waited for") {
  UnreadLab lab;
  lab.WriteLog(kTwo, "");
  lab.logs.Ended(kOne);
  lab.logs.Ended(kTwo);
  CHECK(lab.logs.All().empty());
}

TEST_CASE("A removed container's log is nobody's") {
  UnreadLab lab;
  lab.WriteLog(kOne, "a");
  lab.WriteLog(kTwo, "b");
  lab.logs.Ended(kOne);
  lab.logs.Ended(kTwo);
  lab.logs.Forget(kOne);
  CHECK(lab.logs.All() == Ids{kTwo});
  lab.logs.ForgetAll();
  CHECK(lab.logs.All().empty());
}

TEST_CASE("A reader that had the end and does not come back is not waited for") {
  UnreadLab lab;
  lab.WriteLog(kOne, "0123456789");
  lab.logs.Ended(kOne);
  lab.logs.WasRead(kOne, false);
  lab.clock.Advance(std::chrono::seconds(60));
  CHECK(lab.logs.All() == Ids{kOne});

  lab.logs.WasRead(kOne, true);
  CHECK(lab.logs.All() == Ids{kOne});
  lab.clock.Advance(std::chrono::milliseconds(1999));
  CHECK(lab.logs.All() == Ids{kOne});
  lab.clock.Advance(std::chrono::milliseconds(1));
  CHECK(lab.logs.All().empty());
  lab.logs.Ended(kOne);  // told again
  CHECK(lab.logs.All().empty());
}

TEST_CASE("An answer that was lost with its connection was not read") {
  UnreadLab lab;
  lab.WriteLog(kOne, "0123456789");
  lab.logs.Ended(kOne);
  lab.logs.WasRead(kOne, true);
  lab.logs.Lost();
  lab.clock.Advance(std::chrono::seconds(60));
  CHECK(lab.logs.All() == Ids{kOne});
}

}  // namespace interlink::agent
