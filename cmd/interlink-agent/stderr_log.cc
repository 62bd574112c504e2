#include "stderr_log.h"

#include <unistd.h>

#include <string>

#include "base/clock.h"

namespace interlink::cmd_agent {
namespace {

std::string_view Name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

// A line stays a line.
std::string Quoted(const std::string& value) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    text += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return text + "\"";
}

}  // namespace

void StderrLog::Write(LogLevel level, std::string_view message,
                      const std::vector<LogField>& fields) {
  std::string line = FormatRfc3339(SystemClock().WallNanos());
  line += " ";
  line += Name(level);
  line += " interlink-agent: ";
  line += message;
  for (const LogField& field : fields) {
    line += " ";
    line += field.key;
    line += "=";
    line += Quoted(field.value);
  }
  line += "\n";
  // In one piece; a full disk or a closed pipe is no reason to stop a pod.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace interlink::cmd_agent
