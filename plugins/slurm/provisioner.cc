#include "slurm/provisioner.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/engine.h"
#include "engine/plan_sandbox.h"
#include "runtime/v1/api.pb.h"
#include "slurm/job_name.h"
#include "slurm_wishes/wishes.h"

namespace interlink::slurm {
namespace {

using nlohmann::json;
using sdk::AllocationFact;
using Stage = JobRecord::Stage;

constexpr int kThreads = 8;  // of each pool
constexpr size_t kMostSteps = 100'000;

engine::EngineOptions AgentEngine(const SlurmOptions& options) {
  engine::EngineOptions agent;
  agent.plugin = "slurm";
  agent.handlers = options.handlers;
  agent.rootless = true;
  agent.engine = options.engine;
  return agent;
}

void Drop(std::vector<std::string>& list, std::string_view path) {
  list.erase(std::remove(list.begin(), list.end(), path), list.end());
}

// An agent's, without what is another machine's there: of host paths only those whose contents come
// along are had. A pod's resources are its job's.
sdk::Description DescribeAgents(const engine::EngineOptions& agent, const SlurmOptions& options) {
  sdk::Description description = engine::DescribeEngine(agent, {});
  Drop(description.container.honoured, "devices");
  for (const char* path : {"linux.resources", "linux.overhead"}) {
    Drop(description.sandbox.advisory, path);
    description.sandbox.bounded.emplace_back(path);
  }
  description.node_options = slurm_wishes::NodeOptionNames();
  description.runs_as_users = options.mapped_users;
  for (auto& handler : description.handlers) {
    const auto profile = options.profiles.find(handler.name);
    handler.queue_at_start =
        profile != options.profiles.end() && profile->second.at_start.value_or(false);
  }
  return description;
}

std::string OwnHostName() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

AllocationFact FactOf(const Pod& pod) { return pod.ended ? *pod.ended : LivingFact(pod); }

std::optional<FileOwner> IdOf(const std::optional<JobUser>& user) {
  return user ? std::optional<FileOwner>(user->id) : std::nullopt;
}

json JobJson(const Job& job) {
  return {{"id", job.identity.id},  {"state", job.state},         {"reason", job.reason},
          {"host", job.batch_host}, {"exit_code", job.exit.code}, {"signal", job.exit.signal}};
}

}  // namespace

SlurmProvisioner::SlurmProvisioner(ProvisionerParts parts, SlurmOptions options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      clock_(parts_.host.clock()),
      began_(clock_.Steady()),
      engine_(AgentEngine(options_)),
      description_(DescribeAgents(engine_, options_)),
      folder_(options_.job_folder, parts_.host.lineage(), options_.mapped_users),
      journal_(parts_.host.data_folder() + "/jobs"),
      observer_(*parts_.commands, clock_,
                {.lineage = parts_.host.lineage(),
                 .user = parts_.sees_all ? "" : parts_.user,
                 .message_timeout = options_.message_timeout}),
      folder_claims_(folder_, parts_.desk, clock_, options_.leave_within),
      binding_claims_(parts_.desk, clock_, [this](const SandboxId& id) { return BroughtTo(id); }),
      cancellations_(*parts_.commands, clock_, parts_.host.lineage(),
                     parts_.sees_all ? "" : parts_.user),
      steps_("slurm", kThreads, kMostSteps),
      submits_("sbatch", kThreads, kMostSteps) {
  if (options_.transport != Transport::kDirect) {
    RelaysOptions relays;
    relays.state_folder = options_.state_folder;
    relays.runtime_none = parts_.runtime_none;
    relays_ = std::make_unique<Relays>(
        Relays::Parts{*parts_.commands, parts_.desk, parts_.host.log()}, std::move(relays));
  }
  if (options_.shared_folder) return;
  DeliveriesOptions deliveries;
  deliveries.state_folder = options_.state_folder;
  deliveries.runtime_none = parts_.runtime_none;
  deliveries_ = std::make_unique<Deliveries>(
      Deliveries::Parts{
          *parts_.commands, parts_.host.log(),
          [this](const SandboxId& id, const Claim& claim) { return TakeBrought(id, claim); },
          [this](const SandboxId& id) { return ParcelOf(id); }},
      std::move(deliveries));
}

Claims& SlurmProvisioner::ClaimsOf(const Pod& pod) {
  if (pod.record.folderless) return binding_claims_;
  return folder_claims_;
}

Result<std::unique_ptr<SlurmProvisioner>> SlurmProvisioner::Create(ProvisionerParts parts,
                                                                   SlurmOptions options) {
  struct stat about {};
  if (stat(options.agent.c_str(), &about) != 0) {
    return ErrnoStatus(errno, "the agent \"" + options.agent + "\" (option AgentPath)");
  }
  if (!S_ISREG(about.st_mode) || (about.st_mode & 0111U) == 0) {
    return InvalidArgument("the agent \"" + options.agent + "\" (option AgentPath) is no program");
  }
  return std::unique_ptr<SlurmProvisioner>(
      new SlurmProvisioner(std::move(parts), std::move(options)));
}

SlurmProvisioner::~SlurmProvisioner() {
  watcher_.request_stop();
  {
    const MutexLock lock(mutex_);
    WakeLocked();
  }
  if (watcher_.joinable()) watcher_.join();
  // A step of the one posts to the other.
  steps_.Stop(Duration::zero());
  submits_.Stop(Duration::zero());
}

void SlurmProvisioner::WakeLocked() {
  hurry_ = true;
  wake_.NotifyAll();
}

void SlurmProvisioner::TellLocked(Entry& entry) {
  AllocationFact fact = FactOf(entry.pod);
  if (entry.told && SameFact(*entry.told, fact)) return;
  entry.told = fact;
  parts_.desk.Report({std::move(fact)});
}

// --- start

Result<std::vector<AllocationFact>> SlurmProvisioner::Recover(const Call&) {
  bool known = false;
  {
    const MutexLock lock(mutex_);
    known = recovered_;
  }
  if (!known) {
    ASSIGN_OR_RETURN(const auto entries, FindAll());
    for (const JournalEntry& entry : entries) WatchJobs(entry.record);
    const MutexLock lock(mutex_);
    for (const JournalEntry& entry : entries) {
      Pod& pod = pods_[entry.record.sandbox].pod;
      pod.record = entry.record;
      pod.released = entry.released;
      pod.word_by = clock_.Steady() + kForItsWord;
      pod.brought = entry.brought;
      pod.ended = entry.ended;
    }
    recovered_ = true;
  }
  std::vector<AllocationFact> facts;
  const MutexLock lock(mutex_);
  for (auto& [id, entry] : pods_) {
    entry.told = FactOf(entry.pod);
    facts.push_back(*entry.told);
  }
  if (parts_.own_thread && !watcher_.joinable()) {
    watcher_ = std::jthread([this](const std::stop_token& stop) { Watch(stop); });
  }
  return facts;
}

Result<std::vector<JournalEntry>> SlurmProvisioner::FindAll() {
  ASSIGN_OR_RETURN(auto entries, journal_.Load());
  RETURN_IF_ERROR(folder_.Open(!entries.empty()));
  ASSIGN_OR_RETURN(agent_, folder_.InstallAgent(options_.agent));
  if (layers_ == nullptr) {
    // Two sites of one user in one JobFolder must not have the same.
    const std::string folder = options_.job_folder + "/layers-" + parts_.host.lineage().str();
    ASSIGN_OR_RETURN(layers_, UserLayers::Create(folder, clock_, parts_.host.log()));
  }
  RETURN_IF_ERROR(AdoptOrphans(entries));
  for (const JournalEntry& entry : entries) {
    if (!entry.record.user) continue;
    const Status may = CheckMayActAs(entry.record.user->id);
    if (!may.ok())
      return may.WithContext("there are jobs of user \"" + entry.record.user->name + "\"");
  }
  return entries;
}

// Pods of our lineage that the journal does not have: it is older than they are.
Status SlurmProvisioner::AdoptOrphans(std::vector<JournalEntry>& entries) {
  ASSIGN_OR_RETURN(const auto pods, folder_.Pods());
  std::set<SandboxId> known;
  for (const JournalEntry& entry : entries) known.insert(entry.record.sandbox);
  for (const SandboxId& id : pods) {
    if (known.count(id) != 0) continue;
    JournalEntry entry;
    entry.record.sandbox = id;
    entry.record.stage = Stage::kDoubt;
    entry.record.submissions = 1;
    entry.record.since = clock_.WallNanos() / 1'000'000'000;
    entry.record.orphan = true;
    ASSIGN_OR_RETURN(const auto owner, folder_.OwnerOf(id));
    if (owner) entry.record.user = JobUserOf(*owner);
    ASSIGN_OR_RETURN(const bool shared, folder_.IsShared(id));
    entry.record.folderless = !shared;
    RETURN_IF_ERROR(journal_.Write(entry.record));
    parts_.host.log().Warning("a pod's folder without a journal was found",
                              {{"sandbox", id.str()}});
    entries.push_back(std::move(entry));
  }
  return {};
}

void SlurmProvisioner::WatchSandbox(const JobRecord& record) {
  std::optional<uint32_t> user;
  if (parts_.sees_all) user = record.user ? record.user->id.uid : geteuid();
  observer_.Watch(record.sandbox, user);
}

void SlurmProvisioner::WatchJobs(const JobRecord& record) {
  WatchSandbox(record);
  if (record.stage == Stage::kDoubt) observer_.Doubt(record.sandbox);
  if (record.job != 0) {
    observer_.Know(record.sandbox, {record.job, JobName(parts_.host.lineage(), record.sandbox), 0});
  }
}

// --- what the site asks for

// Nothing: the plugin's own. `name`: AllocationSpec::user.
Result<std::optional<JobUser>> SlurmProvisioner::UserFor(const std::string& name) const {
  if (name.empty() && options_.mapped_users && !options_.allow_root_agents) {
    return PermissionDenied(
        "this site runs each pod's job as a user of its own, and its policy (Users) names none for "
        "this pod");
  }
  if (name.empty()) return std::optional<JobUser>();
  if (!options_.mapped_users) {
    return FailedPrecondition("the site's policy (Users) names user \"" + name +
                              "\" for this pod, and the option \"JobUser\" is not mapped");
  }
  ASSIGN_OR_RETURN(JobUser user, FindJobUser(name));
  return std::optional<JobUser>(std::move(user));
}

// As SLURM's commands take one.
std::string SlurmProvisioner::UserWord(const Pod& pod) const {
  return pod.record.user ? std::to_string(pod.record.user->id.uid) : parts_.user;
}

Result<JobOptions> SlurmProvisioner::OptionsOf(const sdk::AllocationSpec& spec) const {
  const auto profile = options_.profiles.find(spec.handler);
  if (profile == options_.profiles.end()) {
    return InvalidArgument("plugin \"slurm\" does not serve handler \"" + spec.handler + "\"");
  }
  OptionSources sources;
  sources.profile = profile->second.values;
  sources.flags = profile->second.flags;
  sources.node = spec.node_options;
  sources.resources = ResourcesOf(spec.config);
  sources.annotations = {spec.config.annotations().begin(), spec.config.annotations().end()};
  return ResolveOptions(options_.rules, sources);
}

Status SlurmProvisioner::Check(const sdk::AllocationSpec& spec) {
  RETURN_IF_ERROR(UserFor(spec.user).status());
  RETURN_IF_ERROR(OptionsOf(spec).status());
  // What its agent would refuse hours later.
  const sdk::SandboxSpec sandbox{spec.id, spec.node, spec.handler, spec.config, spec.node_options};
  return engine::PlanSandbox(engine_, sandbox).status();
}

Status SlurmProvisioner::Submit(const Call&, const sdk::AllocationSpec& spec) {
  if (!IsFullId(spec.id.str())) return InvalidArgument("the sandbox id is not 64 hex digits");
  RETURN_IF_ERROR(CheckRecovered());
  {
    const MutexLock lock(mutex_);
    if (chased_.count(spec.id) != 0) {
      return Unavailable("jobs of an earlier life of this sandbox are being cancelled");
    }
    const auto found = pods_.find(spec.id);
    if (found != pods_.end() && (found->second.pod.released || found->second.pod.ended)) {
      return FailedPrecondition("this sandbox's job was given back: it is not submitted again");
    }
    if (found != pods_.end()) return {};
  }
  JobRecord record;
  ASSIGN_OR_RETURN(record.user, UserFor(spec.user));
  ASSIGN_OR_RETURN(record.options, OptionsOf(spec));
  record.sandbox = spec.id;
  record.node = spec.node;
  record.handler = spec.handler;
  const auto& metadata = spec.config.metadata();
  record.comment = JobComment(OwnHostName(), spec.node.str(), metadata.namespace_(),
                              metadata.name(), metadata.uid());
  record.folderless = !options_.shared_folder;
  RETURN_IF_ERROR(journal_.Write(record));
  WatchSandbox(record);  // before its first job
  {
    const MutexLock lock(mutex_);
    pods_[spec.id].pod.record = std::move(record);
    TellLocked(pods_[spec.id]);
  }
  PostNext(spec.id);
  return {};
}

Status SlurmProvisioner::Release(const Call&, const SandboxId& id) {
  if (!IsFullId(id.str())) return InvalidArgument("the sandbox id is not 64 hex digits");
  RETURN_IF_ERROR(CheckRecovered());
  {
    const MutexLock lock(mutex_);
    const auto found = pods_.find(id);
    if (found == pods_.end()) {
      Pod never;
      never.record.sandbox = id;
      never.released = true;
      parts_.desk.Report({NeverStartedFact(never, "", "no job was submitted")});
      return {};
    }
    if (found->second.pod.ended) parts_.desk.Report({*found->second.pod.ended});
    if (found->second.pod.ended || found->second.pod.released) return {};
  }
  RETURN_IF_ERROR(journal_.WriteRelease(id));
  observer_.Hurry();
  {
    const MutexLock lock(mutex_);
    const auto found = pods_.find(id);
    if (found == pods_.end()) return {};
    found->second.pod.released = true;
    found->second.pod.word_by = clock_.Steady() + kForItsWord;
    found->second.pod.due = {};
    WakeLocked();
  }
  PostNext(id);
  return {};
}

Status SlurmProvisioner::Remove(const Call&, const SandboxId& id) {
  if (!IsFullId(id.str())) return InvalidArgument("the sandbox id is not 64 hex digits");
  RETURN_IF_ERROR(CheckRecovered());
  {
    const MutexLock lock(mutex_);
    const auto found = pods_.find(id);
    if (found != pods_.end() && (!found->second.pod.ended || found->second.busy)) {
      return Unavailable("its job has not ended yet");
    }
  }
  // The journal last: it is what finds the folder again.
  RETURN_IF_ERROR(folder_.RemovePod(id));
  RETURN_IF_ERROR(journal_.Remove(id));
  const MutexLock lock(mutex_);
  if (pods_.erase(id) != 0) chased_.insert(id);
  return {};
}

// --- images

Status SlurmProvisioner::CheckRecovered() {
  const MutexLock lock(mutex_);
  return recovered_ ? Status() : Unavailable("the jobs of earlier days are not found yet");
}

Status SlurmProvisioner::PrepareImage(const Call& call, const std::string& user,
                                      const sdk::UnpackedImage& image) {
  RETURN_IF_ERROR(CheckRecovered());
  ASSIGN_OR_RETURN(const auto whose, UserFor(user));
  return layers_->Prepare(call, IdOf(whose), image);
}

Result<sdk::UnpackedImage> SlurmProvisioner::HoldImage(const std::string& user,
                                                       const ContainerId& holder,
                                                       const sdk::UnpackedImage& image) {
  RETURN_IF_ERROR(CheckRecovered());
  ASSIGN_OR_RETURN(const auto whose, UserFor(user));
  return layers_->Hold(IdOf(whose), holder, image);
}

void SlurmProvisioner::ReleaseImages(const ContainerId& holder) {
  if (CheckRecovered().ok()) layers_->Release(holder);
}

Result<std::string> SlurmProvisioner::Inspect(const Call&, const SandboxId& id) {
  Pod pod;
  {
    const MutexLock lock(mutex_);
    const auto found = pods_.find(id);
    if (found == pods_.end()) return NotFound("no job of sandbox \"" + id.str() + "\"");
    pod = found->second.pod;
  }
  const AllocationFact fact = FactOf(pod);
  json jobs = json::array();
  if (pod.seen) {
    for (const Job& job : pod.seen->jobs) jobs.push_back(JobJson(job));
  }
  const json value = {{"job", fact.allocation},
                      {"message", fact.message},
                      {"reason", fact.reason},
                      {"user", pod.record.user ? pod.record.user->name : parts_.user},
                      {"ended", pod.ended.has_value()},
                      {"released", pod.released},
                      {"jobs", jobs},
                      {"name", JobName(parts_.host.lineage(), id)},
                      {"partition", pod.record.options.partition},
                      {"submissions", pod.record.submissions},
                      {"host", pod.owner ? pod.owner->host : ""},
                      {"transport", NameOf(options_.transport)},
                      {"relay", relays_ == nullptr ? "" : relays_->View(id).state},
                      {"shared_folder", !pod.record.folderless},
                      {"delivery", deliveries_ == nullptr ? "" : deliveries_->View(id).state},
                      {"pod_folder", folder_.PodFolder(id)}};
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace interlink::slurm
