// What squeue and sacct print, with whatever a user has put into a job's name, and the values that
// a pod's annotations give.
#include <cstdint>
#include <string_view>

#include "slurm/accounting.h"
#include "slurm/job_list.h"
#include "slurm/job_values.h"
#include "slurm_wishes/sbatch_flags.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace interlink::slurm;  // NOLINT(google-build-using-namespace): a program of one
                                     // function
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  static_cast<void>(ParseJobList(text, "%mark%"));
  static_cast<void>(ParseAccounting(text));
  static_cast<void>(ParseJobExit(text));
  static_cast<void>(ParseCpus(text));
  static_cast<void>(ParseMemoryMib(text));
  static_cast<void>(ParseTimeMinutes(text));
  static_cast<void>(ParseGres(text));
  static_cast<void>(ParseGpus(text));
  static_cast<void>(ParseConstraint(text));
  static_cast<void>(interlink::slurm_wishes::ParseIncumbentFlags(text));
  return 0;
}
