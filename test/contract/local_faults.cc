// What only the local backend can show: faults of the machine below it.
#include <signal.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "base/file.h"
#include "engine/engine.h"
#include "runtime/v1/api.pb.h"
#include "support/eventually.h"
#include "support/local_machine/local_machine.h"

namespace interlink::engine {
namespace {

using State = sdk::Observation::State;
using test::Eventually;

class FaultLab {
 public:
  FaultLab() : options(machine.Options()) {
    // As the daemons do: a plugin that fails need not read its configuration.
    signal(SIGPIPE, SIG_IGN);
    // A bridge plugin that fails while the file "broken" is there.
    const std::string bin = machine.path() + "/plugins";
    std::filesystem::create_directories(bin);
    std::ofstream(bin + "/bridge") << "#!/bin/sh\n[ -e " << machine.path()
                                   << "/broken ] && exit 1\nexec /usr/lib/cni/bridge\n";
    std::filesystem::permissions(bin + "/bridge", std::filesystem::perms::owner_all);
    options.cni_bin_folders.insert(options.cni_bin_folders.begin(), bin);
    Start();
  }
  ~FaultLab() {
    for (const SandboxId& id : sandboxes) {
      CHECK(Eventually([&] { return backend->RemoveSandbox(call(), node, id).ok(); },
                       std::chrono::seconds(40)));
    }
    CHECK(Eventually([&] { return machine.Remains().empty(); }, std::chrono::seconds(10)));
    for (const std::string& what : machine.Remains()) FAIL_CHECK("left behind: " << what);
    for (const std::string& what : machine.host.Violations()) FAIL_CHECK(what);
    CHECK(machine.host.HeldImages() == 0);
  }
  FaultLab(const FaultLab&) = delete;
  FaultLab& operator=(const FaultLab&) = delete;

  static Call call() { return Call::WithTimeout(std::chrono::seconds(10)); }
  void Break() { std::ofstream(machine.path() + "/broken") << "x"; }
  void Repair() { std::filesystem::remove(machine.path() + "/broken"); }
  void Conflist(const std::string& text) {
    std::ofstream(machine.path() + "/net.d/00-first.conflist") << text;
  }

  std::vector<sdk::Observation> Start() {
    backend.reset();
    machine.host.Forget();
    auto made = Engine::Create(machine.host, options);
    REQUIRE(made.ok());
    backend = *std::move(made);
    auto facts = backend->Recover(Call::WithTimeout(std::chrono::seconds(60)), {});
    REQUIRE(facts.status().ToString() == "OK");
    machine.host.Report(*facts);
    return *facts;
  }
  Status Run(const SandboxId& id, runtime::v1::PodSandboxConfig config = {}) {
    config.mutable_metadata()->set_name("pod");
    const Status status = backend->RunSandbox(call(), {id, node, "local", config});
    if (status.ok()) sandboxes.push_back(id);
    return status;
  }
  SandboxId RunUp(const runtime::v1::PodSandboxConfig& config = {}) {
    const SandboxId id = MintSandboxId();
    REQUIRE(Run(id, config).ok());
    REQUIRE(Await(id, State::kUp).state == State::kUp);
    return id;
  }
  ContainerId StartUp(const SandboxId& sandbox) {
    runtime::v1::ContainerConfig config;
    for (const char* word : {"sh", "-c", "trap '' TERM; exec sleep 600"}) config.add_command(word);
    return StartUp(sandbox, config);
  }
  ContainerId StartUp(const SandboxId& sandbox, runtime::v1::ContainerConfig config) {
    const ContainerId id = MintContainerId();
    config.mutable_metadata()->set_name("c");
    runtime::v1::PodSandboxConfig pod;
    REQUIRE(
        backend->CreateContainer(call(), {id, sandbox, node, machine.ImageId(), config, pod}).ok());
    REQUIRE(backend->StartContainer(call(), sandbox, id).ok());
    return id;
  }
  sdk::Observation Await(const SandboxId& sandbox, State state, const ContainerId& id = {}) {
    CHECK(Eventually([&] { return machine.host.Latest(sandbox, id).state >= state; },
                     std::chrono::seconds(60)));
    return machine.host.Latest(sandbox, id);
  }
  pid_t ShimOf(const ContainerId& id) const {
    const std::string found = test::OutputOf({"pgrep", "-f", "interlink-shim run.*" + id.str()});
    return std::atoi(found.c_str());
  }

