#include "slurm/job_list.h"

#include <array>
#include <csignal>
#include <optional>

#include "base/id.h"
#include "slurm/numbers.h"

namespace interlink::slurm {
namespace {

// The name is last: all before it is SLURM's own and has no bar.
constexpr std::array<const char*, 11> kFields = {
    "JobID",     "State",   "Reason",    "exit_code", "RestartCnt", "SubmitTime",
    "StartTime", "EndTime", "BatchHost", "UserID",    "Name"};
constexpr size_t kExcerpt = 80;
constexpr int kWaitStatusLimit = 0xffff;
constexpr int kSignalMask = 0x7f;

std::string Excerpt(std::string_view text) {
  std::string safe;
  for (const char c : text.substr(0, kExcerpt)) safe += c >= ' ' && c < 0x7f ? c : '?';
  return text.size() > kExcerpt ? safe + "..." : safe;
}

Status Garbled(std::string_view what, std::string_view record) {
  return DataLoss("squeue's answer is garbled: " + std::string(what) + " in \"" + Excerpt(record) +
                  "\"");
}

// Seconds of 1970, or 0 for the words that SLURM writes where it has no time.
std::optional<int64_t> ParseTime(std::string_view text) {
  for (const std::string_view none : {"N/A", "NONE", "None", "Unknown", "n/a"}) {
    if (text == none) return 0;
  }
  return ParseDigits<int64_t>(text);
}

bool IsState(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if ((c < 'A' || c > 'Z') && c != '_') return false;
  }
  return true;
}

Result<Job> ParseRecord(std::string_view record) {
  std::array<std::string_view, kFields.size()> field;
  std::string_view rest = record;
  for (size_t i = 0; i + 1 < field.size(); ++i) {
    const size_t bar = rest.find('|');
    if (bar == std::string_view::npos) return Garbled("too few fields", record);
    field.at(i) = rest.substr(0, bar);
    rest.remove_prefix(bar + 1);
  }
  if (rest.empty() || rest.back() != '|') return Garbled("no name", record);
  rest.remove_suffix(1);

  Job job;
  const auto id = ParseDigits<uint64_t>(field[0]);
  if (!id || *id == 0) return Garbled("no job id", record);
  if (!IsState(field[1])) return Garbled("no state", record);
  const auto exit = ParseJobExit(field[3]);
  const auto restarts = ParseDigits<int>(field[4]);
  const auto submit = ParseTime(field[5]);
  const auto start = ParseTime(field[6]);
  const auto end = ParseTime(field[7]);
  if (!exit.ok()) return Garbled("no exit code", record);
  if (!restarts) return Garbled("no count of restarts", record);
  if (!submit || *submit == 0) return Garbled("no submit time", record);
  const auto user = ParseDigits<uint32_t>(field[9]);
  if (!start || !end) return Garbled("no time", record);
  if (!user) return Garbled("no user", record);
  job.identity = {*id, std::string(rest), *submit};
  job.state = field[1];
  job.reason = field[2];
  job.exit = *exit;
  job.restarts = *restarts;
  job.start_time = *start;
  job.end_time = *end;
  if (field[8] != "n/a") job.batch_host = field[8];
  job.user = *user;
  return job;
}

}  // namespace

std::vector<std::string> ListArguments(const std::string& user, const std::string& mark) {
  std::string format;
  for (const char* field : kFields) {
    if (!format.empty()) format += ',';
    format += std::string(field) + ":|";  // no width limit, "|" behind the value
  }
  // --all: also jobs in partitions that are hidden from the user.
  std::vector<std::string> words = {"squeue", "--noheader", "--all", "--states=all"};
  if (!user.empty()) words.push_back("--user=" + user);
  words.push_back("--Format=" + format + mark);
  return words;
}

Result<JobExit> ParseJobExit(std::string_view text) {
  const Status garbled = DataLoss("\"" + Excerpt(text) + "\" is no exit code of a job");
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    const auto status = ParseDigits<int>(text);
    if (!status || *status > kWaitStatusLimit) return garbled;
    const int signal = *status & kSignalMask;  // bit 7 tells of a core file
    return JobExit{signal == 0 ? *status >> 8 : 0, signal};
  }
  const auto code = ParseDigits<int>(text.substr(0, colon));
  const auto signal = ParseDigits<int>(text.substr(colon + 1));
  if (!code || !signal || *code > 0xff || *signal > 0xff) return garbled;
  return JobExit{*code, *signal & kSignalMask};
}

Result<std::vector<Job>> ParseJobList(std::string_view text, std::string_view mark) {
  std::vector<Job> jobs;
  const std::string end = std::string(mark) + "\n";
  while (!text.empty()) {
    const size_t stop = text.find(end);
    if (stop == std::string_view::npos) return Garbled("an unfinished record", text);
    ASSIGN_OR_RETURN(Job job, ParseRecord(text.substr(0, stop)));
    jobs.push_back(std::move(job));
    text.remove_prefix(stop + end.size());
  }
  return jobs;
}

Result<bool> DeniesJob(const Call& call, Commands& commands, uint64_t id, const std::string& name) {
  const std::string number = std::to_string(id);
  ASSIGN_OR_RETURN(const Answer answer,
                   commands.Run(call,
                                {"squeue", "--noheader", "--all", "--states=all",
                                 "--jobs=" + number, "--format=%A %j"},
                                ""));
  if (answer.code != 0) {
    if (answer.err.find("Invalid job id") != std::string::npos) return true;
    return Unavailable(ReadFailure("squeue", answer).message());
  }
  if (answer.out == number + " " + name + "\n") return false;
  if (answer.out.starts_with(number + " ") && answer.out.ends_with('\n')) return true;
  return Unavailable("squeue neither lists job " + number + " nor denies it");
}

Result<std::vector<Job>> ListJobs(const Call& call, Commands& commands, const std::string& user) {
  const std::string mark = RandomHex(8);
  ASSIGN_OR_RETURN(const Answer answer, commands.Run(call, ListArguments(user, mark), ""));
  if (answer.code != 0) return ReadFailure("squeue", answer);
  return ParseJobList(answer.out, mark);
}

}  // namespace interlink::slurm
