// Profiles of the machine that a container names: system call filters and AppArmor.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "engine/apparmor.h"
#include "engine/seccomp_file.h"
#include "unit/engine/bench.h"

namespace interlink::engine {
namespace {

using nlohmann::json;
using runtime::v1::SecurityProfile;
using Kind = AppArmorRequest::Kind;

constexpr const char* kBlockChmod = R"({
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [{"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                "args": [{"index": 1, "value": 256, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]}]
})";

void AskLocalhost(Bench& bench, const std::string& path) {
  bench.security().mutable_seccomp()->set_profile_type(SecurityProfile::Localhost);
  bench.security().mutable_seccomp()->set_localhost_ref(path);
}

void Write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  REQUIRE(WriteFileAtomically(path, text, 0600).ok());
}

}  // namespace

TEST_CASE("A Localhost profile of kubelet's folder filters the container") {
  Bench bench;
  bench.options.kubelet_host = true;
  bench.options.kubelet_folder = bench.At("kubelet");
  Write(bench.At("kubelet/seccomp/profiles/p.json"), kBlockChmod);
  AskLocalhost(bench, bench.At("kubelet/seccomp/profiles/p.json"));

  CHECK(bench.Check().ToString() == "OK");
  CHECK(bench.Spec()["linux"]["seccomp"] == json::parse(kBlockChmod));
}

TEST_CASE("A Localhost profile elsewhere needs AllowedHostPaths, where it leads counts") {
  Bench bench;
  bench.options.kubelet_host = true;
  bench.options.kubelet_folder = bench.At("kubelet");
  Write(bench.At("shared/p.json"), kBlockChmod);
  std::filesystem::create_directories(bench.At("kubelet/seccomp"));
  std::filesystem::create_symlink(bench.At("shared/p.json"), bench.At("kubelet/seccomp/p.json"));
  AskLocalhost(bench,
               bench.At(GENERATE(as<std::string>{}, "shared/p.json", "kubelet/seccomp/p.json",
                                 "kubelet/seccomp/../../shared/p.json")));

  const Status refused = bench.Check();

  CHECK(refused.code() == Code::kPermissionDenied);
  CHECK_THAT(refused.message(),
             Catch::Contains("seccomp.localhost_ref") && Catch::Contains("AllowedHostPaths"));
  CHECK_FALSE(bench.Plan().ok());
  bench.policy().allowed_host_paths = {bench.At("shared")};
  CHECK(bench.Check().ok());
  CHECK(bench.Spec()["linux"]["seccomp"] == json::parse(kBlockChmod));
}

TEST_CASE("A Localhost profile of a node on another machine is refused by name") {
  Bench bench;
  bench.policy().allowed_host_paths = {"/"};
  Write(bench.At("p.json"), kBlockChmod);
  AskLocalhost(bench, bench.At("p.json"));

  const Status refused = bench.Check();

  CHECK(refused.code() == Code::kUnimplemented);
  CHECK_THAT(refused.message(),
             Catch::Contains("seccomp.localhost_ref") && Catch::Contains("another machine"));
}

TEST_CASE("A privileged container has no system call filter, whatever it names") {
  Bench bench;
  bench.policy() = {{}, true, true, true};
  bench.security().set_privileged(true);
  bench.pod_config.mutable_linux()->mutable_security_context()->set_privileged(true);
  AskLocalhost(bench, "/no/such/profile");

  CHECK(bench.Check().ToString() == "OK");
  CHECK_FALSE(bench.Spec()["linux"].contains("seccomp"));
}

TEST_CASE("What is no profile is refused by the place, and none of its words is told") {
  const auto [text, place] = GENERATE(table<std::string, std::string>({
      {"SECRET", "not JSON"},
      {"\"SECRET\"", "not a JSON object"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW"} SECRET)", "not JSON"},
      {R"({"SECRET": 1})", "a key"},
      {"{}", "defaultAction"},
      {R"({"defaultAction": "SECRET"})", "defaultAction"},
      {R"({"defaultAction": "SCMP_ACT_NOTIFY"})", "defaultAction"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/SECRET"})", "listener"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "archMap": "SECRET"})", "archMap"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": -1})", "defaultErrnoRet"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SECRET"]})", "architectures[0]"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECRET"]})", "flags[0]"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": "SECRET"})", "syscalls"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["SECRET"], "action": "SCMP_ACT_LOG"}]})",
       "syscalls[0].names"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}]})",
       "syscalls[0].names"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["a"], "action": "SECRET"}]})",
       "syscalls[0].action"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW",
           "syscalls": [{"names": ["a"], "action": "SCMP_ACT_LOG", "excludes": {"caps": ["SECRET"]}}]})",
       "excludes"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW",
           "syscalls": [{"names": ["a"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}]})",
       "syscalls[0].args[0].index"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW",
           "syscalls": [{"names": ["a"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "op": "SECRET"}]}]})",
       "syscalls[0].args[0].op"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW",
           "syscalls": [{"names": ["a"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 1.5, "op": "SCMP_CMP_EQ"}]}]})",
       "syscalls[0].args[0].value"},
  }));
  INFO(text);

  const auto parsed = ParseSeccompProfile(text);

  CHECK(parsed.status().code() == Code::kInvalidArgument);
  CHECK_THAT(parsed.status().message(), Catch::Contains(place));
  CHECK_THAT(parsed.status().message(), !Catch::Contains("SECRET"));
}

