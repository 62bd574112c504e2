// Any text as a configuration file, a policy and a request to try it with: refused with a place in
// the file, or understood; and what is understood decides.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "config/document.h"
#include "config/policy_rules.h"

namespace {

void Check(const interlink::Status& status) {
  // Whoever edits a file is told where.
  if (!status.ok() && status.message().find("f.yaml") == std::string::npos) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace interlink;  // NOLINT(google-build-using-namespace): a program of one function
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  Check(config::ParseDocument(text, "f.yaml").status());
  auto request = config::ParsePolicyRequest(text, "f.yaml");
  Check(request.status());
  const auto policy = config::ParsePolicy(text, "f.yaml");
  Check(policy.status());
  if (!policy.ok()) return 0;
  auth::PolicyRequest asked = request.ok() ? *std::move(request) : auth::PolicyRequest();
  asked.node = asked.node.empty() ? text.substr(0, 64) : asked.node;
  const auth::Decision decision = policy->Decide(asked);
  if (decision.allowed == decision.rule.empty()) abort();
  bool lets_through = false;
  for (const auto& verdict : policy->Explain(asked)) lets_through |= verdict.why_not.empty();
  if (lets_through != decision.allowed) abort();
  return 0;
}
