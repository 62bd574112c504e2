#include "agent_backend/refusal.h"

#include <catch2/catch.hpp>

namespace interlink::agent_backend {
namespace {

TEST_CASE(
    "an error that leaves open whether it happened is no refusal, each other one has its rank") {
  const auto [code, refusal] = GENERATE(table<Code, Refusal>({
      {Code::kOk, Refusal::kNone},
      {Code::kUnavailable, Refusal::kNone},
      {Code::kDeadlineExceeded, Refusal::kNone},
      {Code::kResourceExhausted, Refusal::kNone},
      {Code::kInternal, Refusal::kNone},
      {Code::kDataLoss, Refusal::kNone},
      {Code::kNotFound, Refusal::kNothing},
      {Code::kFailedPrecondition, Refusal::kFinal},
      {Code::kPermissionDenied, Refusal::kBeforehand},
      {Code::kUnimplemented, Refusal::kBeforehand},
      {Code::kInvalidArgument, Refusal::kBeforehand},
  }));

  CHECK(RefusalOf(code) == refusal);
}

}  // namespace
}  // namespace interlink::agent_backend
