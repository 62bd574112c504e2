// Logging on spdlog, behind base/log.h: one line per event, "time level message key=value ...",
// values quoted where needed. Thread-safe.
#ifndef INTERLINK_TELEMETRY_LOG_H_
#define INTERLINK_TELEMETRY_LOG_H_

#include <memory>
#include <string>

#include "base/log.h"

namespace interlink::telemetry {

struct LogOptions {
  bool verbose = false;      // VerboseLogging: debug too
  bool errors_only = false;  // ErrorsOnlyLogging; wins over verbose
};

// To standard error.
std::unique_ptr<Log> OpenLog(const LogOptions& options);

// `text` as the value of a field: bare when it is plain, else quoted with control characters
// escaped, so that no value can forge a line. Cut after 2048 bytes.
std::string QuoteValue(const std::string& text);

}  // namespace interlink::telemetry

#endif  // INTERLINK_TELEMETRY_LOG_H_
