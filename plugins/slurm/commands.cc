#include "slurm/commands.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>

#include "base/spawn.h"

namespace interlink::slurm {
namespace {

constexpr size_t kWordsLimit = 500;
constexpr const char* kSetpriv = "setpriv";
constexpr const char* kCommandFollows = "--";
// slurm_strerror of 22.05 and 24.11, and of the resolver and connect(2) below it.
constexpr std::array<std::string_view, 6> kUnreachableWords = {
    "Unable to contact slurm controller", "Could not establish a configuration source",
    "Slurm backup controller in standby mode", "Connection refused", "Unable to resolve",
    // munged is away on this machine: nothing could be sent.
    "Munge encode failed"};
// Here or at the controller: of the request, or of the answer to one that was taken.
constexpr std::string_view kAuthenticationWords = "authentication error";
constexpr std::array<std::string_view, 15> kDoubtWords = {"(send failure)",
                                                          "(receive failure)",
                                                          "(shutdown failure)",
                                                          "Socket timed out",
                                                          "Unexpected message received",
                                                          "Zero Bytes were transmitted",
                                                          "Message receive failure",
                                                          "Message send failure",
                                                          "Communication connection failure",
                                                          "Communication shutdown failure",
                                                          "Insane message length",
                                                          "Connection reset by peer",
                                                          "Connection timed out",
                                                          "Transport endpoint",
                                                          "Broken pipe"};

template <size_t N>
bool HasAny(const std::string& text, const std::array<std::string_view, N>& words) {
  for (const std::string_view word : words) {
    if (text.find(word) != std::string::npos) return true;
  }
  return false;
}

// "sbatch: error: x" -> "x".
std::string_view WithoutPrefix(std::string_view line) {
  for (const std::string_view prefix : {"sbatch: ", "squeue: ", "scancel: ", "sacct: ", "srun: ",
                                        "setpriv: ", "error: ", "fatal: "}) {
    if (line.substr(0, prefix.size()) == prefix) line.remove_prefix(prefix.size());
  }
  return line;
}

}  // namespace

SpawnOptions SystemCommands::SpawnOf(const std::vector<std::string>& argv) const {
  SpawnOptions spawn;
  spawn.argv = argv;
  auto command = spawn.argv.begin();
  if (*command == kSetpriv) command = std::find(command, spawn.argv.end(), kCommandFollows) + 1;
  if (!options_.folder.empty()) *command = options_.folder + "/" + *command;
  // TZ and SLURM_TIME_FORMAT: times as seconds of 1970 in every listing. LC_ALL: words as in the
  // tables above. Nothing of ours goes to a job: HOME, SBATCH_* and SLURM_* would change requests.
  spawn.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                       "LC_ALL=C", "TZ=UTC", "SLURM_TIME_FORMAT=%s"};
  if (!options_.conf.empty()) spawn.environment.push_back("SLURM_CONF=" + options_.conf);
  spawn.new_session = true;
  return spawn;
}

Result<Answer> SystemCommands::Run(const Call& call, const std::vector<std::string>& argv,
                                   std::string_view input) {
  if (argv.empty()) return InvalidArgument("no command to run");
  const SpawnOptions spawn = SpawnOf(argv);
  auto output = RunOrKill(call.Capped(options_.limit), spawn, input, options_.output_limit);
  if (!output.ok()) return output.status();
  if (output->out.size() >= options_.output_limit) {
    return ResourceExhausted(argv[0] + " printed more than " +
                             std::to_string(options_.output_limit) + " bytes");
  }
  if (output->err.empty()) RETURN_IF_ERROR(output->killed);
  return Answer{output->exit.code, output->exit.signal, std::move(output->out),
                std::move(output->err)};
}

Result<Started> SystemCommands::Start(const std::vector<std::string>& argv) {
  if (argv.empty()) return InvalidArgument("no command to run");
  std::array<int, 2> talk{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk.data()) != 0) {
    return ErrnoStatus(errno, "make a pair of sockets");
  }
  Started started;
  started.talk = UniqueFd(talk[0]);
  const UniqueFd its_talk(talk[1]);
  std::array<int, 2> err{};
  if (pipe2(err.data(), O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  started.err = UniqueFd(err[0]);
  const UniqueFd its_err(err[1]);
  fcntl(started.err.get(), F_SETFL, O_NONBLOCK);
  SpawnOptions spawn = SpawnOf(argv);
  spawn.descriptors = {{its_talk.get(), 0}, {its_talk.get(), 1}, {its_err.get(), 2}};
  ASSIGN_OR_RETURN(started.child, Spawn(spawn));
  return started;
}

std::vector<std::string> AsUser(const FileOwner& user, std::vector<std::string> argv) {
  std::vector<std::string> words = {kSetpriv, "--reuid=" + std::to_string(user.uid),
                                    "--regid=" + std::to_string(user.gid), "--init-groups",
                                    kCommandFollows};
  words.insert(words.end(), std::make_move_iterator(argv.begin()),
               std::make_move_iterator(argv.end()));
  return words;
}

Trouble TroubleOf(const Answer& answer) {
  if (answer.signal != 0 || HasAny(answer.err, kDoubtWords)) return Trouble::kDoubt;
  if (HasAny(answer.err, kUnreachableWords)) return Trouble::kUnreachable;
  return HasAny(answer.err, std::array{kAuthenticationWords}) ? Trouble::kDoubt : Trouble::kOther;
}

std::string Words(const Answer& answer) {
  std::string words;
  std::string_view rest = answer.err;
  while (!rest.empty() && words.size() < kWordsLimit) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = WithoutPrefix(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty()) continue;
    if (!words.empty()) words += "; ";
    for (const char c : line) words += c >= ' ' && c < 0x7f ? c : '?';
  }
  if (words.size() > kWordsLimit) words.resize(kWordsLimit);
  if (!words.empty()) return words;
  if (answer.signal != 0) return "killed by signal " + std::to_string(answer.signal);
  return "exit code " + std::to_string(answer.code) + " without a word";
}

Status ReadFailure(std::string_view command, const Answer& answer) {
  std::string message = std::string(command) + ": " + Words(answer);
  if (TroubleOf(answer) == Trouble::kOther) return FailedPrecondition(std::move(message));
  return Unavailable(std::move(message));
}

}  // namespace interlink::slurm
