#include "auth/policy_file.h"

#include "auth/without_token.h"

namespace interlink::auth {

Result<std::unique_ptr<PolicyFile>> PolicyFile::Open(std::string path, Parse parse, Timer& timer,
                                                     Log& log, bool certificate_is_enough) {
  // Whoever can write the rules can do everything that they let through.
  const auto read =
      [path, parse = std::move(parse)](const WatchedFile::Contents& contents) -> Result<Policy> {
    RETURN_IF_ERROR(CheckNobodyElseWrites(contents, path));
    return parse(contents.text, path);
  };
  ASSIGN_OR_RETURN(auto value,
                   WatchedValue<Policy>::Open(
                       path,
                       {.what = "policy",
                        .refused = "the policy cannot be used, the rules of before stay in force",
                        .taken = "the policy was read again",
                        .counted = "rules",
                        .warning = "who leaves the token out escapes the policy"},
                       {.read = read,
                        .count = [](const Policy& policy) { return policy.rules().size(); },
                        .warn =
                            [certificate_is_enough](const Policy& policy) {
                              return certificate_is_enough ? EscapedWithoutToken(policy) : "";
                            }},
                       timer, log));
  return std::unique_ptr<PolicyFile>(
      new PolicyFile(std::move(value)));  // NOLINT: private constructor
}

}  // namespace interlink::auth
