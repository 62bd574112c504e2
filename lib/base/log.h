// The logging interface of every layer; lib/telemetry implements it. Thread-safe.
//
// Log or return, never both. Never log credentials, tokens, environment values: a protobuf message
// reaches the log only through wire's RedactedDebug().
#ifndef INTERLINK_BASE_LOG_H_
#define INTERLINK_BASE_LOG_H_

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace interlink {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// A key of a structured log line, e.g. {"sandbox", id}.
struct LogField {
  std::string_view key;
  std::string value;
};

class Log {
 public:
  virtual ~Log() = default;
  virtual bool Enabled(LogLevel level) const = 0;
  // `message` is a constant sentence; what varies goes into fields.
  virtual void Write(LogLevel level, std::string_view message,
                     const std::vector<LogField>& fields) = 0;

  void Debug(std::string_view message, std::initializer_list<LogField> fields = {});
  void Info(std::string_view message, std::initializer_list<LogField> fields = {});
  void Warning(std::string_view message, std::initializer_list<LogField> fields = {});
  void Error(std::string_view message, std::initializer_list<LogField> fields = {});
};

// Writes nothing: for tests and for tools that print by themselves.
class NullLog final : public Log {
 public:
  bool Enabled(LogLevel) const override { return false; }
  void Write(LogLevel, std::string_view, const std::vector<LogField>&) override {}
};

}  // namespace interlink

#endif  // INTERLINK_BASE_LOG_H_
