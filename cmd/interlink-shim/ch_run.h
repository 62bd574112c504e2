// ch-run (Charliecloud) behind the command line of an OCI runtime: README.md, "ch-run".
//
//   create   a child makes namespaces and tree, becomes ch-run, and that becomes `inside`: us
//   again,
//            in the container, before anything of the image runs. create proves where it is.
//   start    tells it to go on: it becomes the program
//   exec     a child joins the container's namespaces and becomes the program
//
//   ROOT/ID/        pid: pidfile.h, of the container's first process
//                   go, said: fifos; a byte in the one is the start, the other ends when the
//                   program runs, or has words
#ifndef INTERLINK_CMD_SHIM_CH_RUN_H_
#define INTERLINK_CMD_SHIM_CH_RUN_H_

#include <sys/types.h>

#include "launch.h"
#include "system.h"

namespace interlink::shim {

struct ChRunRequest {
  const char* program = nullptr;  // ch-run
  const char* root = nullptr;
  const char* verb = nullptr;
  const char* bundle = nullptr;
  const char* process = nullptr;
  const char* pid_file = nullptr;
  const char* console = nullptr;
  const char* id = nullptr;
};

// What a container in the making has open.
struct ContainerParts {
  Fd launch;
  Fd go;
  Fd said;
};

// Makes the container up to where it waits for its start, and proves that it is isolated; `pid` is
// our child also on failure, 0: there is none. The current directory is its folder.
Outcome MakeWithChRun(const ChRunRequest& request, const Launch& launch,
                      const ContainerParts& parts, pid_t& pid);
// KILLs our child and reaps it.
void EndChild(pid_t pid);
// Writes `pid` to the pid file of the current directory.
Outcome IdentifyInFolder(pid_t pid);
// What the shim reads (container.h, TakeRuntimePid).
Outcome WriteRuntimePid(const char* file, pid_t pid);
Outcome MakeFifo(const char* name, Fd& fifo);

Outcome SetOomScore(const Launch& launch);

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_CH_RUN_H_
