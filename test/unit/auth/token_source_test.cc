#include "auth/token_source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "base/file.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::auth {
namespace {

using test::Eventually;

struct SourceFixture {
  void Write(const std::string& text) { REQUIRE(WriteFileAtomically(path, text, 0600).ok()); }
  test::TemporaryFolder folder;
  const std::string path = folder.File("token");
  NullLog log;
  Timer timer;
};

TEST_CASE("a token is the one line of its file") {
  CHECK(TokenSource::Parse("  abc.def-_\n").value_or("") == "abc.def-_");
  for (const char* bad : {"", " \n", "a b", "a\nb", "a\x7f", "\xc3\xbc"}) {
    const auto token = TokenSource::Parse(bad);
    CHECK(token.status().code() == Code::kInvalidArgument);
  }
}

TEST_CASE("a token that is written later is found") {
  SourceFixture fixture;
  const TokenSource source(fixture.path, fixture.timer, fixture.log);
  CHECK(source.Token().status().code() == Code::kUnavailable);
  CHECK_THAT(source.Token().status().message(), Catch::Contains(fixture.path));

  fixture.Write("first\n");

  CHECK(Eventually([&] { return source.Token().value_or("") == "first"; }));
}

TEST_CASE("a new token replaces the old one, a broken file does not") {
  SourceFixture fixture;
  fixture.Write("first\n");
  TokenSource source(fixture.path, fixture.timer, fixture.log);

  fixture.Write("two words\n");
  source.Refused();
  fixture.Write("second\n");

  CHECK(Eventually([&] { return source.Token().value_or("") == "second"; }));
}

TEST_CASE("a refused token is read again at once") {
  SourceFixture fixture;
  fixture.Write("first\n");
  TokenSource source(fixture.path, fixture.timer, fixture.log);
  struct stat about {};
  REQUIRE(stat(fixture.path.c_str(), &about) == 0);

  // In place, with the size and the time of before: a look now and then would not find it.
  std::ofstream(fixture.path, std::ios::in) << "other\n" << std::flush;
  const timespec times[2] = {about.st_atim, about.st_mtim};
  REQUIRE(utimensat(AT_FDCWD, fixture.path.c_str(), times, 0) == 0);
  source.Refused();

  CHECK(Eventually([&] { return source.Token().value_or("") == "other"; }));
}

}  // namespace
}  // namespace interlink::auth
