// A configuration that is read again while its daemon runs: all of it is read and checked, then
// what can be put in force is, at once; or nothing changes.
#ifndef INTERLINK_CONFIG_RELOAD_H_
#define INTERLINK_CONFIG_RELOAD_H_

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "config/schema.h"

namespace interlink::config {

// Something beside the configuration that is read from files of its own: certificates, a policy.
struct ReloadedPart {
  std::string name;  // "policy"
  // Reads and checks; what it returns puts it in force and cannot fail.
  std::function<Result<std::function<void()>>()> prepare;
};

// Paths of the keys whose values differ, in the table's order. REQUIRES: both are of one format.
std::vector<std::string> ChangedKeys(const Keys& before, const Keys& after);

// What a reload did, in lines for a person. `live`: changed keys that are in force now.
std::string ReloadText(const std::vector<ReloadedPart>& parts, const std::vector<std::string>& live,
                       const std::vector<std::string>& at_restart);

// Thread-safe.
template <typename Config>
class Reloader {
 public:
  struct Format {
    std::function<Result<Config>()> load;  // the same files and variables again
    std::function<Keys(Config*)> keys;
    std::set<std::string> live;  // keys that `take` puts in force
    // Puts the live keys of `fresh` in force, and notes them in `running`.
    std::function<void(const Config& fresh, Config* running)> take;
  };
  Reloader(Config running, Format format, std::vector<ReloadedPart> parts)
      : format_(std::move(format)), parts_(std::move(parts)), running_(std::move(running)) {}

  // What is in force now and what waits for a restart. Not OK: nothing was changed; the text says
  // why, with file and line. Blocks on a disk.
  Result<std::string> Reload() {
    MutexLock lock(mutex_);
    auto fresh = format_.load();
    if (!fresh.ok()) return Unchanged(fresh.status(), "configuration");
    std::vector<std::function<void()>> commits;
    for (const ReloadedPart& part : parts_) {
      auto prepared = part.prepare();
      if (!prepared.ok()) return Unchanged(prepared.status(), part.name);
      commits.push_back(*std::move(prepared));
    }
    std::vector<std::string> live;
    std::vector<std::string> at_restart;
    for (const std::string& path : ChangedKeys(format_.keys(&running_), format_.keys(&*fresh)))
      (format_.live.contains(path) ? live : at_restart).push_back(path);
    for (const auto& commit : commits) commit();
    format_.take(*fresh, &running_);
    return ReloadText(parts_, live, at_restart);
  }

 private:
  static Status Unchanged(const Status& why, const std::string& what) {
    return {why.code(), "nothing was changed: " + what + ": " + why.message()};
  }

  const Format format_;
  const std::vector<ReloadedPart> parts_;
  Mutex mutex_;
  Config running_ GUARDED_BY(mutex_);
};

}  // namespace interlink::config

#endif  // INTERLINK_CONFIG_RELOAD_H_
