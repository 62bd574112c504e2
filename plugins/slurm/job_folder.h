// The folder that the site shares with the compute nodes, and the pods' folders in it. Thread-safe;
// calls for one sandbox are the caller's to serialise.
//
//   JOBFOLDER/              with jobs of several users all folders that are not a pod's: 0711
//     layers-LINEAGE[-UID]/ image layers as jobs read them (user_layers.h)
//     agents/LINEAGE/interlink-agent-HASH   what jobs run: a copy of the site's; one that runs is
//                                           never replaced
//     pods/                 0700
//       .site-LINEAGE       made once: where it is missing, another folder is mounted here, or none
//       SANDBOX/            0700, of the job's user
//         folderless        its jobs do not see this folder: there is a claim of the hub's only
//         site              "1 LINEAGE": whose
//         ca.pem token      0600: what the agent needs to call in
//         heartbeat/        the agent beats there; renamed to `given-up`: the fence (fence.h)
//         claim own.*       who has the pod (job_script.h)
//         site-claim        the site's claim, prepared (claim.h)
//         job.log           what the job prints
//         exits/ left ...   the agent's own (lib/agent/pod_folder.h)
#ifndef INTERLINK_PLUGINS_SLURM_JOB_FOLDER_H_
#define INTERLINK_PLUGINS_SLURM_JOB_FOLDER_H_

#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "sdk/provisioner.h"
#include "slurm/file_owner.h"

namespace interlink::slurm {

class JobFolder {
 public:
  // `many_users`: jobs are of users of their own.
  JobFolder(std::string path, Lineage lineage, bool many_users = false)
      : path_(std::move(path)), lineage_(std::move(lineage)), many_users_(many_users) {}

  // Makes what is missing. `known`: pods of ours have been there. kUnavailable: then they must be
  // there, and are not. kPermissionDenied: it is another user's.
  Status Open(bool known) const;
  // It is the one that was opened. What is absent in another one proves nothing.
  Status CheckMounted() const;

  // A copy of the site's agent for the compute nodes: its path. Idempotent.
  Result<std::string> InstallAgent(const std::string& agent) const;

  std::string PodFolder(const SandboxId& id) const { return path_ + "/pods/" + id.str(); }
  // Idempotent until the first job of it is submitted; never afterwards. `shared`: its jobs see the
  // folder. `owner`: the jobs' user; nothing: this process's own.
  Status MakePod(const SandboxId& id, const sdk::AgentTicket& ticket, bool shared,
                 const std::optional<FileOwner>& owner = std::nullopt) const;
  // As it was made.
  Result<bool> IsShared(const SandboxId& id) const;
  // Whose it is; nothing: this process's own user's.
  Result<std::optional<FileOwner>> OwnerOf(const SandboxId& id) const;
  // Those of our lineage.
  Result<std::vector<SandboxId>> Pods() const;
  // Absent is OK.
  Status RemovePod(const SandboxId& id) const;

 private:
  Status WritePod(const std::string& pod, const sdk::AgentTicket& ticket, bool shared) const;
  Status LetUsersIn(const std::string& folder) const;
  std::string Marker() const { return path_ + "/pods/.site-" + lineage_.str(); }

  const std::string path_;
  const Lineage lineage_;
  const bool many_users_;
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_JOB_FOLDER_H_
