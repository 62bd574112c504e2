#include "base/status.h"

#include <catch2/catch.hpp>
#include <cerrno>

namespace interlink {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("odd");
  return value / 2;
}

Result<int> Quarter(int value) {
  ASSIGN_OR_RETURN(const int half, Half(value));
  return Half(half);
}

TEST_CASE("every code has a name and is found by it") {
  for (int i = 0; i <= 16; ++i) {
    const auto code = static_cast<Code>(i);
    CHECK(CodeFromName(CodeName(code)) == code);
  }
  CHECK_FALSE(CodeFromName("NOPE").has_value());
}

TEST_CASE("context goes in front of the reason and leaves OK alone") {
  CHECK(NotFound("no such pod").WithContext("stop").ToString() == "NOT_FOUND: stop: no such pod");
  CHECK(Status::Ok().WithContext("stop").ok());
}

TEST_CASE("the macros return the first error") {
  CHECK(Quarter(8).value() == 2);
  CHECK(Quarter(6).status().code() == Code::kInvalidArgument);
}

TEST_CASE("errno becomes the code that says what to do") {
  const auto [error, code] = GENERATE(table<int, Code>({{ENOENT, Code::kNotFound},
                                                        {EACCES, Code::kPermissionDenied},
                                                        {ENOSPC, Code::kResourceExhausted},
                                                        {ECONNREFUSED, Code::kUnavailable},
                                                        {EEXIST, Code::kAlreadyExists}}));
  CHECK(ErrnoStatus(error, "open").code() == code);
}

}  // namespace
}  // namespace interlink
