// A deny list and a policy that a node escapes by leaving its token out.
#include "auth/without_token.h"

#include <catch2/catch.hpp>

#include "auth/policy_file.h"
#include "base/file.h"
#include "base/mutex.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::auth {
namespace {

class KeptWarnings final : public Log {
 public:
  bool Enabled(LogLevel) const override { return true; }
  void Write(LogLevel level, std::string_view, const std::vector<LogField>& fields) override {
    if (level != LogLevel::kWarning) return;
    const MutexLock lock(mutex_);
    reasons_.push_back(fields.back().value);
  }
  std::vector<std::string> reasons() {
    const MutexLock lock(mutex_);
    return reasons_;
  }

 private:
  Mutex mutex_;
  std::vector<std::string> reasons_ GUARDED_BY(mutex_);
};

Quota OfTenants(const std::string& name, std::optional<uint64_t> sandboxes) {
  Quota quota;
  quota.name = name;
  quota.tenants = {"*"};
  quota.sandboxes = sandboxes;
  return quota;
}

MappedUser UserOf(const std::string& name, std::vector<std::string> WhoAsks::*list) {
  MappedUser user;
  user.name = name;
  user.*list = {"one"};
  return user;
}

TEST_CASE("Only what a token says can be escaped, and the answer names it and the remedy") {
  DenyList::Names names;
  names.nodes = {"node-1"};
  CHECK(EscapedWithoutToken(names).empty());
  names.tenants = {"chemistry"};
  CHECK(EscapedWithoutToken(names) ==
        "lines \"tenant\": only a token tells whom they mean, and here a certificate alone is "
        "enough: set Auth.RequireToken: true, or deny the nodes too");
  names.subjects = {{"https://issuer", "a"}};
  CHECK(EscapedWithoutToken(names).starts_with("lines \"subject\" and \"tenant\": "));
  names.tenants.clear();
  CHECK(EscapedWithoutToken(names).starts_with("lines \"subject\": "));
}

TEST_CASE("A quota that limits tenants can be escaped, one that exempts them cannot") {
  PolicyRule rule;
  rule.tenants = {"physics"};
  CHECK(EscapedWithoutToken(Policy({rule})).empty());
  CHECK(EscapedWithoutToken(Policy({}, {OfTenants("free", std::nullopt)})).empty());
  CHECK(EscapedWithoutToken(Policy({}, {OfTenants("free", std::nullopt), OfTenants("all", 5)})) ==
        "Quotas \"all\": only a token tells whom they mean, and here a certificate alone is "
        "enough: set Auth.RequireToken: true");
}

TEST_CASE("A user by token can be escaped when one behind it needs none") {
  const auto list =
      GENERATE(&WhoAsks::issuers, &WhoAsks::subjects, &WhoAsks::groups, &WhoAsks::tenants);
  const MappedUser guests = UserOf("guests", list);
  const MappedUser nodes = UserOf("nodes", &WhoAsks::nodes);
  CHECK(EscapedWithoutToken(Policy({}, {}, {nodes, guests})).empty());
  CHECK(EscapedWithoutToken(Policy({}, {}, {guests, nodes})).starts_with("Users \"guests\": "));
}

// With ClientAuth: require and RequireToken: false, the default, a node whose tenant was denied was
// served when it sent no token, and nothing said so.
TEST_CASE("A deny list that can be escaped is warned of at the start and when it is read again") {
  const test::TemporaryFolder folder;
  const std::string path = folder.File("denied");
  KeptWarnings log;
  Timer timer;
  REQUIRE(WriteFileAtomically(path, "node n1\ntenant chemistry\n", 0600).ok());
  const bool certificate_is_enough = GENERATE(true, false);
  const auto list = DenyList::Open(path, timer, log, certificate_is_enough);
  REQUIRE(list.ok());
  const size_t each = certificate_is_enough ? 1 : 0;
  CHECK(log.reasons().size() == each);

  REQUIRE(WriteFileAtomically(path, "subject https://issuer a\n", 0600).ok());
  const auto take = (*list)->Prepare();
  REQUIRE(take.ok());
  (*take)();
  REQUIRE(log.reasons().size() >= 2 * each);
  if (certificate_is_enough) CHECK(log.reasons().back().starts_with("lines \"subject\": "));
}

TEST_CASE("A policy that can be escaped is warned of at the start") {
  const test::TemporaryFolder folder;
  KeptWarnings log;
  Timer timer;
  REQUIRE(WriteFileAtomically(folder.File("policy"), "-", 0600).ok());
  const auto parse = [](const std::string&, const std::string&) -> Result<Policy> {
    return Policy({}, {OfTenants("all", 5)});
  };
  const bool certificate_is_enough = GENERATE(true, false);
  REQUIRE(PolicyFile::Open(folder.File("policy"), parse, timer, log, certificate_is_enough).ok());
  CHECK(log.reasons().size() == (certificate_is_enough ? 1 : 0));
}

}  // namespace
}  // namespace interlink::auth