  test::LocalMachine machine;
  EngineOptions options;
  std::unique_ptr<sdk::Backend> backend;
  const NodeId node{"node-1"};
  std::vector<SandboxId> sandboxes;
};

runtime::v1::PodSandboxConfig WithHostPort(int port, const std::string& ip = "") {
  runtime::v1::PodSandboxConfig config;
  auto* mapping = config.add_port_mappings();
  mapping->set_host_port(port);
  mapping->set_container_port(80);
  mapping->set_host_ip(ip);
  return config;
}

// A small disk for an engine's state.
class SmallState {
 public:
  explicit SmallState(const std::string& path) : path_(path) {
    REQUIRE(mount("tmpfs", path.c_str(), "tmpfs", 0, "size=4m") == 0);
  }
  ~SmallState() { umount2(path_.c_str(), MNT_DETACH); }
  SmallState(const SmallState&) = delete;
  SmallState& operator=(const SmallState&) = delete;

  void Fill() const {
    std::ofstream ballast(path_ + "/ballast");
    const std::string page(4096, 'x');
    while (ballast << page << std::flush) {
    }
  }
  std::string Find(const std::string& name) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      if (entry.path().filename() == name) return entry.path();
    }
    return "";
  }

 private:
  const std::string path_;
};

}  // namespace

TEST_CASE("A container sees the host's folder with what is mounted in it, and nothing stays") {
  FaultLab lab;
  const SandboxId sandbox = lab.RunUp();
  const std::string shared = lab.machine.path() + "/shared";
  std::filesystem::create_directories(shared + "/sub");
  REQUIRE(mount("tmpfs", (shared + "/sub").c_str(), "tmpfs", 0, "size=64k") == 0);
  std::ofstream(shared + "/sub/file") << "from the host\n";
  runtime::v1::ContainerConfig config;
  for (const char* word : {"sh", "-c", "cat /m/sub/file /one; echo back > /m/sub/answer"}) {
    config.add_command(word);
  }
  for (const auto& [inside, host] :
       std::map<std::string, std::string>{{"/m", shared}, {"/one", shared + "/sub/file"}}) {
    auto& mount = *config.add_mounts();
    mount.set_container_path(inside);
    mount.set_host_path(host);
  }

  const ContainerId id = lab.StartUp(sandbox, config);

  CHECK(lab.Await(sandbox, State::kDown, id).exit_code == 0);
  const auto log = lab.backend->ReadLog(lab.call(), sandbox, id, 0, 10000);
  REQUIRE(log.ok());
  CHECK(std::count(log->bytes.begin(), log->bytes.end(), '\n') == 2);
  CHECK(ReadFile(shared + "/sub/answer").value_or("") == "back\n");
  const auto mounts = ReadFile("/proc/self/mounts");
  CHECK(mounts.value_or("").find(id.str() + "/mnt") == std::string::npos);
  CHECK(lab.backend->RemoveSandbox(lab.call(), lab.node, sandbox).ok());
  CHECK(ReadFile(shared + "/sub/file").ok());
  REQUIRE(umount2((shared + "/sub").c_str(), 0) == 0);
}

// A pod of a configuration that names no installed plugin could neither come up nor be removed.
TEST_CASE("A CNI configuration that cannot work is refused before anything is made") {
  FaultLab lab;
  const auto [text, word] = GENERATE(table<std::string, std::string>({
      {"{", "not a JSON object"},
      {R"({"name":"x","plugins":[{"type":"no-such-plugin"}]})", "no-such-plugin"},
  }));
  lab.Conflist(text);

  const Status refused = lab.Run(MintSandboxId());

  CHECK(refused.code() == Code::kFailedPrecondition);
  CHECK_THAT(refused.message(), Catch::Contains(word));
  const auto seen = lab.backend->Observe(lab.call());
  REQUIRE(seen.ok());
  CHECK(seen->empty());
}

// The pod was up, and its port led nowhere.
TEST_CASE("A host port that nothing would map is refused") {
  FaultLab lab;
  lab.Conflist(R"({"name":"x","cniVersion":"0.4.0","plugins":[{"type":"bridge"}]})");

  const Status refused = lab.Run(MintSandboxId(), WithHostPort(34567));

  CHECK(refused.code() == Code::kFailedPrecondition);
  CHECK_THAT(refused.message(), Catch::Contains("port_mappings"));
}

