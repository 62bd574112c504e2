#include "engine/runtime_check.h"

#include <unistd.h>

#include <cerrno>

#include "base/spawn.h"
#include "base/utf8.h"

namespace interlink::engine {
namespace {

constexpr size_t kMaxOutput = 4096;
constexpr size_t kMaxRuntimeWords = 300;
// crun, runc and youki all have this line; an ordinary program has not.
constexpr std::string_view kSpecification = "spec: ";

}  // namespace

Status CheckRuntime(const Call& call, const std::vector<std::string>& launcher,
                    const std::string& runtime) {
  if (access(runtime.c_str(), X_OK) != 0) {
    return FailedPrecondition("there is no OCI runtime at \"" + runtime +
                              "\": " + ErrnoStatus(errno, "use it").message());
  }
  SpawnOptions options;
  options.argv = launcher;
  options.argv.insert(options.argv.end(), {runtime, "--version"});
  options.new_session = true;
  ASSIGN_OR_RETURN(const Output output, RunCommand(call, options, "", kMaxOutput));
  if (output.exit.code != 0) {
    return FailedPrecondition(
        "containers cannot run here: " +
        OneLine(output.err.empty() ? output.out : output.err, kMaxRuntimeWords));
  }
  if (output.out.find(kSpecification) == std::string::npos) {
    return FailedPrecondition("\"" + runtime +
                              "\" is no OCI runtime: its --version names no \"spec: \" of the "
                              "runtime specification");
  }
  return {};
}

}  // namespace interlink::engine
