// The daemons' log: base/log.h on spdlog.
//
//   text   2026-01-02T03:04:05.678Z info the link is made site=west link=3 error="what it said"
//   json   {"time":"2026-01-02T03:04:05.678Z","level":"info","message":"the link is
//   made","site":...}
//
// One line an event, whatever a field holds: control characters are escaped, bytes that are no
// UTF-8 too, and a value longer than 8 KiB is cut.
#ifndef INTERLINK_TELEMETRY_LOG_H_
#define INTERLINK_TELEMETRY_LOG_H_

#include <memory>

#include "base/log.h"

namespace interlink::telemetry {

struct LogOptions {
  bool verbose = false;      // VerboseLogging: debug too
  bool errors_only = false;  // ErrorsOnlyLogging; wins over verbose
  bool json = false;
};

class DaemonLog : public Log {
 public:
  // From now on. `json` stays as it was.
  virtual void SetLevel(const LogOptions& options) = 0;
};

// To standard error. Thread-safe. Every line is handed to the kernel before Write returns, so a
// crash loses none.
std::unique_ptr<DaemonLog> OpenLog(const LogOptions& options);

}  // namespace interlink::telemetry

#endif  // INTERLINK_TELEMETRY_LOG_H_
