// Keeps the memory of a daemon, which holds keys, tokens and environments of pods, out of core
// dumps.
#ifndef INTERLINK_BASE_CORE_DUMP_H_
#define INTERLINK_BASE_CORE_DUMP_H_

#include "base/log.h"

namespace interlink {

// Of root's process: it makes no core dump, and nobody but root traces it (prctl(2),
// PR_SET_DUMPABLE). Children that execute a program are as usual. Another user's process is left as
// it is, since it could not read its own /proc any more: its unit has LimitCORE=0. Builds with a
// sanitizer, whose leak check traces the process, are left too. What fails is a warning. Before
// threads and children.
void StayOutOfCoreDumps(Log& log);

}  // namespace interlink

#endif  // INTERLINK_BASE_CORE_DUMP_H_
