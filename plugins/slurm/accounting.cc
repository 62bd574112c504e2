#include "slurm/accounting.h"

#include <array>
#include <optional>

#include "base/clock.h"
#include "slurm/numbers.h"

namespace interlink::slurm {
namespace {

constexpr const char* kColumns = "JobIDRaw,State,Submit,Start,End,NodeList,JobName";
constexpr size_t kColumnCount = 7;
constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr size_t kWholeSeconds = 19;  // "2026-01-02T03:04:05"; the commands run with TZ=UTC

Status GarbledRow(std::string_view what, std::string_view row) {
  std::string safe;
  for (const char c : row.substr(0, 80)) safe += c >= ' ' && c < 0x7f ? c : '?';
  return DataLoss("sacct's answer is garbled: " + std::string(what) + " in \"" + safe + "\"");
}

std::optional<int64_t> ParseRowTime(std::string_view text) {
  if (text == "Unknown" || text == "None" || text.empty()) return 0;
  return ParseDigits<int64_t>(text);
}

// Our own names and machines: no field can have a bar.
Result<Job> ParseRow(std::string_view row) {
  std::array<std::string_view, kColumnCount> field;
  std::string_view rest = row;
  for (size_t i = 0; i < field.size(); ++i) {
    const size_t bar = rest.find('|');
    const bool last = i + 1 == field.size();
    if (last != (bar == std::string_view::npos)) {
      return GarbledRow(last ? "too many columns" : "too few columns", row);
    }
    field.at(i) = rest.substr(0, bar);
    if (!last) rest.remove_prefix(bar + 1);
  }
  const auto id = ParseDigits<uint64_t>(field[0]);
  const auto submit = ParseRowTime(field[2]);
  const auto start = ParseRowTime(field[3]);
  const auto end = ParseRowTime(field[4]);
  if (!id || *id == 0) return GarbledRow("no job id", row);
  // "CANCELLED by 1001"
  const std::string_view state = field[1].substr(0, field[1].find(' '));
  if (state.empty()) return GarbledRow("no state", row);
  if (!submit || *submit == 0 || !start || !end) return GarbledRow("no time", row);
  if (field[6].empty()) return GarbledRow("no name", row);

  Job job;
  job.identity = {*id, std::string(field[6]), *submit};
  job.state = state;
  job.reason = "None";
  job.start_time = *start;
  job.end_time = *end;
  if (field[5] != "None assigned") job.batch_host = field[5];
  return job;
}

}  // namespace

std::vector<std::string> AccountingArguments(const std::string& user,
                                             const std::vector<std::string>& names, int64_t since) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ",") + name;
  // --duplicates: an id that was handed out twice has two rows.
  return {"sacct",
          "--noheader",
          "--parsable2",
          "--allocations",
          "--duplicates",
          "--user=" + user,
          "--name=" + list,
          "--starttime=" + FormatRfc3339(since * kNanosPerSecond).substr(0, kWholeSeconds),
          std::string("--format=") + kColumns};
}

Result<std::vector<Job>> ParseAccounting(std::string_view text) {
  std::vector<Job> jobs;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return GarbledRow("an unfinished row", text);
    ASSIGN_OR_RETURN(Job job, ParseRow(text.substr(0, end)));
    jobs.push_back(std::move(job));
    text.remove_prefix(end + 1);
  }
  return jobs;
}

Result<std::vector<Job>> AskAccounting(const Call& call, Commands& commands,
                                       const std::string& user,
                                       const std::vector<std::string>& names, int64_t since) {
  if (names.empty() || names.size() > kAccountedNames) {
    return InvalidArgument("sacct takes 1 to " + std::to_string(kAccountedNames) +
                           " names at once");
  }
  ASSIGN_OR_RETURN(const Answer answer,
                   commands.Run(call, AccountingArguments(user, names, since), ""));
  if (answer.code != 0) return ReadFailure("sacct", answer);
  return ParseAccounting(answer.out);
}

}  // namespace interlink::slurm
