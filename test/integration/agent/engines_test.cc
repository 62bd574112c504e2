// The engines that make containers, side by side: what a container sees and how it ends does not
// tell which one made it.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "rootless_job.h"
#include "shim/client.h"
#include "shim/frames.h"
#include "shim/messages.h"
#include "support/eventually.h"

namespace interlink::test {
namespace {

namespace fs = std::filesystem;
using agent::v1::Command;
using State = sdk::Observation::State;

runtime::v1::ContainerConfig& ConfigOf(Command& command) {
  return *command.mutable_create_container()->mutable_config();
}

runtime::v1::LinuxContainerSecurityContext& SecurityOf(Command& command) {
  return *ConfigOf(command).mutable_linux()->mutable_security_context();
}

runtime::v1::Mount& AddMount(Command& command, const std::string& from, const std::string& to) {
  auto& mount = *ConfigOf(command).add_mounts();
  mount.set_host_path(from);
  mount.set_container_path(to);
  return mount;
}

// A job whose pods may mount the folder `shared` of the lab.
struct Machine {
  explicit Machine(const std::string& engine) {
    job.engine = engine;
    fs::create_directories(shared + "/folder");
    std::ofstream(shared + "/file") << "of the machine\n";
    fs::permissions(shared + "/folder", fs::perms::all);
    fs::create_directories(job.layer() + "/real");
    fs::create_directory_symlink("/real", job.layer() + "/link");
    std::ofstream(job.layer() + "/real/file") << "of the image\n";
    std::ofstream(job.layer() + "/tmp/of-the-image") << "image\n";
    std::ofstream(job.layer() + "/etc/passwd", std::ios::app) << "bob:x:1001:1000::/home/bob:\n";
    fs::permissions(job.layer() + "/tmp/of-the-image", fs::perms::all);
  }
  void Begin() {
    job.Start({"--handler", "test", "--allow-host-path", shared});
    job.RunPod();
  }
  void Run(const Command& create) {
    const auto created = lab.Try(create);
    INFO(job.engine << ": " << created.status().ToString() << job.Said());
    REQUIRE(created.ok());
    lab.Ask(StartCommand(ContainerId(create.create_container().container_id())));
  }
  // The text of its log when it has ended.
  std::string Ended(const ContainerId& id) {
    const bool ended = job.Ends(id);
    INFO(lab.Log(id));
    REQUIRE(ended);
    std::string text;
    std::istringstream lines(lab.Log(id));
    // Time, stream and tag stand before the text.
    for (std::string line; std::getline(lines, line);) {
      for (int word = 0; word < 3; ++word) line = line.substr(line.find(' ') + 1);
      text += line + "\n";
    }
    return text;
  }

