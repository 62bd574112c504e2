// SLURM's commands (sbatch, squeue, scancel, sacct, srun) as processes: no shell, a clean
// environment, a time limit. This is the only edge between the plugin and a cluster; tests replace
// it.
#ifndef INTERLINK_PLUGINS_SLURM_COMMANDS_H_
#define INTERLINK_PLUGINS_SLURM_COMMANDS_H_

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/call.h"
#include "base/spawn.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "slurm/file_owner.h"

namespace interlink::slurm {

// Of a command that came to its end by itself or by somebody's signal.
struct Answer {
  int code = 0;    // exit status, or 128 + signal
  int signal = 0;  // 0: it exited
  std::string out;
  std::string err;
};

// A command that goes on. Whoever has it waits for its end (base/spawn.h).
struct Started {
  Child child;    // leads its process group
  UniqueFd talk;  // its stdin and stdout: one SOCK_STREAM socket
  UniqueFd err;   // its stderr; nonblocking
};

// Thread-safe.
class Commands {
 public:
  virtual ~Commands() = default;
  // `argv[0]` is a command's name. A failing command is an Answer, not an error, also one that was
  // killed because `call` or its own time was over, if it had said something on stderr.
  // kDeadlineExceeded, kCancelled: it had said nothing. Either may have done its work.
  // kResourceExhausted: its output is longer than any right one. Anything else: it was not started.
  virtual Result<Answer> Run(const Call& call, const std::vector<std::string>& argv,
                             std::string_view input) = 0;
  virtual Result<Started> Start(const std::vector<std::string>& argv) = 0;
};

struct CommandOptions {
  std::string folder;                         // of the commands; empty: they are found in PATH
  std::string conf;                           // SLURM_CONF; empty: the commands' own default
  Duration limit = std::chrono::seconds(15);  // of one command; a dead controller takes them 9 s
  size_t output_limit = 64U << 20U;           // bytes; 5,000 jobs are 1 MB
};

class SystemCommands final : public Commands {
 public:
  explicit SystemCommands(CommandOptions options) : options_(std::move(options)) {}
  Result<Answer> Run(const Call& call, const std::vector<std::string>& argv,
                     std::string_view input) override;
  Result<Started> Start(const std::vector<std::string>& argv) override;

 private:
  SpawnOptions SpawnOf(const std::vector<std::string>& argv) const;

  const CommandOptions options_;
};

// The words that run a command as that user, with his groups and none of this process's rights.
// REQUIRES: this process is root.
std::vector<std::string> AsUser(const FileOwner& user, std::vector<std::string> argv);

// What kept a command from its work.
enum class Trouble {
  kUnreachable,  // no controller took the request: ask again later
  kDoubt,        // the request may have been taken: the connection ended after it was sent
  kOther,        // SLURM's answer, or the command's own: the same request fails again
};

// REQUIRES: answer.code != 0.
Trouble TroubleOf(const Answer& answer);

// What SLURM said on stderr as one line of at most 500 bytes, without the prefixes of its commands;
// "exit code 1 without a word" when it said nothing.
std::string Words(const Answer& answer);

// The Status of a command that only reads: kUnavailable (kUnreachable, kDoubt) or
// kFailedPrecondition, with SLURM's words. REQUIRES: answer.code != 0.
Status ReadFailure(std::string_view command, const Answer& answer);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_COMMANDS_H_
