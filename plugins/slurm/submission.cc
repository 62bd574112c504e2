#include "slurm/submission.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "slurm/numbers.h"

namespace interlink::slurm {
namespace {

constexpr size_t kCommentLimit = 1000;  // SLURM's is 1024
constexpr int kMinutesToSeconds = 60;
constexpr std::string_view kFailed = "Batch job submission failed";
// sbatch refuses its own command line or script before it asks a controller.
constexpr std::array<std::string_view, 6> kUsageWords = {
    "unrecognized option",      "requires an argument",
    "sbatch: error: Invalid ",  "does not look like a batch script",
    "contains DOS line breaks", "doesn't allow an argument"};

// sbatch sleeps between its tries, two minutes in all. The last one may have had room.
constexpr std::array<std::string_view, 2> kNoRoomWords = {"sleeping and retrying",
                                                          "temporarily disabled, retrying"};

// "4711", or "4711;cluster" in a federation.
uint64_t ParseJobId(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return ParseDigits<uint64_t>(text.substr(0, text.find(';'))).value_or(0);
}

bool SaysAny(std::string_view text, const auto& words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.find(word) != std::string_view::npos;
  });
}

std::string CommentValue(const std::string& value) {
  std::string safe;
  for (const char c : value) safe += c > ' ' && c < 0x7f && c != '|' ? c : '_';
  return safe;
}

}  // namespace

std::string JobComment(const std::string& site, const std::string& node,
                       const std::string& pod_namespace, const std::string& pod_name,
                       const std::string& pod_uid) {
  std::string comment = "interlink site=" + CommentValue(site) + " node=" + CommentValue(node) +
                        " pod=" + CommentValue(pod_namespace) + "/" + CommentValue(pod_name) +
                        " uid=" + CommentValue(pod_uid);
  if (comment.size() > kCommentLimit) comment.resize(kCommentLimit);
  return comment;
}

int64_t WarnSeconds(const JobOptions& options) {
  constexpr int64_t kUsual = 60;
  if (options.time_minutes == 0) return kUsual;
  return std::min(kUsual, options.time_minutes * kMinutesToSeconds / 4);
}

std::vector<std::string> SubmitArguments(const Submission& submission) {
  std::vector<std::string> argv = {
      "sbatch", "--parsable", "--no-requeue", "--export=NONE", "--propagate=NONE",
      "--open-mode=append", "--nodes=1", "--ntasks=1", "--input=/dev/null",
      "--job-name=" + submission.job_name, "--comment=" + submission.comment,
      // The script's first act is to look for the pod's folder: a missing --chdir would be taken as
      // /tmp without a word, a missing --output fails the job without one.
      "--chdir=/", "--output=/dev/null",
      "--signal=B:TERM@" + std::to_string(WarnSeconds(submission.options))};
  for (std::string& argument : OptionArguments(submission.options)) {
    argv.push_back(std::move(argument));
  }
  if (submission.runtime_none) argv.emplace_back("--runtime=none");
  if (submission.user) argv = AsUser(*submission.user, std::move(argv));
  return argv;
}

SubmitOutcome OutcomeOf(const Answer& answer) {
  using Kind = SubmitOutcome::Kind;
  if (answer.code == 0) {
    if (const uint64_t id = ParseJobId(answer.out); id != 0) return {Kind::kAccepted, id, ""};
    return {Kind::kUnknown, 0, "sbatch succeeded without telling a job's id"};
  }
  const std::string words = Words(answer);
  switch (TroubleOf(answer)) {
    case Trouble::kDoubt:
      return {Kind::kUnknown, 0, words, SaysAny(answer.err, kNoRoomWords)};
    case Trouble::kUnreachable:
      return {Kind::kNotReached, 0, words};
    case Trouble::kOther:
      break;
  }
  // What is not known to be a refusal may come from behind the submission (a wrapper, a filter).
  const bool refused = SaysAny(answer.err, std::array{kFailed}) || SaysAny(answer.err, kUsageWords);
  return {refused ? Kind::kRefused : Kind::kUnknown, 0, words};
}

Result<SubmitOutcome> Submit(const Call& call, Commands& commands, const Submission& submission) {
  const auto text = submission.lone ? ScriptText(*submission.lone) : ScriptText(submission.script);
  ASSIGN_OR_RETURN(const std::string script, text);
  const auto answer = commands.Run(call, SubmitArguments(submission), script);
  if (answer.ok()) return OutcomeOf(*answer);
  const Status& status = answer.status();
  const bool began = status.code() == Code::kDeadlineExceeded ||
                     status.code() == Code::kCancelled || status.code() == Code::kResourceExhausted;
  return SubmitOutcome{began ? SubmitOutcome::Kind::kUnknown : SubmitOutcome::Kind::kNotReached, 0,
                       status.message()};
}

Result<SbatchVersion> ProbeSbatch(const Call& call, Commands& commands) {
  ASSIGN_OR_RETURN(const Answer version, commands.Run(call, {"sbatch", "--version"}, ""));
  if (version.code != 0) return ReadFailure("sbatch --version", version);
  SbatchVersion found;
  found.text = version.out.substr(0, version.out.find('\n'));
  const size_t space = found.text.rfind(' ');
  const std::string_view number =
      std::string_view(found.text).substr(space == std::string::npos ? 0 : space + 1);
  const size_t dot = number.find('.');
  const auto year = ParseDigits<int>(number.substr(0, dot));
  const auto month =
      dot == std::string_view::npos
          ? std::nullopt
          : ParseDigits<int>(number.substr(dot + 1, number.find('.', dot + 1) - dot - 1));
  if (!year || !month) return DataLoss("sbatch --version answers \"" + found.text + "\"");
  found.major = *year * 100 + *month;
  ASSIGN_OR_RETURN(const Answer help, commands.Run(call, {"sbatch", "--help"}, ""));
  if (help.code != 0) return ReadFailure("sbatch --help", help);
  found.has_runtime = help.out.find(" --runtime") != std::string::npos;
  return found;
}

}  // namespace interlink::slurm
