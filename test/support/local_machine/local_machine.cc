#include "support/local_machine/local_machine.h"

#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "base/file.h"
#include "base/spawn.h"
#include "support/busybox.h"

namespace interlink::test {
namespace {

namespace fs = std::filesystem;

std::string MakeFolder() {
  char path[] = "/tmp/interlink-engine-XXXXXX";
  if (mkdtemp(path) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  return path;
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.good()) throw std::runtime_error("cannot write " + path);
}

std::vector<std::string> LinesWith(const std::string& text, const std::string& word) {
  std::vector<std::string> lines;
  std::istringstream all(text);
  for (std::string line; std::getline(all, line);) {
    if (line.find(word) != std::string::npos) lines.push_back(line);
  }
  return lines;
}

// Processes whose command line names `word`, without ourselves.
std::vector<pid_t> ProcessesNaming(const std::string& word) {
  std::vector<pid_t> pids;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0 || pid == getpid()) continue;
    const auto line = ReadFile(entry.path().string() + "/cmdline");
    if (line.ok() && line->find(word) != std::string::npos) pids.push_back(pid);
  }
  return pids;
}

std::vector<std::string> CgroupsNamed(const std::string& name) {
  std::vector<std::string> found;
  std::error_code error;
  const auto look = [&](const std::string& root) {
    for (auto it = fs::recursive_directory_iterator(root + "/" + name, error);
         !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
      if (it->is_directory(error)) found.push_back(it->path().string());
    }
  };
  look("/sys/fs/cgroup");
  for (const auto& entry : fs::directory_iterator("/sys/fs/cgroup", error)) {
    if (entry.is_directory()) look(entry.path().string());
  }
  return found;
}

void RemoveCgroups(const std::string& name) {
  auto folders = CgroupsNamed(name);
  std::sort(folders.rbegin(), folders.rend());
  for (const std::string& folder : folders) rmdir(folder.c_str());
  std::error_code error;
  rmdir(("/sys/fs/cgroup/" + name).c_str());
  for (const auto& entry : fs::directory_iterator("/sys/fs/cgroup", error)) {
    rmdir((entry.path().string() + "/" + name).c_str());
  }
}

}  // namespace

std::string OutputOf(const std::vector<std::string>& argv) {
  SpawnOptions options;
  options.argv = argv;
  const auto output = RunCommand(Call::WithTimeout(std::chrono::seconds(60)), options);
  return output.ok() ? output->out + output->err : output.status().ToString();
}

LocalMachine::LocalMachine()
    : host(MakeFolder()), path_(host.data_folder()), name_("ilt" + RandomHex(4)) {
  if (geteuid() != 0) throw std::runtime_error("these tests need root");
  MakeImage();
  MakeNetwork();
}

LocalMachine::~LocalMachine() {
  for (const pid_t pid : ProcessesNaming(path_)) kill(pid, SIGKILL);
  const auto mounts = ReadFile("/proc/self/mounts");
  for (const std::string& line : LinesWith(mounts.value_or(""), path_)) {
    std::istringstream words(line);
    std::string source;
    std::string target;
    words >> source >> target;
    umount2(target.c_str(), MNT_DETACH);
  }
  RemoveCgroups(name_);
  OutputOf({"ip", "link", "delete", name_});
  std::error_code error;
  fs::remove_all("/var/lib/cni/networks/" + name_, error);
  const Status removed = RemoveTree(path_);
  if (!removed.ok()) host.log().Error("a test leaves files", {{"why", removed.message()}});
}

void LocalMachine::MakeImage() {
  const std::string root = path_ + "/layer";
  for (const char* name : {"bin", "dev", "proc", "sys", "tmp", "etc", "root"}) {
    fs::create_directories(root + "/" + name);
  }
  fs::permissions(root + "/tmp", fs::perms::all | fs::perms::sticky_bit);
  const std::string busybox = BusyboxPath();
  fs::copy_file(busybox, root + "/bin/busybox");
  for (const char* name : {"sh",       "cat",   "sleep", "echo", "dd",   "id",   "ls", "grep",
                           "hostname", "touch", "httpd", "true", "ip",   "nc",   "ps", "stat",
                           "env",      "pwd",   "mkdir", "wget", "head", "mount"}) {
    fs::create_hard_link(root + "/bin/busybox", root + "/bin/" + name);
  }
  std::istringstream libraries(OutputOf({"ldd", busybox}));
  for (std::string word; libraries >> word;) {
    if (word[0] != '/' || fs::exists(root + word)) continue;
    fs::create_directories(fs::path(root + word).parent_path());
    fs::copy_file(fs::canonical(word), root + word);
  }
  WriteFile(root + "/etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n");
  WriteFile(root + "/etc/group", "root:x:0:\nalice:x:1000:\nextra:x:50000:alice\n");
  sdk::UnpackedImage image;
  image.id = ImageId();
  image.layers = {root};
  image.config.cmd = {"sh"};
  host.AddImage(image);
}

void LocalMachine::MakeNetwork() {
  fs::create_directories(path_ + "/net.d");
  // A /16 for each test run: two runs at once must not share leases.
  const int third = getpid() % 200 + 20;
  WriteFile(
      path_ + "/net.d/10-test.conflist",
      R"({"cniVersion":"0.4.0","name":")" + name_ + R"(","plugins":[{"type":"bridge","bridge":")" +
          name_ +
          R"(","isGateway":true,"ipMasq":false,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.)" +
          std::to_string(third) +
          R"(.0.0/16"}]],"routes":[{"dst":"0.0.0.0/0"}]}},{"type":"portmap","capabilities":{"portMappings":true},"snat":true}]})");
}

engine::EngineOptions LocalMachine::Options() const {
  engine::EngineOptions options;
  options.handlers = {"local"};
  engine::Policy policy;
  policy.allowed_host_paths = {path_ + "/shared"};
  policy.allow_privileged = true;
  policy.allow_host_namespaces = true;
  policy.allow_devices = true;
  options.policies["local"] = policy;
  options.state_folder = path_ + "/pods";
  options.shim = INTERLINK_SHIM;
  options.cni_conf_folder = path_ + "/net.d";
  options.cgroup_root = "/" + name_;
  return options;
}

std::vector<std::string> LocalMachine::Remains() const {
  std::vector<std::string> remains;
  for (const pid_t pid : ProcessesNaming(path_ + "/pods")) {
    remains.push_back("process " + std::to_string(pid));
  }
  const auto mounts = ReadFile("/proc/self/mounts");
  for (const std::string& line : LinesWith(mounts.value_or(""), path_)) remains.push_back(line);
  for (const std::string& folder : CgroupsNamed(name_)) {
    // The node's own group stays.
    if (fs::path(folder).filename().string().size() == 64) remains.push_back("cgroup " + folder);
  }
  for (const std::string& line : LinesWith(OutputOf({"ip", "-o", "link"}), "master " + name_)) {
    remains.push_back(line);
  }
  for (const std::string& line : LinesWith(OutputOf({"iptables-save"}), name_)) {
    remains.push_back(line);
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/var/lib/cni/networks/" + name_, error)) {
    const std::string name = entry.path().filename().string();
    if (name != "lock" && name.rfind("last_reserved_ip", 0) != 0) {
      remains.push_back("lease " + name);
    }
  }
  for (auto it = fs::recursive_directory_iterator(path_ + "/pods", error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    // What is there goes without anybody waiting for it.
    if (it.depth() == 1 && it->path().filename() == "trash") {
      it.disable_recursion_pending();
    } else if (it.depth() > 0) {
      remains.push_back("file " + it->path().string());
    }
  }
  return remains;
}

}  // namespace interlink::test
