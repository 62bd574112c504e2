// interlink-shim: README.md beside this file is the contract.
#include <string_view>

#include "commands.h"
#include "shim/layout.h"
#include "system.h"

namespace interlink::shim {
namespace {

int CommandVersion(int /*argc*/, char** /*argv*/) {
  return WriteAll(STDOUT_FILENO, "interlink-shim " INTERLINK_VERSION " " INTERLINK_BUILD_ID "\n")
             ? kCommandOk
             : kCommandFailed;
}

constexpr struct {
  std::string_view name;
  int (*run)(int argc, char** argv);
} kCommands[] = {
    {"run", CommandRun},         {"end", CommandEnd},
    {"oci", CommandOci},         {"pin", CommandPin},
    {"unpin", CommandUnpin},     {"init", CommandInit},
    {"dial", CommandDial},       {"supervise", CommandSupervise},
    {"ch-run", CommandChRun},    {"inside", CommandInside},
    {"version", CommandVersion},
};

}  // namespace
}  // namespace interlink::shim

int main(int argc, char** argv) {
  using namespace interlink::shim;  // NOLINT(google-build-using-namespace)
  if (argc >= 2) {
    for (const auto& command : kCommands) {
      if (command.name == argv[1]) return command.run(argc - 2, argv + 2);
    }
  }
  return Complain(
      kCommandUsage,
      "usage: interlink-shim run|end|oci|pin|unpin|init|dial|supervise|ch-run|version ...");
}
