// A Log that keeps its warnings, as "message; field=value ...". Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_WARNINGS_H_
#define INTERLINK_TEST_SUPPORT_WARNINGS_H_

#include <algorithm>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"

namespace interlink::test {

class Warnings final : public Log {
 public:
  bool Enabled(LogLevel) const override { return true; }
  void Write(LogLevel level, std::string_view message,
             const std::vector<LogField>& fields) override {
    if (level != LogLevel::kWarning) return;
    std::string line(message);
    for (const LogField& field : fields) line += "; " + std::string(field.key) + "=" + field.value;
    MutexLock lock(mutex_);
    lines_.push_back(std::move(line));
  }
  // Of those with that text.
  int Count(const std::string& text) {
    MutexLock lock(mutex_);
    return static_cast<int>(std::count_if(
        lines_.begin(), lines_.end(),
        [&](const std::string& line) { return line.find(text) != std::string::npos; }));
  }

 private:
  Mutex mutex_;
  std::vector<std::string> lines_ GUARDED_BY(mutex_);
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_WARNINGS_H_
