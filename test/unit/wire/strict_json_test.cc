#include "wire/strict_json.h"

#include <catch2/catch.hpp>
#include <string>

namespace interlink::wire {
namespace {

std::string Nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') +
         std::string(static_cast<size_t>(depth), ']');
}

TEST_CASE("RFC 8259 texts are accepted") {
  const std::string text =
      GENERATE("{}", "[]", " \t\r\n[1 , -0, 0.5e+10, -12E-3]\n", "\"\"", "null", "true", "1e400",
               R"({"a":{"a":{"a":[{}, []]}}})", R"("\"\\\/\b\f\n\r\t\u00e4\uD83D\uDE00\u0000")",
               "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\x7F\"", "{\"\":1}", "\"\xF4\x8F\xBF\xBF\"");
  INFO(text);
  CHECK(CheckStrictJson(text).ok());
}

TEST_CASE("texts that are not RFC 8259 are refused") {
  const std::string text = GENERATE(
      "", " ", "{", "}", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\" 1}",
      "{1:1}", "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "NaN", "Infinity", "-Infinity",
      "tru", "True", "nul", "'a'", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\uD800\"",
      "\"\\uD800\\n\"", "\"\\uD800\\u0041\"", "\"\\uDC00\"", "[1]]", "1 1", "// c\n1", "/* c */1",
      "\xEF\xBB\xBF{}", "{\"a\":1,\"a\":1}", "\"\n\"", "\"\t\"", "[\"a\",\v1]");
  INFO(text);
  CHECK(CheckStrictJson(text).code() == Code::kInvalidArgument);
}

TEST_CASE("invalid UTF-8 is refused") {
  const std::string bytes =
      GENERATE("\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xED\xBF\xBF",
               "\xF0\x80\x80\xAF", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xFF", "\xC3",
               "\xE2\x82", "\xC3 ", "\xE2\x82 ");
  CHECK(CheckStrictJson("\"" + bytes + "\"").code() == Code::kInvalidArgument);
  CHECK(CheckStrictJson("\"" + bytes).code() == Code::kInvalidArgument);
}

TEST_CASE("a NUL byte does not end the text") {
  CHECK_FALSE(CheckStrictJson(std::string("{}\0", 3)).ok());
  CHECK_FALSE(CheckStrictJson(std::string("\0{}", 3)).ok());
  CHECK_FALSE(CheckStrictJson(std::string("\"\0\"", 3)).ok());
}

TEST_CASE("deep nesting is refused instead of using up the stack") {
  CHECK(CheckStrictJson(Nested(kMaxJsonDepth)).ok());
  CHECK_FALSE(CheckStrictJson(Nested(kMaxJsonDepth + 1)).ok());
  CHECK_FALSE(CheckStrictJson(std::string(1 << 20, '[')).ok());
}

TEST_CASE("syntax errors name line and column") {
  CHECK(CheckStrictJson("{\n  \"a\": 1,\n  b: 2\n}").message() ==
        "not strict JSON at line 3, column 3: a string in double quotes must stand here");
}

}  // namespace
}  // namespace interlink::wire
