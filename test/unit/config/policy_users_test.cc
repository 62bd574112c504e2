// The list Users of a policy file: who runs as whom at the site.
#include <catch2/catch.hpp>

#include "config/policy_rules.h"

namespace interlink::config {
namespace {

Result<auth::Policy> WithUsers(const std::string& users) {
  return ParsePolicy("Rules: []\nUsers:\n" + users, "f");
}

TEST_CASE("The first user that speaks of a pod is its own") {
  const auto policy =
      WithUsers(R"(  - {Name: ops, Groups: [operators], Handlers: ["hpc*"], User: ops}
  - Name: physics
    Nodes: ["hpc-*"]
    Issuers: ["https://login"]
    Subjects: ["node:*"]
    Tenants: [physics]
    Namespaces: [physics, "ml-*"]
    ServiceAccounts: [runner]
    User: "phys-01@example.org"
  - {Name: rest, User: guest}
)");
  INFO(policy.status().message());
  REQUIRE(policy.ok());
  auth::PolicyRequest pod;
  const auto chosen = [&] { return auth::FindUser(policy->users(), pod)->user; };
  CHECK(chosen() == "guest");
  pod.node = "hpc-1";
  pod.issuer = "https://login";
  pod.subject = "node:1";
  pod.tenant = "physics";
  pod.pod_namespace = "ml-a";
  pod.service_account = "runner";
  CHECK(chosen() == "phys-01@example.org");
  for (std::string* one : {&pod.node, &pod.issuer, &pod.subject, &pod.tenant, &pod.pod_namespace,
                           &pod.service_account}) {
    const std::string kept = std::exchange(*one, "other");
    CHECK(chosen() == "guest");
    *one = kept;
  }
  pod.groups = {"users", "operators"};
  pod.handler = "hpc-gpu";
  CHECK(chosen() == "ops");
  pod.handler = "local";
  CHECK(chosen() == "phys-01@example.org");
  CHECK(policy->users()[1].where == "f:4");
  CHECK(auth::FindUser({}, pod) == nullptr);
}

TEST_CASE("A user that is wrong, or never chosen, is refused with its place") {
  const auto refusal = [](const std::string& users) { return WithUsers(users).status().message(); };
  CHECK(refusal("  - {User: a}\n") == "f:3: Users[0].Name must be set");
  CHECK(refusal("  - {Name: a}\n") == "f:3: Users[0].User must be set");
  CHECK(refusal("  - {Name: a, User: b}\n  - {Name: c, Nodes: [n], User: d}\n") ==
        "f:4: user \"c\" is never chosen: \"a\" at f:3 speaks of every pod already; put that one "
        "last");
  CHECK(refusal("  - {Name: a, User: b}\n  - {Name: a, User: c}\n").find("stands twice") !=
        std::string::npos);
  CHECK(refusal("  - {Name: a, Nodes: [], User: b}\n").find("leave the key out") !=
        std::string::npos);
  const std::string bad = GENERATE("root", "0", "1000", "-x", "a b", "a:b", "'a\tb'", "''", "a$b");
  CHECK(refusal("  - {Name: a, User: " + bad + "}\n").find("f:3: Users[0].User must be") == 0);
}

}  // namespace
}  // namespace interlink::config