  AgentLab lab;
  Job job{lab};
  const std::string shared = lab.folder.File("shared");
};

// What a container with much of what a pod can ask for sees of itself.
const std::string kLook = R"sh(exec 2>&1
id; pwd; echo $$ $PPID; umask; hostname
busybox sort /proc/1/environ | busybox tr '\0' '\n' | busybox sort
busybox ls -1a / /dev /proc/self/fd
busybox ls -l /dev/fd /dev/ptmx /dev/stdout | busybox sed 's/.* \/dev/\/dev/'
busybox head -c 5 /dev/zero | busybox wc -c
busybox grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status
cat /etc/hosts /real/file /tmp/of-the-image /proc/self/oom_score_adj
echo of-the-container >/with:colon/out; echo code $?
for file in /ro/x /etc/hosts /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/x; do
  (echo x >$file) 2>/dev/null; echo $file $?
done
touch /of-mine /tmp/of-mine /dev/shm/of-mine; echo code $?
busybox wc -c </proc/kcore; busybox ls /sys/firmware /proc/scsi
for place in / /proc /proc/sys /proc/sysrq-trigger /sys /sys/firmware /dev /dev/pts /dev/shm /dev/null \
    /etc/hosts /real/file /with:colon /ro /dev/termination-log; do
  busybox awk -v place=$place '$5 == place {split($6, options, ",")} END {print place, options[1]}' /proc/self/mountinfo
done
echo done >/dev/termination-log
exit 3
)sh";

std::string SeenWith(const std::string& engine, bool as_root) {
  Machine machine(engine);
  machine.Begin();
  Command create = machine.job.Create(kFirst, kLook, as_root ? 0 : 1001);
  ConfigOf(create).set_working_dir("/some/where");
  auto& env = *ConfigOf(create).add_envs();
  env.set_key("OF_THE_POD");
  env.set_value("a b=c$d:$PATH");
  AddMount(create, machine.shared + "/file", "/etc/hosts").set_readonly(true);
  AddMount(create, machine.shared + "/file", "/link/file");
  AddMount(create, machine.shared + "/folder", "/with:colon");
  AddMount(create, machine.shared, "/ro").set_readonly(true);
  AddMount(create, "/kubelet/log", "/dev/termination-log");
  (*create.mutable_create_container()->mutable_contents())["/kubelet/log"]
      .mutable_termination_log()
      ->set_mode(0666);
  ConfigOf(create).mutable_linux()->mutable_resources()->set_oom_score_adj(1000);
  SecurityOf(create).add_masked_paths("/proc/kcore");
  SecurityOf(create).add_masked_paths("/sys/firmware");
  SecurityOf(create).add_readonly_paths("/proc/sysrq-trigger");
  SecurityOf(create).mutable_capabilities()->add_drop_capabilities("NET_RAW");
  SecurityOf(create).mutable_seccomp()->set_profile_type(runtime::v1::SecurityProfile::Unconfined);
  machine.Run(create);
  const std::string seen = machine.Ended(kFirst);
  CHECK(machine.lab.events.Latest(kFirst).exit_code == 3);
  CHECK(machine.lab.events.Latest(kFirst).termination_message == "done\n");
  std::ifstream out(machine.shared + "/folder/out");
  std::string line;
  CHECK((std::getline(out, line) && line == "of-the-container"));
  return seen;
}

TEST_CASE("a container sees the same whichever engine made it") {
  const bool as_root = GENERATE(false, true);
  const std::string seen = SeenWith("crun", as_root);
  INFO(seen);
  CHECK(seen.find(as_root ? "\nHOME=/\n" : "\nHOME=/home/bob\n") != std::string::npos);
  CHECK(seen.find("OF_THE_POD=a b=c$d:$PATH\n") != std::string::npos);
  CHECK(seen.find("/some/where\n1 0\n") != std::string::npos);

  for (const char* line : {"/proc/sys ro\n", "/sys/firmware ro\n", "/ro ro\n", "/real/file rw\n"}) {
    CHECK(seen.find(line) != std::string::npos);
  }
  CHECK(SeenWith("ch-run", as_root) == seen);
}

TEST_CASE("a read-only root is read-only but for what is mounted below it") {
  Machine machine(GENERATE("crun", "ch-run"));
  machine.Begin();
  Command create = machine.job.Create(
      kFirst,
      "for file in /x /tmp/x /etc/x /data/x /dev/shm/x; do touch $file; echo $file $?; done; "
      "cat /tmp/of-the-image");
  AddMount(create, machine.shared + "/folder", "/data");
  SecurityOf(create).set_readonly_rootfs(true);
  machine.Run(create);

  const std::string said = machine.Ended(kFirst);

  INFO(machine.job.engine << said);
  for (const char* line :
       {"/x 1\n", "/tmp/x 1\n", "/etc/x 1\n", "/data/x 0\n", "/dev/shm/x 0\n", "image\n"}) {
    CHECK(said.find(line) != std::string::npos);
  }
}

// Mounts that end with the object, whatever a test finds out.
struct SharedMount {
  explicit SharedMount(std::string path) : place(std::move(path)) {
    REQUIRE(mount(place.c_str(), place.c_str(), nullptr, MS_BIND, nullptr) == 0);
    REQUIRE(mount(nullptr, place.c_str(), nullptr, MS_SHARED, nullptr) == 0);
  }
  SharedMount(const SharedMount&) = delete;
  SharedMount& operator=(const SharedMount&) = delete;
  ~SharedMount() { umount2(place.c_str(), MNT_DETACH); }
  const std::string place;
};

TEST_CASE("what the machine mounts below a path is seen by who asked for it, and by nobody else") {
  if (geteuid() != 0) return;
  Machine machine(GENERATE("crun", "ch-run"));
  const SharedMount shared(machine.shared);
  machine.Begin();
  for (const ContainerId& id : {kFirst, kSecond}) {
    Command create = machine.job.Create(id, kReady);
    AddMount(create, machine.shared, "/data")
        .set_propagation(id == kFirst ? runtime::v1::PROPAGATION_HOST_TO_CONTAINER
                                      : runtime::v1::PROPAGATION_PRIVATE);
    machine.Run(create);
    REQUIRE(machine.job.Logs(id, "ready"));
  }

  REQUIRE(mount("tmpfs", (machine.shared + "/folder").c_str(), "tmpfs", 0, "mode=755") == 0);
  std::ofstream(machine.shared + "/folder/later") << "x";

  CHECK(machine.lab.Exec(kFirst, {"/bin/cat", "/data/folder/later"}).out == "x");
  CHECK(machine.lab.Exec(kSecond, {"/bin/cat", "/data/folder/later"}).code == 1);
}

TEST_CASE("a container ends with the code that its first process had") {
  Machine machine(GENERATE("crun", "ch-run"));
  machine.job.shared_pid = true;  // of its own it were process 1, which no TERM ends
  const auto [script, code] = GENERATE(table<std::string, int>(
      {{"exit 0", 0}, {"exit 1", 1}, {"kill -9 $$", 137}, {"kill -TERM $$", 143}}));
  machine.Begin();

  machine.job.RunContainer(kFirst, script);

  INFO(machine.job.engine << script);
  REQUIRE(machine.job.Ends(kFirst));
  CHECK(machine.lab.events.Latest(kFirst).exit_code == code);
}

TEST_CASE("who does not hear TERM is killed after its grace, with all that it started") {
  Machine machine(GENERATE("crun", "ch-run"));
  machine.job.shared_pid = GENERATE(false, true);
  machine.Begin();
  machine.job.RunContainer(
      kFirst,
      "trap '' TERM; busybox setsid sleep 471101 & echo ready; while true; do sleep 1; done");
  REQUIRE(machine.job.Logs(kFirst, "ready"));

  machine.lab.Ask(StopCommand(kFirst, 1));

  REQUIRE(machine.job.Ends(kFirst));
  CHECK(machine.lab.events.Latest(kFirst).exit_code == 137);
  CHECK(Naming("471101").empty());
}

TEST_CASE("a program that is not there is refused in words, and so is a folder") {
  Machine machine(GENERATE("crun", "ch-run"));
  machine.Begin();
  Command create = machine.job.Create(kFirst, "true");
  ConfigOf(create).clear_command();
  ConfigOf(create).add_command(GENERATE("nosuch", "/bin/nosuch", "/proc/nosuch"));

  const auto refused = machine.lab.Try(create);

  INFO(machine.job.engine << refused.status().ToString());
  CHECK(refused.status().message().find("nosuch") != std::string::npos);
  machine.job.RunContainer(kSecond, kReady);
  REQUIRE(machine.job.Logs(kSecond, "ready"));
}

TEST_CASE("a container that is removed leaves nothing, whether it was started or not") {
  Machine machine(GENERATE("crun", "ch-run"));
  machine.job.shared_pid = GENERATE(false, true);
  machine.Begin();
  REQUIRE(machine.lab.Try(machine.job.Create(kFirst, "sleep 471102")).ok());
  machine.job.RunContainer(kSecond, "echo ready; exec sleep 471102");
  REQUIRE(machine.job.Logs(kSecond, "ready"));
  const auto left = [&] {
    size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(machine.job.home() + "/state/pods")) {
      const std::string name = entry.path().filename();
      if (name == kFirst.str() || name == kSecond.str()) ++count;
    }
    return count;
  };
  REQUIRE(left() == 4);  // each one's folder, and the engine's own of it

