#include "layer_archive/verdict.h"

#include <catch2/catch.hpp>

namespace interlink::layer_archive {
namespace {

TEST_CASE("what an agent says of a layer survives its line") {
  for (const Status& said : {Status(), ResourceExhausted("write \"/a\": No space left on device"),
                             InvalidArgument("")}) {
    const auto heard = ParseVerdict(VerdictLine(said));
    REQUIRE(heard.ok());
    CHECK(heard->status.code() == said.code());
    CHECK(heard->status.message() == said.message());
  }
}

TEST_CASE("words are one line of bounded length") {
  const std::string line = VerdictLine(Unavailable("two\nlines\xFF" + std::string(9000, 'x')));
  CHECK(line.size() <= kMaxVerdict);
  CHECK(line.find('\n') == line.size() - 1);
  REQUIRE(ParseVerdict(line).ok());
  CHECK(ParseVerdict(line)->status.message().starts_with("two lines"));
}

TEST_CASE("a cut or strange line is no verdict, and no success") {
  for (const std::string line :
       {"", "0", "0 ", "0\n", "\n", " \n", "x \n", "-1 x\n", "99 x\n", "8 no end", "0x \n"}) {
    INFO(line);
    CHECK(ParseVerdict(line).status().code() == Code::kDataLoss);
  }
  CHECK(ParseVerdict("0 \n").ok());
}

}  // namespace
}  // namespace interlink::layer_archive
