#include "telemetry/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>

#include "telemetry/log_text.h"

namespace interlink::telemetry {
namespace {

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

LogLevel LevelOf(const LogOptions& options) {
  if (options.errors_only) return LogLevel::kError;
  return options.verbose ? LogLevel::kDebug : LogLevel::kInfo;
}

class SpdLog final : public DaemonLog {
 public:
  explicit SpdLog(const LogOptions& options)
      : level_(LevelOf(options)),
        json_(options.json),
        logger_("interlink", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    const std::string time = "%Y-%m-%dT%H:%M:%S.%eZ";
    logger_.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        json_ ? R"({"time":")" + time + R"(","level":"%l",%v})" : time + " %l %v",
        spdlog::pattern_time_type::utc));
    logger_.set_level(spdlog::level::trace);  // Enabled decides
    logger_.flush_on(spdlog::level::trace);
  }

  bool Enabled(LogLevel level) const override { return level >= level_; }
  void SetLevel(const LogOptions& options) override { level_ = LevelOf(options); }

  void Write(LogLevel level, std::string_view message,
             const std::vector<LogField>& fields) override {
    if (!Enabled(level)) return;
    const std::string line = json_ ? ToLogJson(message, fields) : ToLogText(message, fields);
    // The overload without formatting: a brace in a value is no placeholder. spdlog catches what
    // its sink throws and tells standard error.
    logger_.log(LevelOf(level), spdlog::string_view_t(line));
  }

 private:
  std::atomic<LogLevel> level_;
  const bool json_;
  spdlog::logger logger_;
};

}  // namespace

std::unique_ptr<DaemonLog> OpenLog(const LogOptions& options) {
  return std::make_unique<SpdLog>(options);
}

}  // namespace interlink::telemetry