TEST_CASE("A host port is one living pod's") {
  FaultLab lab;
  const SandboxId first = lab.RunUp(WithHostPort(34568));

  const Status refused = lab.Run(MintSandboxId(), WithHostPort(34568, "127.0.0.1"));

  CHECK(refused.code() == Code::kFailedPrecondition);
  CHECK_THAT(refused.message(), Catch::Contains("34568"));
  REQUIRE(lab.backend->RemoveSandbox(lab.call(), lab.node, first).ok());
  lab.RunUp(WithHostPort(34568, "127.0.0.1"));
}

// Both looked before either was known, and the kernel gave the port to the one that came first.
TEST_CASE("Of two pods that ask for one host port at once one is refused") {
  FaultLab lab;
  for (int port = 34570; port < 34580; ++port) {
    std::array<Status, 2> results;
    std::array<SandboxId, 2> ids = {MintSandboxId(), MintSandboxId()};
    std::barrier together(2);
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        runtime::v1::PodSandboxConfig config = WithHostPort(port);
        config.mutable_metadata()->set_name("pod");
        together.arrive_and_wait();
        results[i] = lab.backend->RunSandbox(lab.call(), {ids[i], lab.node, "local", config});
      });
    }
    threads.clear();

    for (size_t i = 0; i < 2; ++i) {
      if (results[i].ok()) lab.sandboxes.push_back(ids[i]);
    }
    CHECK(results[0].ok() != results[1].ok());
    CHECK((results[0].ok() ? results[1] : results[0]).code() == Code::kFailedPrecondition);
  }
}

// The process was dead and its container up for ever, and neither a stop nor a removal came past
// the pod's own record.
TEST_CASE("On a full disk an end is shown with its code, and all is stopped and removed") {
  const bool has_reserve = GENERATE(true, false);
  FaultLab lab;
  const SmallState disk(lab.options.state_folder);
  lab.Start();
  const SandboxId sandbox = lab.RunUp();
  runtime::v1::ContainerConfig config;
  for (const char* word : {"sh", "-c", "trap 'exit 5' TERM; echo ready; sleep 600 & wait"}) {
    config.add_command(word);
  }
  const ContainerId id = lab.StartUp(sandbox, config);
  REQUIRE(Eventually([&] {
    const auto log = lab.backend->ReadLog(lab.call(), sandbox, id, 0, 100);
    return log.ok() && log->bytes.find("ready") != std::string::npos;
  }));
  if (!has_reserve) std::filesystem::remove(disk.Find("exit.tmp"));
  disk.Fill();

  CHECK(lab.backend->StopContainer(lab.call(), sandbox, id, std::chrono::seconds(5)).ok());

  CHECK(lab.Await(sandbox, State::kDown, id).exit_code == 5);
  lab.Start();
  CHECK(lab.Await(sandbox, State::kDown, id).exit_code == 5);
  CHECK(lab.backend->StopSandbox(lab.call(), lab.node, sandbox).ok());
  CHECK(lab.Await(sandbox, State::kDown).state == State::kDown);
  CHECK(Eventually([&] { return lab.backend->RemoveSandbox(lab.call(), lab.node, sandbox).ok(); }));
  CHECK(Eventually([&] { return lab.ShimOf(id) == 0; }));
}

TEST_CASE("A sandbox that cannot come up is failed until it is removed") {
  FaultLab lab;
  runtime::v1::PodSandboxConfig config;
  (*config.mutable_linux()->mutable_sysctls())["net.no_such_sysctl"] = "1";
  const SandboxId id = MintSandboxId();
  REQUIRE(lab.Run(id, config).ok());
  CHECK(lab.Await(id, State::kFailed).state == State::kFailed);

  CHECK(lab.backend->StopSandbox(lab.call(), lab.node, id).ok());
  CHECK(lab.backend->RemoveSandbox(lab.call(), lab.node, id).ok());

  CHECK(lab.machine.host.Latest(id).state == State::kFailed);
}

// One such pod made Recover fail for ever, and with it the plugin.
TEST_CASE("A pod that cannot be torn down does not keep a restart from the others") {
  FaultLab lab;
  const SandboxId stuck = lab.RunUp();
  const SandboxId well = lab.RunUp();
  lab.Break();
  REQUIRE(lab.backend->StopSandbox(lab.call(), lab.node, stuck).ok());
  CHECK(Eventually([&] { return !lab.backend->RemoveSandbox(lab.call(), lab.node, stuck).ok(); }));

  const auto facts = lab.Start();

  CHECK(facts.size() == 2);
  CHECK(lab.machine.host.Latest(well).state == State::kUp);
  lab.Repair();
  CHECK(lab.Await(stuck, State::kDown).state == State::kDown);
}

