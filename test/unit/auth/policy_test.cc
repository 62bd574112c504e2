// Who may have what: each way in which a rule lets through, and does not.
#include "auth/policy.h"

#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "auth/policy_file.h"
#include "base/file.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::auth {
namespace {

constexpr Action kAll[] = {Action::kRun,      Action::kCreate, Action::kUpdate,      Action::kExec,
                           Action::kExecSync, Action::kAttach, Action::kPortForward, Action::kPull};

PolicyRule Everything() {
  PolicyRule rule;
  rule.name = "everything";
  rule.may = {std::begin(kAll), std::end(kAll)};
  return rule;
}

PolicyRequest Ask(Action action) {
  PolicyRequest request;
  request.action = action;
  request.node = "n1";
  request.issuer = "https://issuer";
  request.subject = "system:node:n1";
  request.tenant = "physics";
  request.groups = {"gpu", "staff"};
  request.pod_namespace = "team";
  request.handler = "hpc";
  request.images = {"registry.example/team/app:1"};
  return request;
}

Decision Decide(const PolicyRule& rule, const PolicyRequest& request) {
  return Policy({rule}).Decide(request);
}

TEST_CASE("Without a rule everything is refused, and the answer says who asked for what") {
  for (const Action action : kAll) {
    const Decision decision = Policy({}).Decide(Ask(action));
    CHECK_FALSE(decision.allowed);
    CHECK(decision.why.find("node \"n1\"") != std::string::npos);
    CHECK(decision.why.find("may not " + std::string(NameOf(action))) != std::string::npos);
    CHECK(decision.why.find("namespace \"team\"") != std::string::npos);
  }
}

TEST_CASE("A rule lets through what its May says, and nothing else") {
  for (const Action said : kAll) {
    PolicyRule rule;
    rule.name = "one";
    rule.may = {said};
    for (const Action asked : kAll) CHECK(Decide(rule, Ask(asked)).allowed == (asked == said));
  }
}

TEST_CASE("Every word about who asks must be true") {
  const auto one_list =
      GENERATE(&PolicyRule::nodes, &PolicyRule::issuers, &PolicyRule::subjects, &PolicyRule::groups,
               &PolicyRule::tenants, &PolicyRule::namespaces, &PolicyRule::handlers);
  PolicyRule rule = Everything();
  rule.*one_list = {"other", "oth*"};
  CHECK_FALSE(Decide(rule, Ask(Action::kRun)).allowed);
  rule.*one_list = {"other", "*"};
  CHECK(Decide(rule, Ask(Action::kRun)).allowed);
}

TEST_CASE("A pull that is for no pod has an empty namespace, which a rule may name") {
  PolicyRule rule = Everything();
  rule.namespaces = rule.service_accounts = {"default", GENERATE("", "*")};
  PolicyRequest request = Ask(Action::kPull);
  request.pod_namespace = request.service_account = "";

  CHECK(Decide(rule, request).allowed);
  rule.namespaces = {"default"};
  CHECK_FALSE(Decide(rule, request).allowed);
}

TEST_CASE("A request without a token is none of a rule that asks for one") {
  const auto one_list = GENERATE(&PolicyRule::issuers, &PolicyRule::subjects, &PolicyRule::groups,
                                 &PolicyRule::tenants);
  // "*" stands for an empty text too: a rule for every tenant let in who had left out the token, by
  // which alone a tenant is known.
  const char* const any = GENERATE("*", "?*", "");
  PolicyRule rule = Everything();
  rule.*one_list = {any};
  PolicyRequest request = Ask(Action::kExec);
  request.issuer = request.subject = request.tenant = "";
  request.groups.clear();
  CHECK_FALSE(Decide(rule, request).allowed);
}

TEST_CASE("Images are those of the rule") {
  PolicyRule rule = Everything();
  rule.images = {"registry.example/team/*"};
  const auto action = GENERATE(Action::kCreate, Action::kPull);
  PolicyRequest request = Ask(action);
  CHECK(Decide(rule, request).allowed);
  request.images = {"docker.io/library/x:1", "registry.example/team/app@sha256:0"};
  CHECK(Decide(rule, request).allowed);
  for (const char* other : {"registry.example/teamster/app:1", "evil/registry.example/team/app",
                            "registry.example.evil/team/app", ""}) {
    request.images = {other};
    INFO(other);
    CHECK_FALSE(Decide(rule, request).allowed);
  }
  request.images.clear();
  CHECK_FALSE(Decide(rule, request).allowed);
}

TEST_CASE("Where a digest is asked for, a pull by tag is refused") {
  PolicyRule rule = Everything();
  rule.require_digest = true;
  PolicyRequest request = Ask(Action::kPull);
  CHECK(Decide(rule, request).why.find("digest") != std::string::npos);
  request.images = {"registry.example/team/app@sha256:0123"};
  CHECK(Decide(rule, request).allowed);
}

TEST_CASE("Users are told by number and within the range") {
  PolicyRule rule = Everything();
  rule.run_as_user = PolicyRule::Range{1000, 1999};
  PolicyRequest request = Ask(Action::kCreate);
  CHECK(Decide(rule, request).why.find("runAsUser") != std::string::npos);
  for (const int64_t user : {0, 999, 2000, -1}) {
    request.run_as_user = user;
    CHECK_FALSE(Decide(rule, request).allowed);
  }
  for (const int64_t user : {1000, 1500, 1999}) {
    request.run_as_user = user;
    CHECK(Decide(rule, request).allowed);
  }
}

TEST_CASE("What reaches the machine needs a word of its own") {
  PolicyRule rule = Everything();
  PolicyRequest request = Ask(GENERATE(Action::kRun, Action::kCreate));
  SECTION("privileged") {
    request.privileged = true;
    CHECK_FALSE(Decide(rule, request).allowed);
    rule.privileged = true;
    CHECK(Decide(rule, request).allowed);
  }
  SECTION("its namespaces") {
    request.host_namespaces = true;
    CHECK_FALSE(Decide(rule, request).allowed);
    rule.host_namespaces = true;
    CHECK(Decide(rule, request).allowed);
  }
  SECTION("its devices") {
    request.devices = {"/dev/fuse", "nvidia.com/gpu=0"};
    rule.devices = {"/dev/fuse"};
    CHECK_FALSE(Decide(rule, request).allowed);
    rule.devices = {"/dev/fuse", "nvidia.com/gpu=*"};
    CHECK(Decide(rule, request).allowed);
  }
}

TEST_CASE("Paths are compared by their components") {
  PolicyRule rule = Everything();
  rule.host_paths = {"/data/team/"};
  PolicyRequest request = Ask(Action::kCreate);
  for (const char* inside : {"/data/team", "/data/team/", "/data/team/a/b"}) {
    request.host_paths = {inside};
    INFO(inside);
    CHECK(Decide(rule, request).allowed);
  }
  for (const char* outside : {"/", "/data", "/data/teamster", "/data/team/../other",
                              "/data/team/a/..", "data/team", "", "/data/tea"}) {
    request.host_paths = {"/data/team/a", outside};
    INFO(outside);
    CHECK_FALSE(Decide(rule, request).allowed);
  }
  rule.host_paths = {"/"};
  request.host_paths = {"/etc"};
  CHECK(Decide(rule, request).allowed);
  request.host_paths = {"etc"};
  CHECK_FALSE(Decide(rule, request).allowed);
}

TEST_CASE("An annotation that a rule speaks of has one of its values, or is absent") {
  PolicyRule rule = Everything();
  rule.annotations = {{"slurm.interlink.io/account", {"physics", "phys-*"}}};
  PolicyRequest request = Ask(Action::kRun);
  CHECK(Decide(rule, request).allowed);
  request.annotations = {{"other", "x"}, {"slurm.interlink.io/account", "phys-2"}};
  CHECK(Decide(rule, request).allowed);
  request.annotations["slurm.interlink.io/account"] = "chemistry";
  CHECK(Decide(rule, request).why.find("chemistry") != std::string::npos);
}

TEST_CASE("Rules add up; the answer names the one that let it through, or the nearest") {
  PolicyRule narrow = Everything();
  narrow.name = "narrow";
  narrow.images = {"registry.example/*"};
  PolicyRule other = Everything();
  other.name = "other";
  other.nodes = {"n2"};
  PolicyRule wide = Everything();
  wide.name = "wide";
  PolicyRequest request = Ask(Action::kCreate);
  request.images = {"docker.io/library/x:1"};
  CHECK(Policy({narrow, other, wide}).Decide(request).rule == "wide");
  const Decision refused = Policy({other, narrow}).Decide(request);
  CHECK(refused.why.find("\"narrow\"") != std::string::npos);
  CHECK(refused.why.find("\"other\"") == std::string::npos);
  const auto verdicts = Policy({narrow, other, wide}).Explain(request);
  REQUIRE(verdicts.size() == 3);
  CHECK(verdicts[0].why_not.find("Images") != std::string::npos);
  CHECK(verdicts[1].why_not.find("does not name node") != std::string::npos);
  CHECK(verdicts[2].why_not.empty());
}

TEST_CASE("A hostile text comes back as one short line") {
  PolicyRequest request = Ask(Action::kRun);
  request.pod_namespace = std::string(100'000, 'x') + "\n\"rule\"";
  request.handler = "a\nb\x01\"c";
  const Decision decision = Policy({}).Decide(request);
  CHECK(decision.why.size() < 1500);
  CHECK(decision.why.find('\n') == std::string::npos);
  CHECK(decision.why.find("a?b??c") != std::string::npos);
}

class CountingLines final : public Log {
 public:
  bool Enabled(LogLevel) const override { return true; }
  void Write(LogLevel level, std::string_view, const std::vector<LogField>&) override {
    if (level == LogLevel::kError) ++errors;
  }
  std::atomic<int> errors = 0;
};

// One rule for each word of the text; "bad" is none.
Result<Policy> ParseWords(const std::string& text, const std::string& file) {
  if (text == "bad") return InvalidArgument(file + ":1: bad");
  PolicyRule rule = Everything();
  rule.nodes = {text};
  return Policy({rule});
}

struct FileLab {
  std::string Write(const std::string& text, mode_t mode = 0644) {
    REQUIRE(WriteFileAtomically(folder.File("policy"), text, mode).ok());
    return folder.File("policy");
  }
  test::TemporaryFolder folder;
  CountingLines log;
  Timer timer;
};

TEST_CASE("A changed policy is in force soon; one that cannot be used changes nothing") {
  FileLab lab;
  const auto file = PolicyFile::Open(lab.Write("n1"), ParseWords, lab.timer, lab.log);
  REQUIRE(file.ok());
  const auto lets = [&file] { return (*file)->Get()->Decide(Ask(Action::kRun)).allowed; };
  CHECK(lets());
  lab.Write("bad");
  CHECK(test::Eventually([&lab] { return lab.log.errors == 1; }));
  CHECK(lets());
  REQUIRE(chmod(lab.Write("n2").c_str(), 0666) == 0);
  CHECK(test::Eventually([&lab] { return lab.log.errors == 2; }));
  CHECK(lets());
  lab.Write("n2");
  CHECK(test::Eventually([&lets] { return !lets(); }));
}

TEST_CASE("A policy that others can write, or that is not there, is refused at the start") {
  FileLab lab;
  REQUIRE(chmod(lab.Write("n1").c_str(), 0664) == 0);
  const auto open = [&lab](const std::string& path) {
    return PolicyFile::Open(path, ParseWords, lab.timer, lab.log).status();
  };
  CHECK(open(lab.folder.File("policy")).code() == Code::kPermissionDenied);
  CHECK(open(lab.folder.File("absent")).code() == Code::kNotFound);
  CHECK(open(lab.Write("bad")).code() == Code::kInvalidArgument);
}

}  // namespace
}  // namespace interlink::auth
