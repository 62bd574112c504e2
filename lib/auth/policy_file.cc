#include "auth/policy_file.h"

namespace interlink::auth {

Result<std::unique_ptr<PolicyFile>> PolicyFile::Open(std::string path, Parse parse, Timer& timer,
                                                     Log& log) {
  // Whoever can write the rules can do everything that they let through.
  const auto read =
      [path, parse = std::move(parse)](const WatchedFile::Contents& contents) -> Result<Policy> {
    RETURN_IF_ERROR(CheckNobodyElseWrites(contents, path));
    return parse(contents.text, path);
  };
  ASSIGN_OR_RETURN(
      auto value,
      WatchedValue<Policy>::Open(
          path,
          {.what = "policy",
           .refused = "the policy cannot be used, the rules of before stay in force",
           .taken = "the policy was read again",
           .counted = "rules"},
          read, [](const Policy& policy) { return policy.rules().size(); }, timer, log));
  return std::unique_ptr<PolicyFile>(
      new PolicyFile(std::move(value)));  // NOLINT: private constructor
}

}  // namespace interlink::auth
