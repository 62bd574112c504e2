#include "config/reload.h"

#include <catch2/catch.hpp>

#include "config/api_config.h"

namespace interlink::config {
namespace {

// A daemon of two keys, of which `Loud` can be changed while it runs.
struct Small {
  bool loud = false;
  uint16_t port = 1;
};

struct ReloadLab {
  Reloader<Small>::Format format() {
    return {
        .load = [this] { return loaded; },
        .keys =
            [](Small* small) {
              return Keys{BooleanKey("Loud", &small->loud, ""), PortKey("Port", &small->port, "")};
            },
        .live = {"Loud"},
        .take =
            [this](const Small& fresh, Small* running) {
              running->loud = fresh.loud;
              loud = fresh.loud;
            }};
  }
  ReloadedPart part(const std::string& name) {
    return {name, [this, name]() -> Result<std::function<void()>> {
              if (name == broken) return InvalidArgument("policy.yaml:3: no");
              return std::function<void()>([this, name] { taken += name + " "; });
            }};
  }

  Result<Small> loaded = Small{};
  bool loud = false;
  std::string broken;
  std::string taken;
  Reloader<Small> reloader{Small{}, format(), {part("certificates"), part("policy")}};
};

TEST_CASE("a reload says what is in force now and what waits for a restart") {
  ReloadLab lab;
  CHECK(*lab.reloader.Reload() ==
        "read again: certificates, policy\nthe configuration has not changed\n");
  lab.loaded = Small{true, 2};
  CHECK(*lab.reloader.Reload() ==
        "read again: certificates, policy\nin force now: Loud\n"
        "at the next restart, which ends nothing that runs: Port\n");
  CHECK(lab.loud);
  // The port still waits; what is in force is no news.
  CHECK(*lab.reloader.Reload() ==
        "read again: certificates, policy\n"
        "at the next restart, which ends nothing that runs: Port\n");
}

TEST_CASE("one part that is wrong, and nothing changes") {
  ReloadLab lab;
  lab.loaded = Small{true, 1};
  SECTION("the configuration") {
    lab.loaded = InvalidArgument("config.yaml:7: no");
    CHECK(lab.reloader.Reload().status() ==
          InvalidArgument("nothing was changed: configuration: config.yaml:7: no"));
  }
  SECTION("a part behind another that is right") {
    lab.broken = "policy";
    CHECK(lab.reloader.Reload().status() ==
          InvalidArgument("nothing was changed: policy: policy.yaml:3: no"));
  }
  CHECK(lab.taken.empty());
  CHECK_FALSE(lab.loud);
}

TEST_CASE("lists of maps are compared by what they say") {
  const auto changed = [](ApiConfig after) {
    ApiConfig before;
    before.plugins.resize(1);
    before.plugins[0].options.options = {{"CNI.ConfDir", "/a", "f:3"}};
    before.auth.oidc.resize(1);
    return ChangedKeys(ApiKeys(&before), ApiKeys(&after));
  };
  ApiConfig after;
  after.plugins.resize(1);
  after.plugins[0].options.options = {{"CNI.ConfDir", "/a", "another line"}};
  after.auth.oidc.resize(1);
  CHECK(changed(after).empty());
  after.plugins[0].options.options[0].value = "/b";
  CHECK(changed(after) == std::vector<std::string>{"Plugins"});
  after.auth.oidc[0].audiences = {"x"};
  after.limits.step_threads = 7;
  CHECK(changed(after) == std::vector<std::string>{"Auth.OIDC", "Limits.StepThreads", "Plugins"});
}

}  // namespace
}  // namespace interlink::config