  for (const ContainerId& id : {kFirst, kSecond}) {
    Command remove;
    remove.mutable_remove_container()->set_container_id(id.str());
    machine.lab.Ask(remove);
  }

  CHECK(left() == 0);
  CHECK(Naming("471102").empty());
  CHECK(Eventually([] { return Naming("interlink-shim", kFirst.str()).empty(); }));
}

// An open session of an exec with a terminal.
struct TerminalSession {
  TerminalSession(AgentLab& lab, const ContainerId& id, const std::vector<std::string>& argv) {
    agent::v1::OpenStream request;
    auto* exec = request.mutable_exec();
    exec->set_session_id(RandomHex(32));
    exec->set_container_id(id.str());
    for (const auto& word : argv) exec->add_argv(word);
    exec->set_tty(true);
    exec->set_in(true);
    exec->set_out(true);
    auto opened = lab.hub->Open(Call::WithTimeout(std::chrono::seconds(20)), lab.pod, request);
    INFO(opened.status().ToString());
    REQUIRE(opened.ok());
    end = *std::move(opened);
  }
  void Type(const std::string& text) {
    REQUIRE(shim::SendFrame(end.get(), shim::FrameType::kStdin, text, limit) == 0);
  }
  void Resize(uint16_t columns, uint16_t rows) {
    shim::WindowSize size;
    size.columns = columns;
    size.rows = rows;
    std::array<char, shim::WindowSize::kSize> bytes{};
    const size_t used = size.Encode(bytes.data(), bytes.size());
    REQUIRE(shim::SendFrame(end.get(), shim::FrameType::kResize, {bytes.data(), used}, limit) == 0);
  }
  // Reads on until the session has said that, or has ended.
  bool Says(const std::string& text) {
    shim::Frame frame{};
    while (said.find(text) == std::string::npos && !code &&
           shim::ReceiveFrame(end.get(), buffer->data(), buffer->size(), frame, limit) == 0) {
      if (frame.type == shim::FrameType::kStdout) said += frame.text();
      shim::ExitStatus status;
      if (frame.type == shim::FrameType::kStatus && status.Decode(frame.text())) code = status.code;
    }
    return said.find(text) != std::string::npos;
  }

