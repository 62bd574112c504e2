#include "slurm/journal.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "base/file.h"
#include "engine/list_folder.h"

namespace interlink::slurm {
namespace {

using nlohmann::json;

constexpr int kJournalVersion = 1;
constexpr size_t kMaxJournalFile = 1U << 20U;
// A folder whose `job` is not written yet is nothing: it was never answered for.
constexpr const char* kJobFile = "/job";
constexpr const char* kReleaseFile = "/release";
constexpr const char* kBroughtFile = "/brought";
constexpr const char* kEndedFile = "/ended";
constexpr std::array<const char*, 3> kStages = {"wanted", "doubt", "submitted"};

json ToJson(const JobOptions& options) {
  return {{"cpus", options.cpus},
          {"memory_mib", options.memory_mib},
          {"time_minutes", options.time_minutes},
          {"gres", options.gres},
          {"partition", options.partition},
          {"account", options.account},
          {"qos", options.qos},
          {"reservation", options.reservation},
          {"constraint", options.constraint},
          {"flags", options.flags}};
}

JobOptions OptionsFrom(const json& from) {
  JobOptions options;
  from.at("cpus").get_to(options.cpus);
  from.at("memory_mib").get_to(options.memory_mib);
  from.at("time_minutes").get_to(options.time_minutes);
  from.at("gres").get_to(options.gres);
  from.at("partition").get_to(options.partition);
  from.at("account").get_to(options.account);
  from.at("qos").get_to(options.qos);
  from.at("reservation").get_to(options.reservation);
  from.at("constraint").get_to(options.constraint);
  from.at("flags").get_to(options.flags);
  return options;
}

// Throws for a word that is none.
JobRecord::Stage StageOf(const std::string& word) {
  const auto found = std::find(kStages.begin(), kStages.end(), word);
  if (found == kStages.end()) throw std::out_of_range("no stage \"" + word + "\"");
  return static_cast<JobRecord::Stage>(found - kStages.begin());
}

json ToJson(const std::optional<JobUser>& user) {
  if (!user) return nullptr;
  return {{"name", user->name}, {"uid", user->id.uid}, {"gid", user->id.gid}};
}

std::optional<JobUser> UserFrom(const json& from) {
  if (from.is_null()) return std::nullopt;
  JobUser user;
  from.at("name").get_to(user.name);
  from.at("uid").get_to(user.id.uid);
  from.at("gid").get_to(user.id.gid);
  return user;
}

json ToJson(const JobRecord& record) {
  return {{"version", kJournalVersion},
          {"sandbox", record.sandbox.str()},
          {"node", record.node.str()},
          {"handler", record.handler},
          {"comment", record.comment},
          {"user", ToJson(record.user)},
          {"options", ToJson(record.options)},
          {"stage", kStages.at(static_cast<size_t>(record.stage))},
          {"submissions", record.submissions},
          {"no_room", record.no_room},
          {"job", record.job},
          {"since", record.since},
          {"orphan", record.orphan},
          {"folderless", record.folderless},
          {"limit_at", record.limit_at},
          {"leave_within", record.leave_within ? json(record.leave_within->count()) : json()},
          {"doom", record.doom}};
}

JobRecord RecordFrom(const json& from) {
  JobRecord record;
  record.sandbox = SandboxId(from.at("sandbox").get<std::string>());
  record.node = NodeId(from.at("node").get<std::string>());
  from.at("handler").get_to(record.handler);
  from.at("comment").get_to(record.comment);
  record.options = OptionsFrom(from.at("options"));
  record.stage = StageOf(from.at("stage").get<std::string>());
  from.at("submissions").get_to(record.submissions);
  from.at("job").get_to(record.job);
  from.at("since").get_to(record.since);
  from.at("orphan").get_to(record.orphan);
  // Of an older version: not there.
  record.folderless = from.value("folderless", false);
  record.no_room = from.value("no_room", 0);
  record.limit_at = from.value("limit_at", int64_t{0});
  if (from.contains("user")) record.user = UserFrom(from.at("user"));
  if (from.contains("leave_within") && !from.at("leave_within").is_null()) {
    record.leave_within = std::chrono::seconds(from.at("leave_within").get<int64_t>());
  }
  from.at("doom").get_to(record.doom);
  return record;
}

struct Brought {
  SandboxId sandbox;
  std::vector<Claim> claims;
};

json ToJson(const Brought& brought) {
  json claims = json::array();
  for (const Claim& claim : brought.claims) {
    claims.push_back({{"nonce", claim.nonce},
                      {"job", claim.job},
                      {"restarts", claim.restarts},
                      {"host", claim.host},
                      {"boot", claim.boot}});
  }
  return {{"version", kJournalVersion}, {"sandbox", brought.sandbox.str()}, {"claims", claims}};
}

Brought BroughtFrom(const json& from) {
  Brought brought;
  brought.sandbox = SandboxId(from.at("sandbox").get<std::string>());
  for (const json& one : from.at("claims")) {
    Claim& claim = brought.claims.emplace_back();
    one.at("nonce").get_to(claim.nonce);
    one.at("job").get_to(claim.job);
    one.at("restarts").get_to(claim.restarts);
    one.at("host").get_to(claim.host);
    one.at("boot").get_to(claim.boot);
  }
  return brought;
}

json ToJson(const sdk::AllocationFact& fact) {
  return {{"version", kJournalVersion},    {"sandbox", fact.sandbox.str()},
          {"allocation", fact.allocation}, {"reason", fact.reason},
          {"message", fact.message},       {"refused", fact.refused},
          {"exit_code", fact.exit_code},   {"out_of_memory", fact.out_of_memory},
          {"pod_folder", fact.pod_folder}};
}

sdk::AllocationFact FactFrom(const json& from) {
  sdk::AllocationFact fact;
  fact.state = sdk::AllocationFact::State::kEnded;
  fact.sandbox = SandboxId(from.at("sandbox").get<std::string>());
  from.at("allocation").get_to(fact.allocation);
  from.at("reason").get_to(fact.reason);
  from.at("message").get_to(fact.message);
  from.at("refused").get_to(fact.refused);
  from.at("exit_code").get_to(fact.exit_code);
  from.at("out_of_memory").get_to(fact.out_of_memory);
  from.at("pod_folder").get_to(fact.pod_folder);
  return fact;
}

// What a file of this version and sandbox says; `parse` may throw.
template <typename Parse>
auto ReadJson(const std::string& path, const SandboxId& id, Parse parse)
    -> Result<decltype(parse(json()))> {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxJournalFile));
  try {
    const json value = json::parse(text);
    if (value.at("version").get<int>() != kJournalVersion) {
      return DataLoss("\"" + path + "\" is of a version that is not known here");
    }
    auto parsed = parse(value);
    if (parsed.sandbox == id) return parsed;
  } catch (const std::exception& error) {
    return DataLoss("\"" + path + "\" is damaged: " + error.what());
  }
  return DataLoss("\"" + path + "\" is of another sandbox");
}

