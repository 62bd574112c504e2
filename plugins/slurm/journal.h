// Journal: what the provisioner must not forget, in a folder of its own. Each file is written
// before what it says is done, atomically and durably. Thread-safe; each file has one writer at a
// time, which is the caller's to see to.
//
//   FOLDER/SANDBOX/      0700
//     job                JSON of a JobRecord: what is submitted, and how far that has come
//     release            its end is wanted
//     brought            JSON of Claims: the jobs to which an agent was brought
//     ended              JSON of an AllocationFact: the proven end
#ifndef INTERLINK_PLUGINS_SLURM_JOURNAL_H_
#define INTERLINK_PLUGINS_SLURM_JOURNAL_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "sdk/provisioner.h"
#include "slurm/claim.h"
#include "slurm/job_options.h"
#include "slurm/job_user.h"

namespace interlink::slurm {

struct JobRecord {
  // kWanted -> kDoubt (sbatch may be running) -> kSubmitted     kDoubt -> kWanted: nothing is there
  // kWanted -> kDoubt also when a job of it comes to light after all
  enum class Stage {
    kWanted,     // to be submitted, again if `submissions` > 0
    kDoubt,      // there may be a job of it
    kSubmitted,  // a job was accepted, or has been seen
  };
  SandboxId sandbox;
  NodeId node;
  std::string handler;
  std::string comment;
  std::optional<JobUser> user;  // as whom its jobs run; nothing: as this plugin's own
  JobOptions options;
  Stage stage = Stage::kWanted;
  int submissions = 0;  // begun
  int no_room = 0;      // of these: SLURM's queue was full
  uint64_t job = 0;     // of the last submission, once it was accepted; 0: nobody has said it
  int64_t since = 0;    // of the first submission: seconds of 1970
  bool orphan = false;  // found without a journal: never submitted again
  // Its jobs share no folder with the site: its claim is the hub's binding (claims.h).
  bool folderless = false;
  int64_t limit_at = 0;  // of these: when SLURM ends the job that ran last: seconds of 1970
  // What its jobs' agents were given to leave, the longest; nothing: an older build has written it.
  std::optional<std::chrono::seconds> leave_within;
  std::string doom;  // why its jobs are cancelled without anybody's wish; empty: they are not
};

struct JournalEntry {
  JobRecord record;
  bool released = false;
  std::vector<Claim> brought;
  std::optional<sdk::AllocationFact> ended;
};

class Journal {
 public:
  explicit Journal(std::string folder) : folder_(std::move(folder)) {}

  // Everything; makes the folder. kDataLoss: a damaged file, which is named.
  Result<std::vector<JournalEntry>> Load() const;
  Status Write(const JobRecord& record) const;
  Status WriteRelease(const SandboxId& id) const;
  Status WriteBrought(const SandboxId& id, const std::vector<Claim>& claims) const;
  Status WriteEnded(const sdk::AllocationFact& fact) const;
  // Absent is OK.
  Status Remove(const SandboxId& id) const;

 private:
  Result<JournalEntry> LoadOne(const SandboxId& id) const;
  std::string PathOf(const SandboxId& id) const { return folder_ + "/" + id.str(); }

  const std::string folder_;
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_JOURNAL_H_
