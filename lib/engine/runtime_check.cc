#include "engine/runtime_check.h"

#include <unistd.h>

#include <cerrno>

#include "base/spawn.h"
#include "base/utf8.h"

namespace interlink::engine {
namespace {

constexpr size_t kMaxOutput = 4096;
constexpr size_t kMaxRuntimeWords = 300;

}  // namespace

Status CheckRuntime(const Call& call, const std::vector<std::string>& launcher,
                    const ContainerEngine& engine, const EngineWords& words) {
  const std::string name(engine.name);
  if (access(words.program.c_str(), X_OK) != 0) {
    return FailedPrecondition("there is no " + name + " at \"" + words.program +
                              "\": " + ErrnoStatus(errno, "use it").message());
  }
  SpawnOptions options;
  options.argv = launcher;
  for (std::string& word : engine.trial(words)) options.argv.push_back(std::move(word));
  options.new_session = true;
  ASSIGN_OR_RETURN(const Output output, RunCommand(call, options, "", kMaxOutput));
  if (output.exit.code != 0) {
    return FailedPrecondition(
        "containers cannot run here with engine " + name + ": " +
        OneLine(output.err.empty() ? output.out : output.err, kMaxRuntimeWords));
  }
  if (output.out.find(engine.trial_says) == std::string::npos) {
    return FailedPrecondition("\"" + words.program + "\" " + engine.no_trial);
  }
  return {};
}

}  // namespace interlink::engine
