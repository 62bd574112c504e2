#include "auth/issuer_keys.h"

#include <algorithm>
#include <optional>

#include "auth/issuer_http.h"
#include "auth/watched_file.h"
#include "base/mutex.h"
#include "net/http_client.h"
#include "net/tls.h"

namespace interlink::auth {
namespace {

constexpr size_t kMostDocument = 1U << 20U;

}  // namespace

// One reading at a time:
//
//   resting --timer, or a key that is not known--> reading --good--> resting, refresh_every
//                                                       '---bad----> resting, later each time
struct IssuerKeys::State : public std::enable_shared_from_this<State> {
  State(IssuerKeysOptions given, net::Io& for_io, Timer& for_timer, Log& for_log)
      : options(std::move(given)), io(for_io), timer(for_timer), log(for_log) {}

  void ReadFileNow(const Result<WatchedFile::Contents>& contents);
  void Begin();
  void Fetch(const std::string& url, std::function<void(Result<std::string>)> then);
  void TakeDiscovery(const Result<std::string>& document);
  void TakeKeys(const Result<std::string>& document);
  void Settle(Result<JwkSet> keys);
  bool Stopped();
  // Soon: a key was not known.
  void Hurry();
  void ScheduleLocked(Duration pause) REQUIRES_LOCK(mutex);

  const IssuerKeysOptions options;
  net::Io& io;
  Timer& timer;
  Log& log;
  std::shared_ptr<const net::TlsContext> tls;
  std::shared_ptr<WatchedFile> file;  // owners: this and the timer's next look; null: it is asked

  Mutex work;  // held while something of a reading runs: who ends this waits for it
  Mutex mutex;
  std::shared_ptr<const JwkSet> keys GUARDED_BY(mutex);  // owners: this, readers; null: none yet
  std::string trouble GUARDED_BY(mutex);                 // why the last reading failed
  Duration pause GUARDED_BY(mutex) = Duration::zero();   // after it
  bool reading GUARDED_BY(mutex) = false;
  bool stopped GUARDED_BY(mutex) = false;
  SteadyTime began GUARDED_BY(mutex){};  // the last reading
  SteadyTime limit GUARDED_BY(mutex){};
  std::optional<Timer::Key> next GUARDED_BY(mutex);
  std::shared_ptr<net::HttpClient> client GUARDED_BY(mutex);  // owners: this, Fetch
};

void IssuerKeys::State::ReadFileNow(const Result<WatchedFile::Contents>& contents) {
  Settle(contents.ok() ? JwkSet::Parse(contents->text) : Result<JwkSet>(contents.status()));
}

bool IssuerKeys::State::Stopped() {
  MutexLock lock(mutex);
  return stopped;
}

void IssuerKeys::State::ScheduleLocked(Duration after) {
  if (stopped || file) return;
  if (next) timer.Cancel(*next);
  next = timer.After(after, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Begin();
  });
}

void IssuerKeys::State::Begin() {
  const MutexLock at_work(work);
  {
    MutexLock lock(mutex);
    if (stopped || reading) return;
    reading = true;
    began = std::chrono::steady_clock::now();
    limit = began + options.fetch_within;
  }
  Fetch(DiscoveryUrl(options.issuer),
        [self = shared_from_this()](const Result<std::string>& document) {
          self->TakeDiscovery(document);
        });
}

void IssuerKeys::State::Fetch(const std::string& url,
                              std::function<void(Result<std::string>)> then) {
  const auto target = TrustedUrl(url);
  if (!target.ok()) return then(target.status());
  net::HttpClientOptions http;
  http.endpoint.host = target->host;
  http.endpoint.port = target->port;
  if (target->scheme == "https") http.endpoint.tls = tls;
  http.max_idle = 0;
  http.max_response = kMostDocument;
  net::HttpRequest request;
  request.method = "GET";
  request.target = target->target;
  // RFC 7517, 8.5: issuers name a key set by either.
  request.headers.Set("Accept", "application/json, application/jwk-set+json");
  const auto asked = std::make_shared<net::HttpClient>(io, std::move(http));
  auto old = asked;  // owners: this; the one of before ends without the lock
  Duration left{};
  {
    MutexLock lock(mutex);
    if (stopped) return;
    left = limit - std::chrono::steady_clock::now();
    client.swap(old);
  }
  asked->DoAsync(
      Call::WithTimeout(left), std::move(request), true,
      [self = shared_from_this(), then = std::move(then)](Result<net::HttpResponse> answer) {
        const MutexLock at_work(self->work);
        if (self->Stopped()) return;
        Status good = answer.ok() ? CheckIssuerAnswer(*answer) : answer.status();
        if (!good.ok()) return then(std::move(good));
        then(std::move(answer->body));
      });
}

