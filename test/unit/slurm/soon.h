// A call with time enough, for all tests of this folder.
#ifndef INTERLINK_TEST_UNIT_SLURM_SOON_H_
#define INTERLINK_TEST_UNIT_SLURM_SOON_H_

#include <chrono>

#include "base/call.h"

namespace interlink::slurm {

inline Call Soon() { return Call::WithTimeout(std::chrono::seconds(20)); }

}  // namespace interlink::slurm

#endif  // INTERLINK_TEST_UNIT_SLURM_SOON_H_
