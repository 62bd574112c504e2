#include "auth/watched_tls.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "auth/watched_file.h"
#include "base/mutex.h"

namespace interlink::auth {
namespace {

constexpr auto kTogether = std::chrono::seconds(1);
constexpr auto kAnotherTry = std::chrono::minutes(1);

}  // namespace

struct WatchedTls::State : public std::enable_shared_from_this<State> {
  State(std::shared_ptr<net::TlsContext> given, Timer& for_timer, Log& for_log,
        std::function<void()> then)
      : context(std::move(given)), timer(for_timer), log(for_log), renewed(std::move(then)) {}

  // In place of what was planned before.
  void Plan(Duration pause) {
    MutexLock lock(mutex);
    if (stopped) return;
    if (next) timer.Cancel(*next);
    next = timer.After(pause, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->Reload();
    });
  }

  void Reload() {
    const MutexLock at_work(work);
    {
      MutexLock lock(mutex);
      if (stopped) return;
    }
    const Status done = context->Reload();
    if (!done.ok()) {
      if (done.message() != trouble) {
        log.Error("changed TLS files cannot be used, those of before stay in force",
                  {{"file", Name()}, {"reason", done.message()}});
      }
      trouble = done.message();
      return Plan(kAnotherTry);
    }
    trouble.clear();
    Taken();
  }

  void Taken() {
    log.Info("TLS files were read again", {{"file", Name()}});
    if (renewed) renewed();
  }
  // Of them, the one to tell.
  const std::string& Name() const {
    const net::TlsFiles& paths = context->files();
    return paths.cert_file.empty() ? paths.ca_file : paths.cert_file;
  }

  const std::shared_ptr<net::TlsContext> context;  // owners: this and its users
  Timer& timer;
  Log& log;
  const std::function<void()> renewed;
  std::vector<std::shared_ptr<WatchedFile>> files;  // owners: this and the timer's next looks
  Mutex work;  // held while it reloads: who ends this waits for it
  std::string trouble GUARDED_BY(work);
  Mutex mutex;
  bool stopped GUARDED_BY(mutex) = false;
  std::optional<Timer::Key> next GUARDED_BY(mutex);
};

WatchedTls::WatchedTls(std::shared_ptr<net::TlsContext> context, Timer& timer, Log& log,
                       std::function<void()> renewed)
    : state_(std::make_shared<State>(std::move(context), timer, log, std::move(renewed))) {
  const net::TlsFiles& files = state_->context->files();
  for (const std::string& path : {files.cert_file, files.key_file, files.ca_file, files.crl_file}) {
    if (path.empty()) continue;
    // As in TokenFile: the callback does not own the state, which owns the file.
    const auto file = std::make_shared<WatchedFile>(
        path, timer,
        [raw = state_.get()](const Result<WatchedFile::Contents>&) { raw->Plan(kTogether); });
    file->Start(file->Read());
    state_->files.push_back(file);
  }
  // After the first looks: a change before them is read here, one after them is seen.
  state_->Reload();
}

WatchedTls::~WatchedTls() {
  for (const auto& file : state_->files) file->Stop();
  {
    MutexLock lock(state_->mutex);
    state_->stopped = true;
    if (state_->next) state_->timer.Cancel(*state_->next);
  }
  const MutexLock at_work(state_->work);
}

Result<std::function<void()>> WatchedTls::Prepare() {
  // Looked at first: a change while they are read, or after, differs from this.
  std::vector<Result<WatchedFile::Contents>> seen;
  for (const auto& file : state_->files) seen.push_back(file->Read());
  ASSIGN_OR_RETURN(auto take, state_->context->Prepare());
  return std::function<void()>([state = state_, seen = std::move(seen), take = std::move(take)] {
    const MutexLock at_work(state->work);
    take();
    for (size_t i = 0; i < seen.size(); ++i) state->files[i]->Accept(seen[i], nullptr);
    state->Taken();
  });
}

}  // namespace interlink::auth
