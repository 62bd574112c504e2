#include "config/policy_rules.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

namespace interlink::config {
namespace {

std::string Refusal(const std::string& rule) {
  const auto rules = ParsePolicy("Rules:\n" + rule, "f");
  REQUIRE(rules.status().code() == Code::kInvalidArgument);
  return rules.status().message();
}

TEST_CASE("A policy with every key") {
  const auto policy = ParsePolicy(R"(Rules:
  - Name: physics
    Nodes: ["hpc-*"]
    Issuers: ["https://login.example.org"]
    Subjects: ["system:node:*"]
    Groups: [gpu]
    Tenants: [physics]
    Namespaces: [team, "team-*"]
    May: [run, create, pull, exec-sync]
    Handlers: [hpc]
    Images: ["registry.example.org/*"]
    RequireDigest: true
    RunAsUser: 1000-1999
    CPUs: 0.25
    Memory: 2GiB
    Annotations: {"slurm.interlink.io/account": [physics]}
    Privileged: true
    HostNamespaces: true
    HostPaths: ["/data"]
    Devices: ["nvidia.com/gpu=*"]
  - Name: second
    May: [attach]
)",
                                  "f");
  INFO(policy.status().message());
  REQUIRE(policy.ok());
  REQUIRE(policy->rules().size() == 2);
  const auth::PolicyRule& rule = policy->rules().front();
  CHECK(rule.where == "f:2");
  CHECK(rule.nodes == std::vector<std::string>{"hpc-*"});
  CHECK(rule.namespaces == std::vector<std::string>{"team", "team-*"});
  CHECK(rule.may.size() == 4);
  CHECK(rule.require_digest);
  CHECK(rule.run_as_user->first == 1000);
  CHECK(rule.run_as_user->last == 1999);
  CHECK(rule.annotations.at("slurm.interlink.io/account") == std::vector<std::string>{"physics"});
  CHECK(rule.milli_cpus == 250);
  CHECK(rule.memory == int64_t{2} << 30);
  CHECK(rule.privileged);
  CHECK(rule.host_namespaces);
  CHECK(rule.host_paths == std::vector<std::string>{"/data"});
  CHECK(rule.devices == std::vector<std::string>{"nvidia.com/gpu=*"});
  CHECK_FALSE(policy->rules().back().run_as_user);
}

TEST_CASE("An empty list of rules is a policy; a file without one is not") {
  CHECK(ParsePolicy("Rules: []\n", "f").ok());
  for (const char* text : {"", "# nothing\n", "{}\n"}) {
    CHECK(ParsePolicy(text, "f").status().message() ==
          "f: Rules must be set; an empty list refuses everybody");
  }
}

TEST_CASE("What is wrong is said with its place") {
  CHECK(Refusal("  - Name: a\n    May: [run]\n    Node: [x]\n") ==
        "f:4: unknown key \"Rules[0].Node\", the nearest known key is \"Rules[0].Nodes\"");
  CHECK(Refusal("  - May: [run]\n").find("Rules[0].Name must be set") != std::string::npos);
  CHECK(Refusal("  - Name: a\n").find("Rules[0].May must be set") != std::string::npos);
  CHECK(Refusal("  - Name: a\n    May: []\n").find("f:3") == 0);
  CHECK(Refusal("  - Name: a\n    May: [fly]\n").find("one of run, create") != std::string::npos);
  CHECK(Refusal("  - Name: a\n    May: [run]\n  - Name: a\n    May: [run]\n") ==
        "f:4: the name \"a\" stands twice, it is also at f:2");
  CHECK(Refusal("  - Name: a\n    May: [run]\n    Groups: []\n").find("leave the key out") !=
        std::string::npos);
  for (const char* range : {"x", "2000-1000", "-5", "1-", "1-99999999999", "\"\"", "1.5"}) {
    INFO(range);
    CHECK(Refusal(std::string("  - Name: a\n    May: [create]\n    RunAsUser: ") + range + "\n")
              .find("f:4: Rules[0].RunAsUser must be a user number or a range") == 0);
  }
}

TEST_CASE("Processors are a number with at most three digits behind the point") {
  for (const char* text : {"0", "0.0", "1.", ".5", "1.2345", "-1", "1e3", "1234567", "x", "\"\""}) {
    INFO(text);
    CHECK(Refusal(std::string("  - Name: a\n    May: [create]\n    CPUs: ") + text + "\n")
              .find("f:4: Rules[0].CPUs must be a number of processors") == 0);
  }
}

TEST_CASE("A condition of what the rule does not let anyway is refused") {
  const auto [line, needs] = GENERATE(table<std::string, std::string>({
      {"Images: [x]", "needs create or pull"},
      {"RequireDigest: true", "needs pull"},
      {"RunAsUser: 1", "needs create"},
      {"CPUs: 2", "needs create or update"},
      {"Memory: 1GiB", "needs create or update"},
      {"Annotations: {a: [b]}", "needs run"},
      {"Privileged: true", "needs run or create"},
      {"HostNamespaces: true", "needs run or create"},
      {"HostPaths: [/a]", "needs run or create"},
      {"Devices: [a]", "needs run or create"},
  }));
  const std::string refusal = Refusal("  - Name: a\n    May: [exec]\n    " + line + "\n");
  INFO(refusal);
  CHECK(refusal.find("f:4") == 0);
  CHECK(refusal.find(needs) != std::string::npos);
}

Result<auth::Policy> WithQuotas(const std::string& quotas) {
  return ParsePolicy("Rules: []\nQuotas:\n" + quotas, "f");
}

TEST_CASE("Quotas with every key, and the first that speaks of an account") {
  const auto policy = WithQuotas(R"(  - {Name: free, Tenants: [operators]}
  - Name: teams
    Tenants: ["team-*"]
    Sandboxes: 10
    Containers: 40
    GPUs: 0
    Sessions: 5
    RequestsPerSecond: 20
    BytesPerSecond: 10MiB
  - {Name: rest, Sandboxes: 1}
)");
  INFO(policy.status().message());
  REQUIRE(policy.ok());
  const auto of = [&policy](const char* tenant, const char* node) {
    return auth::FindQuota(policy->quotas(), tenant, node)->name;
  };
  CHECK(of("operators", "") == "free");
  CHECK(of("team-a", "") == "teams");
  CHECK(of("other", "") == "rest");
  CHECK(of("", "team-a") == "rest");
  const auth::Quota& quota = policy->quotas()[1];
  CHECK(quota.where == "f:4");
  CHECK(quota.sandboxes == 10);
  CHECK(quota.containers == 40);
  CHECK(quota.gpus == 0);
  CHECK(quota.sessions == 5);
  CHECK(quota.requests_per_second == 20);
  CHECK(quota.bytes_per_second == 10U << 20U);
  CHECK_FALSE(policy->quotas()[2].containers);
}

TEST_CASE("A quota that is wrong, or never in force, is refused with its place") {
  const auto refusal = [](const std::string& quotas) {
    return WithQuotas(quotas).status().message();
  };
  CHECK(refusal("  - {Sandboxes: 1}\n") == "f:3: Quotas[0].Name must be set");
  CHECK(refusal("  - {Name: a}\n").find("f:3: Quotas[0] limits nothing for anybody") == 0);
  CHECK(
      refusal("  - {Name: a, Sandboxes: 1}\n  - {Name: b, Tenants: [x], Sandboxes: 2}\n") ==
      "f:4: quota \"b\" is never in force: \"a\" at f:3 speaks of every account already; put that "
      "one last");
  CHECK(refusal("  - {Name: a, Nodes: [], Sandboxes: 1}\n").find("leave the key out") !=
        std::string::npos);
  CHECK(refusal("  - {Name: a, Sandboxes: -1}\n").find("f:3: Quotas[0].Sandboxes must be") == 0);
  CHECK(refusal("  - {Name: a, RequestsPerSecond: 0}\n")
            .find("f:3: Quotas[0].RequestsPerSecond must be") == 0);
  CHECK(refusal("  - {Name: a, Sandbox: 1}\n").find("nearest known key is") != std::string::npos);
  CHECK(refusal("  - {Name: a, Tenants: [x]}\n  - {Name: a, Sandboxes: 1}\n") ==
        "f:4: the name \"a\" stands twice, it is also at f:3");
}

TEST_CASE("A request to try a policy with") {
  const auto request = ParsePolicyRequest(
      "Action: create\nNode: n1\nNamespace: team\nImages: [a]\nRunAsUser: 7\n"
      "Annotations: {k: v}\nPrivileged: true\n",
      "r");
  REQUIRE(request.ok());
  CHECK(request->action == auth::Action::kCreate);
  CHECK(request->pod_namespace == "team");
  CHECK(request->run_as_user == 7);
  CHECK(request->annotations.at("k") == "v");
  CHECK(request->privileged);
  CHECK(ParsePolicyRequest("Node: n1\n", "r").status().message().find("Action must be set") !=
        std::string::npos);
  CHECK_FALSE(ParsePolicyRequest("Action: run\nRunAsUser: 1-2\n", "r").ok());
}

TEST_CASE("docs/config-policy.md is what `interlink-api policy reference` prints") {
  std::ifstream file(std::string(DOCS) + "/config-policy.md");
  std::stringstream text;
  text << file.rdbuf();
  CHECK(text.str() == PolicyReference());
}

}  // namespace
}  // namespace interlink::config