// The exit code of an end that took longer than five seconds was lost.
TEST_CASE("An exit code arrives also when its shim was held up for long") {
  FaultLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartUp(sandbox);
  lab.Await(sandbox, State::kUp, id);
  const pid_t shim = lab.ShimOf(id);
  REQUIRE(shim > 0);
  REQUIRE(kill(shim, SIGSTOP) == 0);

  REQUIRE(lab.backend->StopSandbox(lab.call(), lab.node, sandbox).ok());
  // Two full waits for the lane: longer than the daemon waits for the shim and then for the end.
  for (int i = 0; i < 2; ++i) {
    CHECK_FALSE(lab.backend->RemoveContainer(lab.call(), sandbox, id).ok());
  }
  CHECK(lab.machine.host.Latest(sandbox, id).state == State::kUp);
  kill(shim, SIGCONT);

  const auto down = lab.Await(sandbox, State::kDown, id);
  CHECK(down.exit_code == 137);
  CHECK(down.reason == "Error");
}

// Eight removals of containers with a million files each held all lanes: no pod of the site could
// be started or stopped for minutes. A mount in what is deleted stands for them: it cannot go at
// all.
TEST_CASE("A removal does not wait until what the container wrote is deleted") {
  FaultLab lab;
  const SandboxId sandbox = lab.RunUp();
  runtime::v1::ContainerConfig config;
  config.add_command("true");
  const ContainerId id = lab.StartUp(sandbox, config);
  REQUIRE(lab.Await(sandbox, State::kDown, id).exit_code == 0);
  const std::string root = lab.options.state_folder + "/" + lab.machine.host.lineage().str();
  const std::string container = root + "/" + sandbox.str() + "/c/" + id.str();
  const std::string held = container + "/held";
  REQUIRE(std::filesystem::create_directory(held));
  REQUIRE(mount("tmpfs", held.c_str(), "tmpfs", 0, "size=64k") == 0);
  const auto trash = [&root] {
    std::vector<std::string> paths;
    for (const auto& item : std::filesystem::directory_iterator(root + "/trash"))
      paths.push_back(item.path());
    return paths;
  };

  CHECK(lab.backend->RemoveContainer(lab.call(), sandbox, id).ok());

  CHECK_FALSE(std::filesystem::exists(container));
  REQUIRE(trash().size() == 1);
  const std::string in_trash = trash().front() + "/held";
  // Whoever deletes may just look at it.
  REQUIRE(Eventually([&] { return umount2(in_trash.c_str(), 0) == 0; }));
  lab.Start();
  CHECK(Eventually([&] { return trash().empty(); }));
}

// The holders of images were in the store that was lost, and its collector took the layers of what
// ran.
TEST_CASE("When the site's store is lost, a restart finds everything and holds its images") {
  FaultLab lab;
  const SandboxId sandbox = lab.RunUp();
  const ContainerId id = lab.StartUp(sandbox);
  lab.Await(sandbox, State::kUp, id);
  lab.backend.reset();
  lab.machine.host.LoseStore();

  const auto facts = lab.Start();

  CHECK(lab.machine.host.HeldImages() == 1);
  const auto found = std::find_if(facts.begin(), facts.end(), [&](const sdk::Observation& fact) {
    return fact.container == id;
  });
  REQUIRE(found != facts.end());
  CHECK(found->state == State::kUp);
  CHECK(found->image_id == lab.machine.ImageId());
  CHECK(found->sandbox == sandbox);
  CHECK(found->node == lab.node);
  runtime::v1::ContainerConfig config;
  CHECK(config.ParseFromString(found->config));
  CHECK(config.command_size() == 3);
  CHECK(lab.backend->ReadLog(lab.call(), sandbox, id, 0, 1000).ok());
  sdk::SessionSpec exec;
  exec.sandbox = sandbox;
  exec.container = id;
  exec.argv = {"true"};
  CHECK(lab.backend->OpenSession(lab.call(), exec).ok());
  CHECK(lab.backend->StopContainer(lab.call(), sandbox, id, std::chrono::seconds(0)).ok());
  CHECK(lab.Await(sandbox, State::kDown, id).exit_code == 137);
}

}  // namespace interlink::engine
