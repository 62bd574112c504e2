// The file systems of a container below its root, for an engine that takes a root as it finds it.
#ifndef INTERLINK_CMD_SHIM_TREE_H_
#define INTERLINK_CMD_SHIM_TREE_H_

#include "launch.h"
#include "system.h"

namespace interlink::shim {

// Mounts what `launch` tells below its root, every place as the container would find it: links lead
// to nowhere else. Makes places that are missing, and the usual devices in /dev.
// REQUIRES: the mount namespace is ours alone; in the pid namespace of the container.
Outcome BuildTree(const Launch& launch);

// Makes the first terminal of the root's /dev/pts, its /dev/console too. REQUIRES: BuildTree was
// OK.
Outcome OpenTerminal(const char* root, Fd& master);

// Puts the root's /dev, /proc and /sys in the place of the machine's, and nothing in that of its
// /etc: ch-run takes all of them from the machine. EINVAL: the root could not be found then.
Outcome PutInPlace(const char* root);

}  // namespace interlink::shim

#endif  // INTERLINK_CMD_SHIM_TREE_H_
