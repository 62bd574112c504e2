// Pure: the variable part of a log line. Thread-safe.
#ifndef INTERLINK_TELEMETRY_LOG_TEXT_H_
#define INTERLINK_TELEMETRY_LOG_TEXT_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace interlink::telemetry {

// message key=value key="quoted value". A value is quoted when it is empty or holds a space, '=',
// '"', '\' or anything that had to be escaped.
std::string ToLogText(std::string_view message, const std::vector<LogField>& fields);

// "message":"...","key":"..." without the braces, ASCII. A field named like one of the line's own
// (time, level, message) or like an earlier one gets a '_' behind its name.
std::string ToLogJson(std::string_view message, const std::vector<LogField>& fields);

}  // namespace interlink::telemetry

#endif  // INTERLINK_TELEMETRY_LOG_TEXT_H_