  UniqueFd end;
  std::string said;
  std::optional<int> code;
  const int64_t limit = shim::MonotonicMs() + 20'000;
  const std::unique_ptr<std::array<char, shim::kMaxFrame>> buffer =
      std::make_unique<std::array<char, shim::kMaxFrame>>();
};

TEST_CASE("a terminal is one: size, control characters and job control") {
  Machine machine(GENERATE("crun", "ch-run"));
  machine.Begin();
  Command create = machine.job.Create(
      kFirst, "[ -t 0 ] && [ -t 2 ] && busybox tty && echo ready >/dev/console; " + kReady, 1000);
  ConfigOf(create).set_tty(true);
  machine.Run(create);
  REQUIRE(machine.job.Logs(kFirst, "ready"));
  CHECK(machine.lab.Log(kFirst).find("/dev/pts/0") != std::string::npos);

  TerminalSession session(
      machine.lab, kFirst,
      {"/bin/sh", "-c",
       "trap 'echo inter''rupted' INT; echo $TERM; busybox tty; read size; busybox stty size; "
       "read end; exit 6"});
  REQUIRE(session.Says("/dev/pts/1"));
  CHECK(session.said.find("xterm") != std::string::npos);
  session.Resize(132, 43);
  session.Type("now\n");
  CHECK(session.Says("43 132"));
  session.Type("\x03");
  CHECK(session.Says("interrupted"));
  // A shell whose read is interrupted may be at its end before this comes.
  static_cast<void>(
      shim::SendFrame(session.end.get(), shim::FrameType::kStdin, "\x04", session.limit));
  session.Says("the end");
  CHECK(session.code == 6);
}

TEST_CASE("an exec has the container's user, folder and environment, and its code") {
  Machine machine(GENERATE("crun", "ch-run"));
  machine.job.shared_pid = GENERATE(false, true);
  machine.Begin();
  Command create = machine.job.Create(kFirst, kReady, 1000);
  ConfigOf(create).set_working_dir("/work");
  machine.Run(create);
  REQUIRE(machine.job.Logs(kFirst, "ready"));

  const auto look = machine.lab.Exec(kFirst, {"sh", "-c",
                                              "id -u; busybox pwd; echo $PATH; "
                                              "busybox ls -1 /proc/self/fd | "
                                              "busybox wc -l; exit 7"});

  INFO(machine.job.engine << look.err);
  CHECK(look.out == "1000\n/work\n/bin\n4\n");
  CHECK(look.code == 7);
  CHECK(machine.lab.Exec(kFirst, {"sh", "-c", "kill -9 $$"}).code == 137);
}

TEST_CASE(
    "without a filter of system calls a container that asks for one is refused by the field") {
  Machine machine("ch-run");
  machine.Begin();
  Command create = machine.job.Create(kFirst, "true");
  SecurityOf(create).mutable_seccomp()->set_profile_type(
      runtime::v1::SecurityProfile::RuntimeDefault);

  const auto refused = machine.lab.Try(create);

  CHECK(refused.status().code() == Code::kUnimplemented);
  CHECK(refused.status().message().find("linux.security_context.seccomp") != std::string::npos);
}

TEST_CASE("a program that makes no container is refused before anything runs, in words") {
  AgentLab lab;
  Job job(lab);
  job.engine = "ch-run";
  const auto program = [&](const std::string& text) {
    const std::string path = lab.folder.File("program");
    std::ofstream(path) << "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done; shift\n" << text;
    fs::permissions(path, fs::perms::all);
    return path;
  };
  std::string path = "/bin/true";
  std::string words = "/bin/true has ended without a container: is it ch-run?";
  SECTION("nothing there") {
    path = "/no/such/ch-run";
    words = "there is no ch-run at \"/no/such/ch-run\"";
  }
  SECTION("another program") {}
  SECTION("one that runs the command where it is") {
    path = program("exec \"$@\"\n");
    words = "another user or group";
  }
  SECTION("one that gives it a user and no root") {
    path = program("exec unshare --user --map-user=1000 --map-group=1000 --mount \"$@\"\n");
    words = "does not isolate: the container has no root of its own";
  }

  job.Start({"--runtime", path});

  CHECK(job.End() == 117);
  INFO(job.Said());
  CHECK(job.Said().find(words) != std::string::npos);
  CHECK(lab.events.came() == 0);
}

TEST_CASE("an engine that nobody knows, or that root's containers cannot have, is refused") {
  AgentLab lab;
  Job job(lab);
  const bool known = GENERATE(true, false);
  job.engine = known ? "ch-run" : "docker";

  job.Start(known ? std::vector<std::string>{"--allow-root"} : std::vector<std::string>{});

  CHECK(job.End() == 2);
  CHECK(job.Said().find(known ? "one id only" : "crun or ch-run, not \"docker\"") !=
        std::string::npos);
}

}  // namespace
}  // namespace interlink::test