// Words of others (SLURM's, a pod's) need not be UTF-8.
std::string Text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

Result<std::vector<JournalEntry>> Journal::Load() const {
  RETURN_IF_ERROR(MakeDirectories(folder_, 0700));
  ASSIGN_OR_RETURN(const auto names, engine::ListFolder(folder_));
  std::vector<JournalEntry> entries;
  for (const std::string& name : names) {
    if (!IsFullId(name)) continue;
    auto entry = LoadOne(SandboxId(name));
    if (entry.status().code() == Code::kNotFound) continue;
    if (!entry.ok()) return entry.status();
    entries.push_back(*std::move(entry));
  }
  return entries;
}

Result<JournalEntry> Journal::LoadOne(const SandboxId& id) const {
  JournalEntry entry;
  const std::string path = PathOf(id);
  ASSIGN_OR_RETURN(entry.record, ReadJson(path + kJobFile, id, RecordFrom));
  const auto ended = ReadJson(path + kEndedFile, id, FactFrom);
  if (ended.ok()) entry.ended = *ended;
  if (!ended.ok() && ended.status().code() != Code::kNotFound) return ended.status();
  auto brought = ReadJson(path + kBroughtFile, id, BroughtFrom);
  if (brought.ok()) entry.brought = std::move(brought->claims);
  if (!brought.ok() && brought.status().code() != Code::kNotFound) return brought.status();
  const auto released = ReadFile(path + kReleaseFile, kMaxJournalFile);
  entry.released = released.ok();
  if (!released.ok() && released.status().code() != Code::kNotFound) return released.status();
  return entry;
}

Status Journal::Write(const JobRecord& record) const {
  const std::string path = PathOf(record.sandbox);
  RETURN_IF_ERROR(MakeDirectories(path, 0700));
  RETURN_IF_ERROR(WriteFileAtomically(path + kJobFile, Text(ToJson(record)), 0600));
  return SyncDirectoryOf(path);
}

Status Journal::WriteRelease(const SandboxId& id) const {
  return WriteFileAtomically(PathOf(id) + kReleaseFile, "1\n", 0600);
}

Status Journal::WriteBrought(const SandboxId& id, const std::vector<Claim>& claims) const {
  return WriteFileAtomically(PathOf(id) + kBroughtFile, Text(ToJson(Brought{id, claims})), 0600);
}

Status Journal::WriteEnded(const sdk::AllocationFact& fact) const {
  return WriteFileAtomically(PathOf(fact.sandbox) + kEndedFile, Text(ToJson(fact)), 0600);
}

Status Journal::Remove(const SandboxId& id) const {
  // First what makes it an entry: half of one must not come back.
  const std::string job = PathOf(id) + kJobFile;
  if (unlink(job.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR) {
    return ErrnoStatus(errno, "remove \"" + job + "\"");
  }
  RETURN_IF_ERROR(RemoveTree(PathOf(id)));
  return SyncDirectoryOf(PathOf(id));
}

}  // namespace interlink::slurm