TEST_CASE("Only a regular file of bounded size is read as a profile") {
  const test::TemporaryFolder folder;
  Write(folder.File("big"), std::string((1U << 20U) + 1, ' '));
  REQUIRE(mkfifo(folder.File("fifo").c_str(), 0600) == 0);
  std::filesystem::create_symlink(folder.File("big"), folder.File("link"));

  CHECK(ReadSeccompProfile(folder.File("big")).status().code() == Code::kInvalidArgument);
  CHECK(ReadSeccompProfile(folder.File("fifo")).status().code() == Code::kInvalidArgument);
  CHECK(ReadSeccompProfile(folder.path()).status().code() == Code::kInvalidArgument);
  CHECK(ReadSeccompProfile(folder.File("link")).status().code() == Code::kUnavailable);
  CHECK(ReadSeccompProfile(folder.File("absent")).status().code() == Code::kNotFound);
}

TEST_CASE("An AppArmor profile is asked for in either field, the newer one counts") {
  runtime::v1::LinuxContainerSecurityContext security;
  const auto asked = [&] {
    const auto request = AppArmorRequestOf(security);
    return request.ok() ? std::to_string(static_cast<int>(request->kind)) + request->name
                        : request.status().message();
  };
  CHECK(asked() == "0");
  for (const auto& [text, meant] : std::vector<std::pair<std::string, std::string>>{
           {"unconfined", "0"},
           {"runtime/default", "1"},
           {"localhost/p q", "2p q"},
           {"localhost/", "apparmor_profile names no profile"},
       }) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    security.set_apparmor_profile(text);
#pragma GCC diagnostic pop
    CHECK(asked() == meant);
  }
  security.mutable_apparmor()->set_profile_type(SecurityProfile::Unconfined);
  CHECK(asked() == "0");
  security.mutable_apparmor()->set_profile_type(SecurityProfile::RuntimeDefault);
  CHECK(asked() == "1");
  security.mutable_apparmor()->set_localhost_ref("x");
  CHECK_THAT(asked(), Catch::Contains("apparmor.localhost_ref"));
  security.mutable_apparmor()->set_profile_type(SecurityProfile::Localhost);
  CHECK(asked() == "2x");
  security.mutable_apparmor()->set_localhost_ref("localhost/y");
  CHECK(asked() == "2y");
  security.mutable_apparmor()->clear_localhost_ref();
  CHECK_THAT(asked(), Catch::Contains("apparmor.localhost_ref"));
}

TEST_CASE("The loaded AppArmor profiles are the kernel's list") {
  const test::TemporaryFolder folder;
  const std::string root = folder.path() + "/";
  CHECK_FALSE(LoadedAppArmorProfiles(root).value_or(std::set<std::string>{}).has_value());
  Write(root + "sys/module/apparmor/parameters/enabled", "N\n");
  CHECK_FALSE(LoadedAppArmorProfiles(root).value_or(std::set<std::string>{}).has_value());
  Write(root + "sys/module/apparmor/parameters/enabled", "Y\n");
  CHECK_FALSE(LoadedAppArmorProfiles(root).ok());
  Write(root + "sys/kernel/security/apparmor/profiles", "a (enforce)\nb (c) d (complain)\n");

  const auto loaded = LoadedAppArmorProfiles(root);

  REQUIRE(loaded.ok());
  CHECK(*loaded == std::set<std::string>{"a", "b (c) d"});
}

TEST_CASE("An AppArmor profile that cannot be applied is an error, never none") {
  const std::optional<std::set<std::string>> absent;
  const std::optional<std::set<std::string>> loaded = std::set<std::string>{"p"};
  const auto with_default = std::optional(std::set<std::string>{kDefaultAppArmorProfile});
  const auto profile = [](Kind kind, const std::string& name, bool privileged, const auto& all) {
    const auto answer = AppArmorProfile({kind, name}, privileged, all);
    return answer.ok() ? "=" + *answer : answer.status().message();
  };
  CHECK(profile(Kind::kUnconfined, "", false, loaded) == "=");
  CHECK(profile(Kind::kRuntimeDefault, "", false, absent) == "=");
  CHECK(profile(Kind::kRuntimeDefault, "", true, with_default) == "=");
  CHECK(profile(Kind::kRuntimeDefault, "", false, with_default) == "=interlink-default");
  CHECK_THAT(profile(Kind::kRuntimeDefault, "", false, loaded),
             Catch::Contains("interlink-default") && Catch::Contains("not loaded"));
  CHECK(profile(Kind::kLocalhost, "p", false, loaded) == "=p");
  CHECK(profile(Kind::kLocalhost, "p", true, loaded) == "=p");
  CHECK_THAT(profile(Kind::kLocalhost, "q", false, loaded), Catch::Contains("\"q\""));
  CHECK_THAT(profile(Kind::kLocalhost, "p", false, absent), Catch::Contains("no AppArmor"));
}

}  // namespace interlink::engine
