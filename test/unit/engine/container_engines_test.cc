// The table of container engines, and what is written for one that reads no OCI config.
#include "engine/container_engines.h"

#include <sys/mount.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>

#include "engine/engine.h"
#include "engine/launch_file.h"
#include "engine/plan_sandbox.h"
#include "shim/launch.h"
#include "unit/engine/bench.h"

namespace interlink::engine {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;
using Items = std::vector<Words>;

struct ChRunBench : Bench {
  ChRunBench() {
    options.rootless = true;
    options.engine = "ch-run";
    pod.own_network = false;
    security().mutable_namespace_options()->set_pid(runtime::v1::CONTAINER);
  }
};

// Name and values of each item.
Items ItemsOf(const Result<std::string>& file) {
  INFO(file.status().ToString());
  REQUIRE(file.ok());
  Items items;
  shim::LaunchScanner scan(*file);
  for (shim::LaunchItem item; scan.Next(item);) {
    const auto& [name, values] = shim::kLaunchNames[static_cast<size_t>(item.kind)];
    Words& words = items.emplace_back();
    words.emplace_back(name);
    for (size_t i = 0; i < values; ++i) words.emplace_back(item.values[i]);
  }
  CHECK_FALSE(scan.failed());
  return items;
}

bool HasItem(const Items& items, const Words& item) {
  return std::find(items.begin(), items.end(), item) != items.end();
}

std::string Number(uint64_t flags) { return std::to_string(flags); }

}  // namespace

TEST_CASE("An engine is a row of the table, by its name") {
  CHECK(FindContainerEngine("crun")->program == std::string("/usr/bin/crun"));
  CHECK(FindContainerEngine("ch-run")->program == std::string("/usr/bin/ch-run"));
  CHECK(FindContainerEngine("docker") == nullptr);
  CHECK(FindContainerEngine("") == nullptr);
  CHECK(ContainerEngineNames() == "crun or ch-run");
}

TEST_CASE("Each engine is called with words of its own") {
  const EngineWords words{"/shim", "/program", "/root", false};
  const EngineWords limited{"/shim", "/program", "/root", true};
  const ContainerEngine& crun = *FindContainerEngine("crun");
  const ContainerEngine& ch_run = *FindContainerEngine("ch-run");

  CHECK(crun.command(words) == Words{"/program", "--cgroup-manager=disabled", "--root", "/root"});
  CHECK(crun.command(limited)[1] == "--cgroup-manager=cgroupfs");
  CHECK(crun.trial(words) == Words{"/program", "--version"});
  CHECK(ch_run.command(words) ==
        Words{"/shim", "ch-run", "--program", "/program", "--root", "/root"});
  CHECK(ch_run.trial(words) ==
        Words{"/shim", "ch-run", "--program", "/program", "--root", "/root", "try"});
}

TEST_CASE("What ch-run cannot honour is described by nobody, and all else is") {
  EngineOptions options;
  options.handlers = {"slurm"};
  options.rootless = true;
  const sdk::Description crun = DescribeEngine(options, {});
  options.engine = "ch-run";
  const sdk::Description ch_run = DescribeEngine(options, {});

  const auto missing = [](const Words& all, const Words& some) {
    Words left;
    for (const std::string& path : all) {
      if (std::find(some.begin(), some.end(), path) == some.end()) left.push_back(path);
    }
    return left;
  };

  CHECK(missing(crun.container.honoured, ch_run.container.honoured) ==
        Words{"devices", "linux.security_context.capabilities.add_ambient_capabilities",
              "linux.security_context.privileged"});
  CHECK(missing(crun.sandbox.honoured, ch_run.sandbox.honoured) ==
        Words{"linux.security_context.privileged"});
  CHECK(crun.container.advisory == ch_run.container.advisory);
  CHECK(crun.container.bounded == ch_run.container.bounded);
}

TEST_CASE("A launch file says all that the config of a container says") {
  ChRunBench bench;
  bench.image.cmd = {"sh", "-c", "echo a b"};
  bench.image.env = {"PATH=/bin"};
  bench.security().mutable_run_as_user()->set_value(1000);
  bench.security().mutable_run_as_group()->set_value(2000);
  bench.security().set_readonly_rootfs(true);
  bench.security().add_masked_paths("/proc/own");
  bench.security().add_readonly_paths("/proc/kept");
  bench.config.set_tty(true);
  bench.config.set_working_dir("/work");
  bench.proc = "/pins/proc";

  const json spec = bench.Spec();
  const Items items = ItemsOf(LaunchOfContainer(spec.dump()));

  for (const Words& item : Items{
           {"root", bench.pod_folder.Root(bench.record.id)},
           {"read-only"},
           {"terminal"},
           {"user", "1000", "2000"},
           {"folder", "/work"},
           {"word", "echo a b"},
           {"env", "PATH=/bin"},
           {"mask", "/proc/own"},
           {"mask", "/proc/kcore"},
           {"keep", "/proc/kept"},
           {"keep", "/proc/sys"},
           {"namespace", "pid", ""},
           {"namespace", "uts", bench.pod_folder.Namespace("uts")},
           {"mount", "/proc", "bind", "/pins/proc",
            Number(MS_BIND | MS_REC | MS_NOSUID | MS_NODEV | MS_NOEXEC),
            Number(MS_REC | MS_PRIVATE), ""},
           {"mount", "/dev", "tmpfs", "tmpfs", Number(MS_NOSUID | MS_STRICTATIME), "0",
            "mode=755,size=65536k"},
           {"mount", "/etc/resolv.conf", "bind", bench.pod_folder.ResolvConf(),
            Number(MS_BIND | MS_REC | MS_RDONLY), Number(MS_REC | MS_PRIVATE), ""},
       }) {
    INFO(json(item).dump());
    CHECK(HasItem(items, item));
  }
  const auto mounts = std::count_if(items.begin(), items.end(),
                                    [](const Words& item) { return item.front() == "mount"; });
  CHECK(mounts == static_cast<ptrdiff_t>(spec["mounts"].size()));
}

