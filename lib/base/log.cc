#include "base/log.h"

namespace interlink {

void Log::Debug(std::string_view message, std::initializer_list<LogField> fields) {
  if (Enabled(LogLevel::kDebug)) Write(LogLevel::kDebug, message, fields);
}
void Log::Info(std::string_view message, std::initializer_list<LogField> fields) {
  if (Enabled(LogLevel::kInfo)) Write(LogLevel::kInfo, message, fields);
}
void Log::Warning(std::string_view message, std::initializer_list<LogField> fields) {
  if (Enabled(LogLevel::kWarning)) Write(LogLevel::kWarning, message, fields);
}
void Log::Error(std::string_view message, std::initializer_list<LogField> fields) {
  if (Enabled(LogLevel::kError)) Write(LogLevel::kError, message, fields);
}

}  // namespace interlink
