// kubelet's log files on the node: adapter of lib/node/log_files.h. Thread-safe.
//
// One thread writes. It writes whole lines only, so that what it reports as durable always ends
// with a line, and a torn line in a file can only come from a crash and is sent again. A file that
// cannot be written (disk full) is tried again with back-off, up to 5 s, and holds up no other.
#ifndef INTERLINK_CRI_LOG_CRI_LOG_H_
#define INTERLINK_CRI_LOG_CRI_LOG_H_

#include <memory>

#include "base/log.h"
#include "base/metrics.h"
#include "node/log_files.h"

namespace interlink::cri_log {

// `log` and `metrics` outlive it. Its death writes out what can be written at once; the site still
// has the rest. Durable and done callbacks run until then; SetDurable({}) returns after the last
// call of the old one.
std::unique_ptr<node::LogFiles> Open(Log& log, Metrics& metrics);

}  // namespace interlink::cri_log

#endif  // INTERLINK_CRI_LOG_CRI_LOG_H_
