#include "registries.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/id.h"
#include "support/eventually.h"

namespace interlink::images {
namespace {

Child Start(std::vector<std::string> argv, const std::string& log) {
  SpawnOptions options;
  options.argv = std::move(argv);
  options.environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "OTEL_TRACES_EXPORTER=none",
                         "PYTHONDONTWRITEBYTECODE=1"};
  const UniqueFd out(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  options.descriptors = {{out.get(), 1}, {out.get(), 2}};
  auto child = Spawn(options);
  REQUIRE(child.status().ToString() == "OK");
  return *std::move(child);
}

}  // namespace

Server::~Server() {
  if (child.pid <= 0 || !child.pidfd.valid()) return;
  ::kill(child.pid, SIGKILL);
  int status = 0;
  ::waitpid(child.pid, &status, 0);
}

Server StartRegistry(const TempFolder& temp, const std::string& storage,
                     const std::string& password_file) {
  const std::string name = RandomHex(4);
  std::string config =
      "version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: " + storage +
      "}}\nhttp: {addr: \"127.0.0.1:0\"}\n";
  if (!password_file.empty())
    config += "auth: {htpasswd: {realm: lab, path: " + password_file + "}}\n";
  const std::string log = temp / (name + ".log");
  Server server;
  server.child =
      Start({"/usr/bin/docker-registry", "serve", temp.Write(name + ".yml", config)}, log);
  static const std::string kMark = "listening on 127.0.0.1:";
  const bool up = test::Eventually([&] {
    const std::string text = Slurp(log);
    const size_t mark = text.find(kMark);
    if (mark == std::string::npos) return false;
    const size_t digits = mark + kMark.size();
    const size_t end = text.find_first_not_of("0123456789", digits);
    if (end == std::string::npos) return false;
    server.address = "127.0.0.1:" + text.substr(digits, end - digits);
    return true;
  });
  INFO(Slurp(log));
  REQUIRE(up);
  return server;
}

Server StartScript(const TempFolder& temp, const std::string& script,
                   const std::vector<std::string>& arguments) {
  const std::string name = temp / RandomHex(4);
  std::vector<std::string> argv = {"/usr/bin/python3", script, name + ".port"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  Server server;
  server.child = Start(std::move(argv), name + ".log");
  const bool up = test::Eventually([&] { return !Slurp(name + ".port").empty(); });
  INFO(Slurp(name + ".log"));
  REQUIRE(up);
  server.address = "127.0.0.1:" + Slurp(name + ".port");
  return server;
}

void RunScript(const std::string& script, const std::vector<std::string>& arguments) {
  SpawnOptions options;
  options.argv = {"/usr/bin/python3", script};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.environment = {"PATH=/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"};
  const auto output = RunCommand(Call::WithTimeout(std::chrono::minutes(1)), options);
  REQUIRE(output.status().ToString() == "OK");
  INFO(output->err);
  REQUIRE(output->exit.code == 0);
}

}  // namespace interlink::images
