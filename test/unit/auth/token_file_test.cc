#include "auth/token_file.h"

#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "base/file.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::auth {
namespace {

using test::Eventually;

const std::string kOne = "0123456789abcdef";
const std::string kTwo = "fedcba9876543210";

class CountingLog final : public Log {
 public:
  bool Enabled(LogLevel) const override { return true; }
  void Write(LogLevel level, std::string_view, const std::vector<LogField>&) override {
    if (level == LogLevel::kError) ++errors;
  }
  std::atomic<int> errors = 0;
};

struct Fixture {
  std::string Write(const std::string& text, mode_t mode = 0600) {
    const std::string path = folder.File("tokens");
    REQUIRE(WriteFileAtomically(path, text, mode).ok());
    return path;
  }
  test::TemporaryFolder folder;
  CountingLog log;
  Timer timer;
};

TEST_CASE("known tokens name their nodes, others are refused") {
  Fixture fixture;
  const auto file =
      TokenFile::Open(fixture.Write("# nodes\n\n" + kOne + ",node-1\n " + kTwo + " , node-2 \r\n"),
                      fixture.timer, fixture.log);
  REQUIRE(file.ok());

  CHECK((*file)->Verify(kOne).value_or(TokenIdentity()).node == NodeId("node-1"));
  CHECK((*file)->Verify(kTwo).value_or(TokenIdentity()).node == NodeId("node-2"));
  for (const std::string& wrong : {std::string(), kOne + "x", kOne.substr(1), std::string("x")}) {
    const auto node = (*file)->Verify(wrong);
    CHECK(node.status().code() == Code::kUnauthenticated);
  }
}

TEST_CASE("a node may have several tokens, a token only one node") {
  CHECK(TokenFile::Parse(kOne + ",n\n" + kTwo + ",n\n", "f").ok());
  CHECK(TokenFile::Parse(kOne + ",n\n" + kOne + ",m\n", "f").status().code() ==
        Code::kInvalidArgument);
}

TEST_CASE("bad lines are refused with their number and without the token") {
  const auto line = GENERATE(as<std::string>(), "0123456789abcdef", "short,node",
                             "0123456789abcdef,", "0123456789abcdef,a/b", "0123456789abcdef,a,b",
                             "0123456789 bcdef,node", std::string(5000, 'x') + ",node");

  const auto parsed = TokenFile::Parse("# first\n" + line + "\n", "tokens");

  INFO(parsed.status().ToString());
  CHECK(parsed.status().code() == Code::kInvalidArgument);
  CHECK_THAT(parsed.status().message(), Catch::Contains("\"tokens\":2"));
  CHECK_THAT(parsed.status().message(), !Catch::Contains("0123456789"));
}

TEST_CASE("a token file that others may read is refused") {
  Fixture fixture;
  const auto mode = GENERATE(0604, 0640, 0644, 0660);

  const auto file = TokenFile::Open(fixture.Write(kOne + ",n\n", static_cast<mode_t>(mode)),
                                    fixture.timer, fixture.log);

  CHECK(file.status().code() == Code::kPermissionDenied);
  CHECK_THAT(file.status().message(), Catch::Contains("chmod 600"));
}

TEST_CASE("a token file that is absent or a folder is refused by name") {
  Fixture fixture;

  CHECK(
      TokenFile::Open(fixture.folder.File("absent"), fixture.timer, fixture.log).status().code() ==
      Code::kNotFound);
  CHECK(TokenFile::Open(fixture.folder.path(), fixture.timer, fixture.log).status().code() ==
        Code::kInvalidArgument);
}

TEST_CASE("a changed file is read again, a broken one leaves the tokens of before in force") {
  Fixture fixture;
  const auto file = TokenFile::Open(fixture.Write(kOne + ",node-1\n"), fixture.timer, fixture.log);
  REQUIRE(file.ok());

  fixture.Write(kTwo + ",node-2\n");
  CHECK(Eventually([&] { return (*file)->Verify(kTwo).ok(); }));
  CHECK_FALSE((*file)->Verify(kOne).ok());

  fixture.Write("broken\n");
  CHECK(Eventually([&] { return fixture.log.errors == 1; }));
  CHECK((*file)->Verify(kTwo).ok());
}

}  // namespace
}  // namespace interlink::auth
