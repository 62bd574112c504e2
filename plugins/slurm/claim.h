// The claim of a pod, from the site's side: the files are drawn in job_script.h. Thread-safe.
#ifndef INTERLINK_PLUGINS_SLURM_CLAIM_H_
#define INTERLINK_PLUGINS_SLURM_CLAIM_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace interlink::slurm {

struct Claim {
  std::string nonce;  // "site-..." when the site has it
  uint64_t job = 0;   // 0 for the site
  int restarts = 0;
  std::string host;
  std::string boot;  // the machine's boot id

  bool IsSite() const { return nonce.rfind("site-", 0) == 0; }
};

// The lines of a claim's file. kDataLoss: they are not such.
Result<Claim> ParseClaim(std::string_view text);

// Who has the pod; nothing: nobody yet, which may change at any moment. kDataLoss: the file is
// garbled. Else: the folder cannot be read.
Result<std::optional<Claim>> ReadClaim(const std::string& pod_folder);

// Writes what the site's claim is made of, so that to take it needs no room on the disk.
// Idempotent.
Status PrepareClaim(const std::string& pod_folder);

// Takes the claim for the site, so that no job that waits can ever run this pod, or tells who was
// first. Idempotent: a claim that the site has stays the site's. Durable when it returns. An error:
// unknown whether it was taken; repeat.
Result<Claim> TakeClaim(const std::string& pod_folder);

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_CLAIM_H_
