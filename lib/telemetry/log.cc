#include "telemetry/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace interlink::telemetry {
namespace {

constexpr size_t kMaxValue = 2048;

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
  return spdlog::level::info;
}

class SpdLog final : public Log {
 public:
  explicit SpdLog(const LogOptions& options)
      : logger_("interlink", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %l %v", spdlog::pattern_time_type::utc);
    logger_.set_level(options.errors_only ? spdlog::level::err
                      : options.verbose   ? spdlog::level::debug
                                          : spdlog::level::info);
    logger_.flush_on(spdlog::level::debug);
  }

  bool Enabled(LogLevel level) const override { return logger_.should_log(LevelOf(level)); }

  void Write(LogLevel level, std::string_view message,
             const std::vector<LogField>& fields) override {
    std::string line(message);
    for (const LogField& field : fields) {
      line += ' ';
      line += field.key;
      line += '=';
      line += QuoteValue(field.value);
    }
    logger_.log(LevelOf(level), "{}", line);
  }

 private:
  spdlog::logger logger_;
};

}  // namespace

std::string QuoteValue(const std::string& text) {
  const auto plain = [](char c) {
    return c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f;
  };
  bool bare = !text.empty() && text.size() <= kMaxValue;
  for (size_t i = 0; bare && i < text.size(); ++i) bare = plain(text[i]);
  if (bare) return text;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : std::string_view(text).substr(0, kMaxValue)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += "\\x";
      quoted += kDigits[byte >> 4U];
      quoted += kDigits[byte & 15U];
    } else {
      quoted += c;
    }
  }
  if (text.size() > kMaxValue) quoted += "...";
  return quoted + "\"";
}

std::unique_ptr<Log> OpenLog(const LogOptions& options) {
  return std::make_unique<SpdLog>(options);
}

}  // namespace interlink::telemetry