void IssuerKeys::State::TakeDiscovery(const Result<std::string>& document) {
  if (!document.ok()) return Settle(document.status());
  const auto url = DiscoveredUrl(*document, options.issuer, "jwks_uri");
  if (!url.ok()) return Settle(url.status());
  Fetch(*url, [self = shared_from_this()](const Result<std::string>& set) { self->TakeKeys(set); });
}

void IssuerKeys::State::TakeKeys(const Result<std::string>& document) {
  Settle(document.ok() ? JwkSet::Parse(*document) : Result<JwkSet>(document.status()));
}

void IssuerKeys::State::Settle(Result<JwkSet> fresh) {
  std::string news;
  std::shared_ptr<const JwkSet> old;
  const size_t count = fresh.ok() ? fresh->size() : 0;
  {
    MutexLock lock(mutex);
    reading = false;
    if (stopped) return;
    const std::string why = fresh.ok() ? "" : fresh.status().message();
    if (why != trouble) news = why;
    trouble = why;
    if (fresh.ok()) {
      old = std::make_shared<const JwkSet>(*std::move(fresh));
      keys.swap(old);
      pause = Duration::zero();
      ScheduleLocked(options.refresh_every);
    } else {
      pause = std::clamp<Duration>(2 * pause, options.shortest_pause, options.longest_pause);
      ScheduleLocked(pause);
    }
  }
  if (count > 0 && !old) {
    log.Info("the keys of a token issuer are known",
             {{"issuer", options.issuer}, {"keys", std::to_string(count)}});
  }
  if (news.empty()) return;
  log.Error("the keys of a token issuer cannot be read, those of before stay in force",
            {{"issuer", options.issuer}, {"reason", news}});
}

void IssuerKeys::State::Hurry() {
  // A file is looked at every second as it is.
  if (file) return;
  MutexLock lock(mutex);
  if (reading) return;
  const auto now = std::chrono::steady_clock::now();
  ScheduleLocked(std::max<Duration>(Duration::zero(), began + options.shortest_pause - now));
}

Result<std::unique_ptr<IssuerKeys>> IssuerKeys::Create(IssuerKeysOptions options, net::Io& io,
                                                       Timer& timer, Log& log) {
  RETURN_IF_ERROR(TrustedUrl(options.issuer).status().WithContext("the issuer"));
  auto state = std::make_shared<State>(std::move(options), io, timer, log);
  if (state->options.jwks_file.empty()) {
    ASSIGN_OR_RETURN(state->tls, net::TlsContext::Client({"", "", state->options.ca_file}));
    state->Begin();
    return std::unique_ptr<IssuerKeys>(new IssuerKeys(std::move(state)));
  }
  // As in TokenFile: the callback does not own the state, which owns the file.
  state->file = std::make_shared<WatchedFile>(
      state->options.jwks_file, timer,
      [raw = state.get()](const Result<WatchedFile::Contents>& contents) {
        raw->ReadFileNow(contents);
      });
  const auto contents = state->file->Read();
  if (!contents.ok()) return contents.status().WithContext("the key set of an issuer");
  const auto keys = JwkSet::Parse(contents->text);
  if (!keys.ok()) return keys.status().WithContext("\"" + state->options.jwks_file + "\"");
  state->Settle(keys);
  state->file->Start(contents);
  return std::unique_ptr<IssuerKeys>(new IssuerKeys(std::move(state)));
}

IssuerKeys::~IssuerKeys() {
  if (state_->file) state_->file->Stop();
  std::shared_ptr<net::HttpClient> client;  // owners: this; ends without the lock
  {
    MutexLock lock(state_->mutex);
    state_->stopped = true;
    if (state_->next) state_->timer.Cancel(*state_->next);
    client.swap(state_->client);
  }
  // From here on nothing uses what need not outlive this.
  const MutexLock at_work(state_->work);
}

std::shared_ptr<const JwkSet> IssuerKeys::Current() const {
  MutexLock lock(state_->mutex);
  return state_->keys;
}

Status IssuerKeys::Verify(const Jwt& token) {
  std::shared_ptr<const JwkSet> keys;
  bool soon = false;
  std::string trouble;
  {
    MutexLock lock(state_->mutex);
    keys = state_->keys;
    trouble = state_->trouble;
    const auto now = std::chrono::steady_clock::now();
    soon = state_->reading || now >= state_->began + state_->options.shortest_pause;
  }
  if (!keys) {
    return Unavailable("the keys of issuer \"" + state_->options.issuer + "\" are not known yet" +
                       (trouble.empty() ? "" : ": " + trouble));
  }
  const Status verified = keys->Verify(token);
  if (verified.code() != Code::kNotFound) return verified;
  state_->Hurry();
  if (soon && !state_->file)
    return Unavailable("the token names a key that may be new: its issuer is asked");
  return Unauthenticated("the token: its issuer has no such key");
}

}  // namespace interlink::auth
