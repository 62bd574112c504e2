#include "base/utf8.h"

#include <catch2/catch.hpp>

namespace interlink {
namespace {

TEST_CASE("valid text is kept as it is") {
  const std::string text = GENERATE("", "plain", "gr\xC3\xBC\xC3\x9F", "\xE2\x82\xAC",
                                    "\xF0\x9F\x90\x84", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF");

  CHECK(Utf8Prefix(text, 100) == text);
}

TEST_CASE("bytes that are a part of no character become U+FFFD") {
  struct Row {
    std::string text;
    std::string valid;
  };
  const Row row = GENERATE(
      values<Row>({{"a\xFFz", "a\xEF\xBF\xBDz"},
                   {"\x80", "\xEF\xBF\xBD"},
                   {"\xC3", "\xEF\xBF\xBD"},
                   {"\xC3(", "\xEF\xBF\xBD("},
                   {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},
                   {"\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD"},
                   {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
                   {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}}));

  CHECK(Utf8Prefix(row.text, 100) == row.valid);
}

TEST_CASE("a cut is at a character's boundary") {
  CHECK(Utf8Prefix("ab\xE2\x82\xAC", 4) == "ab");
  CHECK(Utf8Prefix("ab\xE2\x82\xAC", 5) == "ab\xE2\x82\xAC");
  CHECK(Utf8Prefix("a\xFF", 3) == "a");
  CHECK(Utf8Prefix("abc", 0).empty());
}

TEST_CASE("a text of another program becomes one bounded line") {
  CHECK(OneLine("no space\nleft\ton \x7F it", 100) == "no space left on   it");
  CHECK(OneLine("\n  crun: no \r\n", 100) == "crun: no");
  CHECK(OneLine(" \n", 100).empty());
  CHECK(OneLine("abcdef", 3) == "abc");
  CHECK(OneLine("gr\xC3\xBC\xC3\x9F", 5) == "gr\xC3\xBC");
  CHECK(OneLine("a\xFFz", 100) == "a\xEF\xBF\xBDz");
}

}  // namespace
}  // namespace interlink