TEST_CASE("A launch file has exactly the capabilities that the container has") {
  ChRunBench bench;
  bench.security().mutable_capabilities()->add_drop_capabilities("ALL");
  bench.security().mutable_capabilities()->add_add_capabilities("CHOWN");
  bench.security().mutable_capabilities()->add_add_capabilities("KILL");

  const Items items = ItemsOf(LaunchOfContainer(bench.Spec().dump()));

  CHECK(HasItem(items, {"bounding", Number(1U << 0U | 1U << 5U)}));
}

TEST_CASE("An exec's launch file has its own words and terminal, and the container's rest") {
  ChRunBench bench;
  bench.security().mutable_run_as_user()->set_value(1000);
  const auto process = ExecProcess(bench.Spec().dump(), {"ls", "/"}, true);
  REQUIRE(process.ok());

  const Items items = ItemsOf(LaunchOfExec(*process));

  CHECK(HasItem(items, {"user", "1000", "0"}));
  CHECK(HasItem(items, {"terminal"}));
  CHECK(HasItem(items, {"env", "TERM=xterm"}));
  CHECK(HasItem(items, {"word", "ls"}));
  CHECK_FALSE(HasItem(items, {"word", "sh"}));
  CHECK(items.front().front() == "user");
}

TEST_CASE("What a launch file cannot say is an error, and never left out") {
  ChRunBench bench;
  json spec = bench.Spec();
  Code code = Code::kInternal;
  SECTION("a filter of system calls") { spec["linux"]["seccomp"] = {{"defaultAction", "x"}}; }
  SECTION("an AppArmor profile") { spec["process"]["apparmorProfile"] = "profile"; }
  SECTION("limits") { spec["linux"]["resources"] = json::object(); }
  SECTION("a device") { spec["linux"]["devices"] = {{{"path", "/dev/fuse"}}}; }
  SECTION("a group") { spec["process"]["user"]["additionalGids"] = {1}; }
  SECTION("an ambient capability") { spec["process"]["capabilities"]["ambient"] = {"CAP_CHOWN"}; }
  SECTION("a namespace") { spec["linux"]["namespaces"].push_back({{"type", "network"}}); }
  SECTION("a mount's option") { spec["mounts"].back()["options"].push_back("idmap"); }
  SECTION("a NUL") {
    spec["process"]["args"].push_back(std::string("a\0b", 3));
    code = Code::kInvalidArgument;
  }
  SECTION("no process") {
    spec.erase("process");
    code = Code::kDataLoss;
  }

  CHECK(LaunchOfContainer(spec.dump()).status().code() == code);
}

TEST_CASE("Without filters only Unconfined can be asked for, which kubelet sends on every pod") {
  ChRunBench bench;
  using Profile = runtime::v1::SecurityProfile;
  CHECK(bench.Check().ok());
  bench.security().mutable_seccomp()->set_profile_type(Profile::Unconfined);
  bench.security().mutable_apparmor()->set_profile_type(Profile::Unconfined);
  CHECK(bench.Check().ok());
  bench.security().mutable_seccomp()->set_profile_type(Profile::RuntimeDefault);

  const Status refused = bench.Check();

  CHECK(refused.code() == Code::kUnimplemented);
  CHECK_THAT(refused.message(), Catch::StartsWith("linux.security_context.seccomp: engine ch-run"));
  bench.options.engine = "crun";
  CHECK(bench.Check().ok());
}

TEST_CASE("A launch file that is cut or has an unknown item is none") {
  ChRunBench bench;
  const auto file = LaunchOfContainer(bench.Spec().dump());
  REQUIRE(file.ok());
  const auto good = [](std::string_view bytes) {
    shim::LaunchScanner scan(bytes);
    for (shim::LaunchItem item; scan.Next(item);) {
    }
    return !scan.failed();
  };

  CHECK(good(*file));
  CHECK_FALSE(good(std::string_view(*file).substr(0, file->size() - 1)));
  CHECK_FALSE(good(*file + std::string("user\0"
                                       "1\0",
                                       7)));
  CHECK_FALSE(good(*file + std::string("unknown\0", 8)));
}

}  // namespace interlink::engine
