// Internal: a value that is read from a small file and follows it. Thread-safe.
//
// What cannot be used changes nothing: it is said in the log, once per change of the file.
#ifndef INTERLINK_AUTH_WATCHED_VALUE_H_
#define INTERLINK_AUTH_WATCHED_VALUE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "auth/watched_file.h"
#include "base/log.h"
#include "base/mutex.h"

namespace interlink::auth {

template <typename T>
class WatchedValue {
 public:
  struct Format {
    std::function<Result<T>(const WatchedFile::Contents&)> read;
    std::function<size_t(const T&)> count;
    // What a person should know of one that is in force; "": nothing.
    std::function<std::string(const T&)> warn = [](const T&) { return std::string(); };
  };
  // Constant texts.
  struct Words {
    std::string what;          // of an error of Open: "policy"
    std::string refused;       // "the policy cannot be used, the rules of before stay in force"
    std::string taken;         // "the policy was read again"
    std::string counted;       // the field with how much it is: "rules"
    std::string warning = {};  // of Format::warn
  };

  // Errors: of the file, and of `format.read`. `timer` and `log` outlive the result.
  static Result<std::unique_ptr<WatchedValue>> Open(std::string path, Words words, Format format,
                                                    Timer& timer, Log& log) {
    std::unique_ptr<WatchedValue> value(  // NOLINT: private constructor
        new WatchedValue(path, std::move(words), std::move(format), log));
    // The callback does not own the value, which owns the file: the destructor stops it first.
    value->file_ = std::make_shared<WatchedFile>(
        std::move(path), timer, [raw = value.get()](const auto& contents) { raw->Take(contents); });
    const auto contents = value->file_->Read();
    if (!contents.ok()) return contents.status().WithContext(value->words_.what);
    ASSIGN_OR_RETURN(T first, value->format_.read(*contents));
    value->Warn(first);
    {
      MutexLock lock(value->mutex_);
      value->value_ = std::make_shared<const T>(std::move(first));
    }
    value->file_->Start(contents);
    return value;
  }
  ~WatchedValue() { file_->Stop(); }
  WatchedValue(const WatchedValue&) = delete;
  WatchedValue& operator=(const WatchedValue&) = delete;

  // As it is now. Owners: this and who asks.
  std::shared_ptr<const T> Get() const {
    MutexLock lock(mutex_);
    return value_;
  }
  // Reads and checks the file, changed or not; what it returns puts it in force, until the next
  // look when the file has changed in between. Not OK: why it cannot be used. Blocks on a disk.
  // This outlives the result.
  Result<std::function<void()>> Prepare() {
    const auto contents = file_->Read();
    if (!contents.ok()) return contents.status();
    ASSIGN_OR_RETURN(T fresh, format_.read(*contents));
    auto made = std::make_shared<const T>(std::move(fresh));
    return std::function<void()>(
        [this, contents, made] { file_->Accept(contents, [this, made] { Put(made); }); });
  }

 private:
  WatchedValue(std::string path, Words words, Format format, Log& log)
      : path_(std::move(path)), words_(std::move(words)), format_(std::move(format)), log_(log) {}

  void Put(const std::shared_ptr<const T>& fresh) {
    {
      MutexLock lock(mutex_);
      value_ = fresh;
    }
    const size_t count = format_.count(*fresh);
    log_.Info(words_.taken, {{"file", path_}, {words_.counted, std::to_string(count)}});
    Warn(*fresh);
  }
  void Warn(const T& value) {
    std::string why = format_.warn(value);
    if (!why.empty()) log_.Warning(words_.warning, {{"file", path_}, {"why", std::move(why)}});
  }
  void Take(const Result<WatchedFile::Contents>& contents) {
    Result<T> fresh = contents.ok() ? format_.read(*contents) : Result<T>(contents.status());
    if (fresh.ok()) return Put(std::make_shared<const T>(*std::move(fresh)));
    log_.Error(words_.refused, {{"file", path_}, {"reason", fresh.status().message()}});
  }

  const std::string path_;
  const Words words_;
  const Format format_;
  Log& log_;
  std::shared_ptr<WatchedFile> file_;  // owners: this and the timer's next look
  mutable Mutex mutex_;
  std::shared_ptr<const T> value_ GUARDED_BY(mutex_);  // owners: this and who asks
};

}  // namespace interlink::auth

#endif  // INTERLINK_AUTH_WATCHED_VALUE_H_
