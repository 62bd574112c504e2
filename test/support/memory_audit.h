// An AuditLog that keeps its records, and can be told to refuse. Thread-safe.
#ifndef INTERLINK_TEST_SUPPORT_MEMORY_AUDIT_H_
#define INTERLINK_TEST_SUPPORT_MEMORY_AUDIT_H_

#include <string>
#include <vector>

#include "auth/audit_log.h"
#include "base/mutex.h"

namespace interlink::test {

class MemoryAudit final : public auth::AuditLog {
 public:
  void Append(auth::AuditRecord record) override {
    MutexLock lock(mutex_);
    records_.push_back(std::move(record));
  }
  Status MayBegin() const override {
    MutexLock lock(mutex_);
    return may_begin_;
  }
  void Stop(Duration) override {}

  void Refuse(Status why) {
    MutexLock lock(mutex_);
    may_begin_ = std::move(why);
  }
  std::vector<auth::AuditRecord> records() const {
    MutexLock lock(mutex_);
    return records_;
  }
  // "call result name=value name=value" of each.
  std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    for (const auth::AuditRecord& record : records()) {
      std::string line = record.call + " " + std::string(auth::NameOf(record.result));
      for (const auto& [name, value] : record.about) line += " " + name + "=" + value;
      lines.push_back(std::move(line));
    }
    return lines;
  }

 private:
  mutable Mutex mutex_;
  std::vector<auth::AuditRecord> records_ GUARDED_BY(mutex_);
  Status may_begin_ GUARDED_BY(mutex_);
};

}  // namespace interlink::test

#endif  // INTERLINK_TEST_SUPPORT_MEMORY_AUDIT_H_
