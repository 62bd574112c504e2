// sbatch, and what came of it. Runs in the sandbox's lane, in a thread for these.
#include <algorithm>
#include <utility>

#include "slurm/job_name.h"
#include "slurm/provisioner.h"

namespace interlink::slurm {
namespace {

using Stage = JobRecord::Stage;

constexpr auto kSubmitWithin = std::chrono::seconds(20);
constexpr int64_t kNanosPerSecondOfSubmit = 1'000'000'000;

}  // namespace

Status SlurmProvisioner::SubmitOnce(Pod& pod) {
  const SandboxId id = pod.record.sandbox;
  const sdk::AgentTicket ticket = parts_.desk.TicketFor(id);
  if (pod.record.submissions == 0) {
    // Jobs without a shared folder see none of it.
    std::optional<FileOwner> owner;
    if (pod.record.user && !pod.record.folderless) owner = pod.record.user->id;
    RETURN_IF_ERROR(folder_.MakePod(id, ticket, !pod.record.folderless, owner));
  }
  const Submission submission = SubmissionOf(pod, ticket);
  JobRecord begun = pod.record;
  begun.stage = Stage::kDoubt;
  ++begun.submissions;
  begun.job = 0;
  begun.leave_within =
      std::max(options_.leave_within, begun.leave_within.value_or(options_.leave_within));
  if (begun.since == 0) begun.since = clock_.WallNanos() / kNanosPerSecondOfSubmit;
  RETURN_IF_ERROR(journal_.Write(begun));
  pod.record = std::move(begun);
  const auto outcome =
      slurm::Submit(Call::WithTimeout(kSubmitWithin), *parts_.commands, submission);
  WatchSandbox(pod.record);
  {
    // What was seen before says nothing of this job.
    const MutexLock lock(mutex_);
    const auto found = pods_.find(id);
    if (found != pods_.end()) {
      found->second.pod.seen.reset();
      found->second.pod.gone.clear();
      found->second.pod.running.reset();
      found->second.pod.begin_by.reset();
      found->second.pod.submitted = clock_.Steady();
    }
  }
  if (!outcome.ok()) return EndUnstarted(pod, "Refused", outcome.status().message());
  return TakeOutcome(pod, *outcome);
}

Status SlurmProvisioner::NoteJob(Pod& pod) {
  JobRecord doubted = pod.record;
  doubted.stage = Stage::kDoubt;
  RETURN_IF_ERROR(journal_.Write(doubted));
  pod.record = std::move(doubted);
  pod.no_room.clear();
  return {};
}

Submission SlurmProvisioner::SubmissionOf(const Pod& pod, const sdk::AgentTicket& ticket) const {
  AgentCommand command;
  command.agent = agent_;
  command.sandbox = pod.record.sandbox;
  if (!pod.record.folderless) command.pod_folder = folder_.PodFolder(pod.record.sandbox);
  command.hub = ticket.hub;
  command.server_name = ticket.server_name;
  command.engine = options_.engine;
  command.runtime = options_.runtime;
  command.state_folder = options_.state_folder;
  command.leave_within = options_.leave_within;
  command.no_lease = pod.record.folderless;
  if (!command.no_lease) {
    command.lease = std::chrono::ceil<std::chrono::seconds>(parts_.desk.Lease());
  }
  if (options_.transport == Transport::kSrun) command.transport = "relay";
  if (options_.transport == Transport::kAuto) command.transport = "auto";
  command.allow_root = options_.allow_root_agents && !pod.record.user;
  command.handler = pod.record.handler;
  const auto profile = options_.profiles.find(pod.record.handler);
  if (profile != options_.profiles.end()) {
    command.allowed_host_paths = profile->second.allowed_host_paths;
  }
  Submission submission;
  submission.job_name = JobName(parts_.host.lineage(), pod.record.sandbox);
  submission.comment = pod.record.comment;
  submission.options = pod.record.options;
  if (pod.record.user) submission.user = pod.record.user->id;
  if (pod.record.folderless) {
    submission.lone = {options_.state_folder, options_.begin_within, AgentWords(command)};
  } else {
    submission.script = {command.pod_folder, AgentCommandWords(command)};
  }
  submission.runtime_none = parts_.runtime_none;
  return submission;
}

Status SlurmProvisioner::TakeOutcome(Pod& pod, const SubmitOutcome& outcome) {
  const SandboxId& id = pod.record.sandbox;
  pod.no_room = outcome.no_room ? outcome.words : "";
  NoteRoom(id, outcome);
  switch (outcome.kind) {
    case SubmitOutcome::Kind::kAccepted:
      pod.record.stage = Stage::kSubmitted;
      pod.record.job = outcome.job;
      observer_.Know(id, {outcome.job, JobName(parts_.host.lineage(), id), 0});
      parts_.host.log().Info("a job was submitted",
                             {{"sandbox", id.str()}, {"job", std::to_string(outcome.job)}});
      // Unwritten it stays a doubt, which its name settles.
      return journal_.Write(pod.record);
    case SubmitOutcome::Kind::kRefused:
      return EndUnstarted(pod, "Refused", "SLURM refuses the job: " + outcome.words);
    case SubmitOutcome::Kind::kNotReached: {
      pod.record.stage = Stage::kWanted;
      --pod.record.submissions;
      RETURN_IF_ERROR(journal_.Write(pod.record));
      return Unavailable("SLURM cannot be reached: " + outcome.words);
    }
    case SubmitOutcome::Kind::kUnknown:
      break;
  }
  observer_.Doubt(id);
  parts_.host.log().Warning("it is not known whether a job was submitted: looking for it",
                            {{"sandbox", id.str()}, {"why", outcome.words}});
  if (!outcome.no_room) return {};
  ++pod.record.no_room;
  return journal_.Write(pod.record);
}

void SlurmProvisioner::NoteRoom(const SandboxId& id, const SubmitOutcome& outcome) {
  const MutexLock lock(mutex_);
  if (outcome.no_room) room_.Full(id, outcome.words, clock_.Steady());
  if (outcome.kind == SubmitOutcome::Kind::kAccepted) room_.Accepted();
}

}  // namespace interlink::slurm
