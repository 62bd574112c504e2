// StderrLog: the agent's log, one line each on stderr, which is the job's output. Thread-safe.
#ifndef INTERLINK_CMD_AGENT_STDERR_LOG_H_
#define INTERLINK_CMD_AGENT_STDERR_LOG_H_

#include <string_view>
#include <vector>

#include "base/log.h"

namespace interlink::cmd_agent {

class StderrLog final : public Log {
 public:
  bool Enabled(LogLevel level) const override { return level >= LogLevel::kInfo; }
  void Write(LogLevel level, std::string_view message,
             const std::vector<LogField>& fields) override;
};

}  // namespace interlink::cmd_agent

#endif  // INTERLINK_CMD_AGENT_STDERR_LOG_H_
