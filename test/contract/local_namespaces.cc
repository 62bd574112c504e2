// User namespaces and the pid namespace of another container, with real containers.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "contract/config_text.h"
#include "contract/contract_lab.h"
#include "support/eventually.h"

namespace interlink::contract {
namespace {

using runtime::v1::ContainerConfig;
using runtime::v1::PodSandboxConfig;
using test::Eventually;

constexpr const char* kRange =
    "uids { host_id: 200000 length: 65536 } gids { host_id: 200000 length: 65536 }";
constexpr const char* kMount =
    "uidMappings { host_id: 200000 length: 65536 } gidMappings { host_id: 200000 length: 65536 }";

PodSandboxConfig UsernsPod(const std::string& options = "pid: CONTAINER") {
  return FromText<PodSandboxConfig>(
      "hostname: \"pod\" linux { security_context { namespace_options { " + options +
      " userns_options { " + kRange + " } } } }");
}

class NamespaceLab : public ContractLab {
 public:
  SandboxId RunUpWith(const PodSandboxConfig& config) {
    const SandboxId id = Run(config);
    const auto fact = Await(id, State::kUp);
    INFO(fact.message);
    REQUIRE(fact.state == State::kUp);
    return id;
  }
  ContainerId Start(const SandboxId& sandbox, const Words& command,
                    const ContainerConfig& config = {}) {
    const ContainerId id = MintContainerId();
    const Status created = Create(sandbox, id, command, config);
    INFO(created.ToString());
    REQUIRE(created.ok());
    REQUIRE(backend().StartContainer(call(), sandbox, id).ok());
    return id;
  }
  // What a shell script in a new container prints, without the log's times.
  std::string Output(const SandboxId& sandbox, const std::string& script,
                     const ContainerConfig& config = {}) {
    const ContainerId id = Start(sandbox, {"sh", "-c", script}, config);
    Await(sandbox, id, State::kDown);
    std::istringstream lines(Log(sandbox, id));
    std::string text;
    for (std::string line; std::getline(lines, line);)
      text += line.substr(line.find(" F ") + 3) + "\n";
    return text;
  }
  std::string Inside(const SandboxId& sandbox, const ContainerId& id, const std::string& script) {
    const auto exec = Exec(sandbox, id, {"sh", "-c", script});
    REQUIRE(exec.ok());
    const SessionEnd end = ReadSession(exec->get());
    return end.out + end.err;
  }
  std::string Shared() {
    std::string path = host().data_folder() + "/shared";
    std::filesystem::create_directories(path);
    return path;
  }
};

}  // namespace

TEST_CASE("A pod with a user namespace has the ids that were asked for, and owns what it has") {
  NamespaceLab lab;
  REQUIRE(lab.backend().Describe().handlers.at(0).user_namespaces);
  const SandboxId sandbox = lab.RunUpWith(UsernsPod());

  CHECK(lab.Output(sandbox, "cat /proc/self/uid_map /proc/self/gid_map") ==
        "         0     200000      65536\n         0     200000      65536\n");
  CHECK(lab.Output(sandbox,
                   "id -u; id -g; stat -c '%u:%g' / /bin/sh /etc/resolv.conf /etc/hostname "
                   "/dev/shm /proc/1 /dev/pts") == "0\n0\n0:0\n0:0\n0:0\n0:0\n0:0\n0:0\n0:0\n");
  CHECK(lab.Output(
            sandbox,
            "touch /new /etc/passwd && mkdir /d && stat -c '%u:%g' /new /etc/passwd; "
            "cat /etc/hostname; cat /sys/class/net/lo/address; ls /proc/sys/net/ipv4 >/dev/null && "
            "echo net; "
            "touch /dev/shm/x && echo shm; echo ok > /dev/stdout; cat /dev/null && hostname") ==
        "0:0\n0:0\npod\n00:00:00:00:00:00\nnet\nshm\nok\npod\n");
}

TEST_CASE("A container in a user namespace runs as a user of its image") {
  NamespaceLab lab;
  const SandboxId sandbox = lab.RunUpWith(UsernsPod());
  const auto config = FromText<ContainerConfig>(
      R"(working_dir: "/made/here" linux { security_context { run_as_username: "alice" supplemental_groups: 7 } })");

  CHECK(lab.Output(sandbox,
                   "id; stat -c %u /made/here; echo err >/dev/stderr; cat /proc/self/setgroups",
                   config)
            .find("uid=1000(alice) gid=1000(alice) groups=7,1000(alice),50000(extra)") == 0);
  const auto outside =
      FromText<ContainerConfig>("linux { security_context { run_as_user { value: 65536 } } }");
  const Status refused = lab.Create(sandbox, MintContainerId(), {"true"}, outside);
  CHECK(refused.code() == Code::kInvalidArgument);
  CHECK_THAT(refused.message(), Catch::Contains("65536 ids"));
}

TEST_CASE("Exec, port-forward, stats, signals and a restart reach into a user namespace") {
  NamespaceLab lab;
  const SandboxId sandbox = lab.RunUpWith(UsernsPod());
  const ContainerId id = lab.Start(
      sandbox,
      {"sh", "-c", "httpd -p 8080 -h /etc; trap 'exit 9' TERM; echo ready; sleep 600 & wait"});
  REQUIRE(Eventually([&] {
    const auto chunk = lab.backend().ReadLog(lab.call(), sandbox, id, 0, 4096);
    return chunk.ok() && chunk->bytes.find("ready") != std::string::npos;
  }));

  CHECK(lab.Inside(sandbox, id, "cat /proc/self/uid_map; id -u; echo out > /dev/stdout") ==
        "         0     200000      65536\n0\nout\n");
  CHECK(Eventually([&] { return lab.backend().Dial(lab.call(), sandbox, 8080).ok(); }));
  const auto stats = lab.backend().Stats(lab.call());
  REQUIRE(stats.ok());
  REQUIRE(stats->containers.size() == 1);
  CHECK(stats->containers[0].memory().working_set_bytes().value() > 0);
  CHECK(stats->sandboxes.at(0).linux().network().default_interface().name() == "eth0");
  lab.Restart();
  CHECK(lab.Inside(sandbox, id, "id -u") == "0\n");
  REQUIRE(lab.backend().StopContainer(lab.call(), sandbox, id, std::chrono::seconds(30)).ok());
  CHECK(lab.Await(sandbox, id, State::kDown).exit_code == 9);
}

TEST_CASE("A container in a user namespace has a terminal of its own") {
  NamespaceLab lab;
  const SandboxId sandbox = lab.RunUpWith(UsernsPod());

  const std::string text = lab.Output(sandbox, "stat -c '%u %F' /dev/console; echo told > /dev/tty",
                                      FromText<ContainerConfig>("tty: true"));

  CHECK_THAT(text, Catch::Contains("0 character") && Catch::Contains("told"));
}

TEST_CASE("Containers of a user namespace share a pid namespace that it owns") {
  NamespaceLab lab;
  const std::string pod = GENERATE(as<std::string>{}, "pid: POD", "pid: CONTAINER");
  const SandboxId sandbox = lab.RunUpWith(UsernsPod(pod));
  const ContainerId first = lab.Start(sandbox, {"sleep", "600"});

  CHECK(lab.Output(sandbox,
                   "cat /proc/1/status | grep -E '^(Name|Uid)'; ps | grep -c 'sleep 600$'") ==
        "Name:\tinterlink-init\nUid:\t0\t0\t0\t0\n1\n");
  CHECK(lab.backend().StopContainer(lab.call(), sandbox, first, std::chrono::seconds(0)).ok());
}

TEST_CASE("A mount in a user namespace shows its files' owners where its mappings ask for it") {
  NamespaceLab lab;
  const SandboxId sandbox = lab.RunUpWith(UsernsPod());
  const std::string shared = lab.Shared();
  std::ofstream(shared + "/root") << "x";
  std::ofstream(shared + "/alice") << "x";
  REQUIRE(chown((shared + "/alice").c_str(), 1000, 1000) == 0);
  const std::string script = "stat -c %u /m/root /m/alice; touch /m/new";
  const std::string mount = "mounts { container_path: \"/m\" host_path: \"" + shared + "\" ";

  CHECK(lab.Output(sandbox, script, FromText<ContainerConfig>(mount + kMount + " }")) ==
        "0\n1000\n");
  struct stat about {};
  REQUIRE(stat((shared + "/new").c_str(), &about) == 0);
  CHECK(about.st_uid == 0);
  CHECK(lab.Output(sandbox, "stat -c %u /m/root", FromText<ContainerConfig>(mount + "}")) ==
        "65534\n");
  const Status refused = lab.Create(
      sandbox, MintContainerId(), {"true"},
      FromText<ContainerConfig>(mount + "uidMappings { length: 5 } gidMappings { length: 5 } }"));
  CHECK(refused.code() == Code::kInvalidArgument);
  CHECK_THAT(refused.message(), Catch::Contains("uidMappings"));
}

TEST_CASE("A mount in a user namespace that would lose what is mounted below it is refused") {
  NamespaceLab lab;
  const SandboxId sandbox = lab.RunUpWith(UsernsPod());
  const std::string sub = lab.Shared() + "/sub";
  std::filesystem::create_directories(sub);
  REQUIRE(mount("tmpfs", sub.c_str(), "tmpfs", 0, "size=64k") == 0);
  const auto config = FromText<ContainerConfig>("mounts { container_path: \"/m\" host_path: \"" +
                                                lab.Shared() + "\" }");

  const Status refused = lab.Create(sandbox, MintContainerId(), {"true"}, config);

  CHECK(umount2(sub.c_str(), 0) == 0);
  CHECK(refused.code() == Code::kFailedPrecondition);
  CHECK_THAT(refused.message(), Catch::Contains("mount \"/m\""));
  CHECK(lab.Output(sandbox, "ls /m", config) == "sub\n");
}

TEST_CASE("What a user namespace cannot have is refused by name, and nothing is made") {
  NamespaceLab lab;
  for (const char* option : {"network: NODE", "ipc: NODE", "pid: NODE"}) {
    const auto config = UsernsPod(option);
    const Status refused =
        lab.backend().RunSandbox(lab.call(), {MintSandboxId(), lab.node(), "local", config});
    CHECK(refused.code() == Code::kInvalidArgument);
    CHECK_THAT(refused.message(), Catch::Contains("NODE cannot be had with userns_options"));
  }
  CHECK(lab.subject().Remains().empty());
  const SandboxId sandbox = lab.RunUpWith(UsernsPod());
  const auto differ = FromText<ContainerConfig>(
      "linux { security_context { namespace_options { userns_options { uids { length: 5 } gids { "
      "length: 5 } } } } }");
  CHECK_THAT(lab.Create(sandbox, MintContainerId(), {"true"}, differ).message(),
             Catch::Contains("differ from those of the pod"));
}

TEST_CASE("A container joins the pid namespace of a running one of its pod") {
  NamespaceLab lab;
  const bool userns = GENERATE(false, true);
  const SandboxId sandbox =
      userns ? lab.RunUpWith(UsernsPod())
             : lab.RunUpWith(FromText<PodSandboxConfig>(
                   "linux { security_context { namespace_options { pid: CONTAINER } } }"));
  const std::string own = "namespace_options { pid: CONTAINER }";
  const ContainerId target =
      lab.Start(sandbox, {"sleep", "600"},
                FromText<ContainerConfig>("linux { security_context { " + own + " } }"));
  const auto asking = [](const std::string& id) {
    return FromText<ContainerConfig>(
        "linux { security_context { namespace_options { pid: TARGET target_id: \"" + id +
        "\" } } }");
  };

  CHECK(
      lab.Output(sandbox,
                 "cat /proc/1/cmdline | head -c 5; echo; ls /proc/1/root/ >/dev/null && echo root",
                 asking(target.str())) == "sleep\nroot\n");

  const auto refusal = [&](const std::string& id) {
    return lab.Create(sandbox, MintContainerId(), {"true"}, asking(id));
  };
  CHECK(refusal(std::string(64, 'a')).code() == Code::kInvalidArgument);
  const SandboxId other = lab.RunUp();
  const ContainerId stranger = lab.Start(other, {"sleep", "600"});
  CHECK_THAT(refusal(stranger.str()).message(), Catch::Contains("namespace_options.target_id") &&
                                                    Catch::Contains("not in this sandbox"));
  const ContainerId created = lab.CreateOk(sandbox, {"sleep", "600"});
  CHECK_THAT(refusal(created.str()).message(), Catch::Contains("not running"));
  REQUIRE(lab.backend().StopContainer(lab.call(), sandbox, target, std::chrono::seconds(0)).ok());
  lab.Await(sandbox, target, State::kDown);
  const Status ended = refusal(target.str());
  CHECK(ended.code() == Code::kFailedPrecondition);
  CHECK_THAT(ended.message(), Catch::Contains("not running"));
}

TEST_CASE("A container that joins another's pid namespace ends with it, and its end is told") {
  NamespaceLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId target =
      lab.Start(sandbox, {"sleep", "600"},
                FromText<ContainerConfig>(
                    "linux { security_context { namespace_options { pid: CONTAINER } } }"));
  const ContainerId debug =
      lab.Start(sandbox, {"sleep", "600"},
                FromText<ContainerConfig>(
                    "linux { security_context { namespace_options { pid: TARGET target_id: \"" +
                    target.str() + "\" } } }"));

  REQUIRE(lab.backend().StopContainer(lab.call(), sandbox, target, std::chrono::seconds(0)).ok());

  CHECK(lab.Await(sandbox, target, State::kDown).exit_code == 137);
  CHECK(lab.Await(sandbox, debug, State::kDown).exit_code == 137);
}

}  // namespace interlink::contract
