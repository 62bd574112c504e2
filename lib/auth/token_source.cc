#include "auth/token_source.h"

#include "auth/watched_file.h"
#include "base/mutex.h"

namespace interlink::auth {
namespace {

constexpr size_t kMaxToken = 16384;

}  // namespace

struct TokenSource::State {
  std::string path;
  Log* log = nullptr;
  std::shared_ptr<WatchedFile> file;  // owners: this and the timer's next look
  Mutex mutex;
  std::string token GUARDED_BY(mutex);
  Status why_not GUARDED_BY(mutex);
  bool warned GUARDED_BY(mutex) = false;

  void Changed(const Result<WatchedFile::Contents>& contents) {
    auto fresh = contents.ok() ? Parse(contents->text) : Result<std::string>(contents.status());
    bool warn = false;
    Status why;
    {
      MutexLock lock(mutex);
      if (fresh.ok()) {
        token = *std::move(fresh);
        why_not = {};
        warn = (contents->attributes.st_mode & 077U) != 0 && !warned;
        warned = warned || warn;
      } else {
        why = fresh.status().WithContext("token file \"" + path + "\"");
        why_not = Unavailable(why.message());
      }
    }
    if (warn)
      log->Warning("others may read the bearer token: set the mode of its file to 0600",
                   {{"file", path}});
    if (!why.ok())
      log->Error("there is no new bearer token, an older one stays in use",
                 {{"reason", why.message()}});
  }
};

Result<std::string> TokenSource::Parse(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return InvalidArgument("it holds no token");
  const std::string_view token = text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
  if (token.size() > kMaxToken)
    return InvalidArgument("the token is longer than " + std::to_string(kMaxToken) + " characters");
  for (const char c : token) {
    if (c <= 0x20 || c >= 0x7f)
      return InvalidArgument("a token is one line of visible ASCII characters");
  }
  return std::string(token);
}

TokenSource::TokenSource(std::string path, Timer& timer, Log& log)
    : state_(std::make_shared<State>()) {
  state_->path = path;
  state_->log = &log;
  // The file's callback does not own the state, which owns the file: the destructor stops it first.
  state_->file = std::make_shared<WatchedFile>(
      std::move(path), timer, [raw = state_.get()](const Result<WatchedFile::Contents>& contents) {
        raw->Changed(contents);
      });
  const auto contents = state_->file->Read();
  state_->Changed(contents);
  state_->file->Start(contents);
}

TokenSource::~TokenSource() { state_->file->Stop(); }

Result<std::string> TokenSource::Token() const {
  MutexLock lock(state_->mutex);
  if (state_->token.empty()) return state_->why_not;
  return state_->token;
}

void TokenSource::Refused() { state_->file->ReadSoon(); }

}  // namespace interlink::auth
