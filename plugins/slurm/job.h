// What SLURM says of one job. Value types.
#ifndef INTERLINK_PLUGINS_SLURM_JOB_H_
#define INTERLINK_PLUGINS_SLURM_JOB_H_

#include <compare>
#include <cstdint>
#include <string>

namespace interlink::slurm {

// A job id alone means nothing: ids are handed out again after a controller lost its last seconds.
struct JobIdentity {
  uint64_t id = 0;
  std::string name;
  int64_t submit_time = 0;  // seconds of 1970; 0: not seen yet

  friend auto operator<=>(const JobIdentity&, const JobIdentity&) = default;
};

// Of the batch script, lossless (squeue); sacct has lost bit 7 of `code`.
struct JobExit {
  int code = 0;
  int signal = 0;

  friend bool operator==(const JobExit&, const JobExit&) = default;
};

struct Job {
  JobIdentity identity;
  std::string state;   // "RUNNING", as SLURM writes it
  std::string reason;  // "Resources"; "None"
  JobExit exit;
  int restarts = 0;
  int64_t start_time = 0;  // of a job that waits: expected; seconds of 1970, 0: unknown
  int64_t end_time = 0;
  std::string batch_host;  // empty: none yet
  uint32_t user = 0;       // the number of whose it is
};

}  // namespace interlink::slurm

#endif  // INTERLINK_PLUGINS_SLURM_JOB_H_
