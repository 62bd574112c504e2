// Terminals: who makes one sends its master over a socket, crun or we for ch-run.
#ifndef INTERLINK_CMD_SHIM_CONSOLE_H_
#define INTERLINK_CMD_SHIM_CONSOLE_H_

#include "shim/messages.h"
#include "system.h"

namespace interlink::shim {

// Listens on `name` in the current directory.
Outcome ListenConsole(const char* name, Fd& listener);
// Takes the master that crun has sent, and unlinks `name`. REQUIRES: crun has ended with success.
Outcome TakeConsole(const char* name, Fd listener, Fd& master);

// Sends `fd` over the Unix socket, with one byte.
Outcome SendDescriptor(int socket_fd, int fd);

// Connects to who takes a console; nullptr is nobody.
Outcome ConnectConsole(const char* path, Fd& connected);
// Opens the slave of a new terminal, which nobody has opened yet.
Outcome OpenSlave(const Fd& master, Fd& slave);
// Sends the terminal's master to `console`, and makes its slave what we read from and write to.
// REQUIRES: we lead our session, which has no terminal.
Outcome TakeTerminal(const Fd& console, const Fd& master);

bool ResizeConsole(int master, const WindowSize& size);
// Writes what the terminal takes for the end of input, when it reads lines.
void WriteEndOfInput(int master);

// A path of a file in our current directory that other processes can use, however deep that is.
void AddOurPath(TextBuffer& path, std::string_view name);

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_CONSOLE_H_
