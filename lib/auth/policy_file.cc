#include "auth/policy_file.h"

#include <unistd.h>

#include "auth/watched_file.h"
#include "base/mutex.h"

namespace interlink::auth {
namespace {

// Whoever can write the rules can do everything that they let through.
Result<Policy> ReadRules(const WatchedFile::Contents& contents, const std::string& path,
                         const PolicyFile::Parse& parse) {
  const struct stat& attributes = contents.attributes;
  if ((attributes.st_mode & 022U) != 0)
    return PermissionDenied("\"" + path + "\" can be written by others: chmod go-w \"" + path +
                            "\"");
  if (attributes.st_uid != geteuid() && attributes.st_uid != 0)
    return PermissionDenied("\"" + path + "\" belongs to another user: chown it to this one");
  return parse(contents.text, path);
}

}  // namespace

struct PolicyFile::State {
  std::string path;
  Parse parse;
  Log* log = nullptr;
  std::shared_ptr<WatchedFile> file;  // owners: this and the timer's next look
  Mutex mutex;
  std::shared_ptr<const Policy> policy GUARDED_BY(mutex);  // owners: this and who asks

  void Put(Policy fresh) {
    auto made = std::make_shared<const Policy>(std::move(fresh));
    MutexLock lock(mutex);
    policy.swap(made);
  }
  void Changed(const Result<WatchedFile::Contents>& contents) {
    auto fresh =
        contents.ok() ? ReadRules(*contents, path, parse) : Result<Policy>(contents.status());
    if (!fresh.ok()) {
      log->Error("the policy cannot be used, the rules of before stay in force",
                 {{"file", path}, {"reason", fresh.status().message()}});
      return;
    }
    const size_t count = fresh->rules().size();
    Put(*std::move(fresh));
    log->Info("the policy was read again", {{"file", path}, {"rules", std::to_string(count)}});
  }
};

Result<std::unique_ptr<PolicyFile>> PolicyFile::Open(std::string path, Parse parse, Timer& timer,
                                                     Log& log) {
  auto state = std::make_shared<State>();
  state->path = path;
  state->parse = std::move(parse);
  state->log = &log;
  // The file's callback does not own the state, which owns the file: the destructor stops it first.
  state->file = std::make_shared<WatchedFile>(
      std::move(path), timer, [raw = state.get()](const Result<WatchedFile::Contents>& contents) {
        raw->Changed(contents);
      });
  const auto contents = state->file->Read();
  if (!contents.ok()) return contents.status().WithContext("policy");
  ASSIGN_OR_RETURN(Policy policy, ReadRules(*contents, state->path, state->parse));
  state->Put(std::move(policy));
  state->file->Start(contents);
  return std::unique_ptr<PolicyFile>(
      new PolicyFile(std::move(state)));  // NOLINT: private constructor
}

PolicyFile::~PolicyFile() { state_->file->Stop(); }

std::shared_ptr<const Policy> PolicyFile::Get() const {
  MutexLock lock(state_->mutex);
  return state_->policy;
}

void PolicyFile::ReadSoon() { state_->file->ReadSoon(); }

}  // namespace interlink::auth
