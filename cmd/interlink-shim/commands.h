// The commands of interlink-shim: one function each, in the file of its theme. `argc`, `argv`: what
// stands behind the command's name. The process's exit code is returned.
#ifndef INTERLINK_CMD_SHIM_COMMANDS_H_
#define INTERLINK_CMD_SHIM_COMMANDS_H_

namespace interlink::shim {

int CommandRun(int argc, char** argv);
int CommandEnd(int argc, char** argv);
int CommandOci(int argc, char** argv);
int CommandPin(int argc, char** argv);
int CommandUnpin(int argc, char** argv);
int CommandInit(int argc, char** argv);
int CommandDial(int argc, char** argv);
int CommandSupervise(int argc, char** argv);
int CommandChRun(int argc, char** argv);
int CommandInside(int argc, char** argv);

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_COMMANDS_H_
