#include "auth/client_credentials.h"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <thread>

#include "auth/issuer_http.h"
#include "auth/strict_json.h"
#include "auth/token_source.h"
#include "base/file.h"
#include "base/mutex.h"
#include "net/base64.h"
#include "net/http_client.h"
#include "net/tls.h"

namespace interlink::auth {
namespace {

constexpr size_t kMostAnswer = 1U << 20U;
constexpr size_t kMostSecret = 4096;
// For an issuer that does not say how long a token is good (RFC 6749, 5.1 only recommends it).
constexpr auto kUnsaidLife = std::chrono::minutes(5);
constexpr auto kLongestLife = std::chrono::hours(24);
constexpr auto kIdleLimit = std::chrono::hours(24);

struct Grant {
  std::string token;
  Duration life{};
};

Result<std::string> ReadSecret(const std::string& path) {
  struct stat about {};
  if (stat(path.c_str(), &about) == 0 && (about.st_mode & 077U) != 0) {
    return PermissionDenied("\"" + path + "\" holds a secret and others may read it: chmod 600 \"" +
                            path + "\"");
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMostSecret));
  auto secret = TokenSource::Parse(text);
  if (!secret.ok()) return InvalidArgument("\"" + path + "\" must hold a secret in one line");
  return secret;
}

std::string Form(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string text;
  for (const auto& [name, value] : fields)
    text += (text.empty() ? "" : "&") + name + "=" + net::PercentEncode(value);
  return text;
}

Result<Grant> ReadGrant(const std::string& body) {
  const auto parsed = ParseStrictJson(body);
  if (!parsed.ok()) return InvalidArgument("its answer: " + parsed.status().message());
  const auto token = parsed->find("access_token");
  const auto type = parsed->find("token_type");
  if (token == parsed->end() || !token->is_string())
    return InvalidArgument("its answer has no access_token");
  if (type == parsed->end() || !type->is_string() ||
      !net::EqualNoCase(type->get<std::string>(), "Bearer"))
    return InvalidArgument("its answer is no bearer token (token_type)");
  Grant grant;
  ASSIGN_OR_RETURN(grant.token, TokenSource::Parse(token->get<std::string>()));
  grant.life = kUnsaidLife;
  const auto seconds = parsed->find("expires_in");
  if (seconds != parsed->end()) {
    if (!seconds->is_number() || seconds->get<double>() < 1)
      return InvalidArgument("its answer has an expires_in that is no time");
    grant.life = std::min<Duration>(
        kLongestLife,
        std::chrono::seconds(static_cast<int64_t>(std::min(seconds->get<double>(), 1e6))));
  }
  return grant;
}

class Renewing final : public ClientCredentials {
 public:
  Renewing(ClientCredentialsOptions options, std::shared_ptr<const net::TlsContext> tls,
           net::Io& io, Log& log)
      : options_(std::move(options)),
        tls_(std::move(tls)),
        io_(io),
        log_(log),
        random_(std::random_device()()),
        thread_([this] { Run(); }) {}
  ~Renewing() override {
    std::optional<Call> call;
    {
      MutexLock lock(mutex_);
      stopping_ = true;
      call = call_;
      wake_.NotifyAll();
    }
    if (call) call->Cancel();
    thread_.join();
  }

  Result<std::string> Token() const override {
    MutexLock lock(mutex_);
    if (!token_.empty() && std::chrono::steady_clock::now() < ends_) return token_;
    return why_not_;
  }

  void Refused() override {
    MutexLock lock(mutex_);
    refused_ = true;
    wake_.NotifyAll();
  }

  Result<std::string> Wait(SteadyTime limit) override {
    {
      MutexLock lock(mutex_);
      wake_.WaitUntil(mutex_, limit,
                      [this]() NO_LOCK_ANALYSIS { return !token_.empty() || !trouble_.empty(); });
    }
    return Token();
  }

 private:
  void Run() {
    while (true) {
      const std::optional<Call> call = BeginAsking();
      if (!call) return;
      const SteadyTime asked = std::chrono::steady_clock::now();
      auto grant = Ask(*call);
      const Duration rest = Settle(std::move(grant), asked);
      if (!Rest(asked, rest)) return;
    }
  }

  // Nothing: it ends.
  std::optional<Call> BeginAsking() {
    MutexLock lock(mutex_);
    if (stopping_) return std::nullopt;
    call_ = Call::WithTimeout(options_.ask_within);
    refused_ = false;
    return call_;
  }

  Result<Grant> Ask(const Call& call) {
    std::string url = options_.token_url;
    if (url.empty()) {
      net::HttpRequest discovery;
      discovery.method = "GET";
      ASSIGN_OR_RETURN(const std::string document,
                       Do(call, DiscoveryUrl(options_.issuer), std::move(discovery)));
      ASSIGN_OR_RETURN(url, DiscoveredUrl(document, options_.issuer, "token_endpoint"));
    }
    ASSIGN_OR_RETURN(const std::string secret, ReadSecret(options_.secret_file));
    std::vector<std::pair<std::string, std::string>> fields = {
        {"grant_type", "client_credentials"}};
    std::string scopes;
    for (const std::string& scope : options_.scopes) scopes += (scopes.empty() ? "" : " ") + scope;
    if (!scopes.empty()) fields.emplace_back("scope", scopes);
    if (!options_.audience.empty()) fields.emplace_back("audience", options_.audience);
    net::HttpRequest request;
    request.method = "POST";
    request.body = Form(fields);
    request.headers.Set("Content-Type", "application/x-www-form-urlencoded");
    // RFC 6749, 2.3.1: both encoded as in a form, then as HTTP's Basic.
    request.headers.Set("Authorization",
                        "Basic " + net::EncodeBase64(net::PercentEncode(options_.client_id) + ":" +
                                                     net::PercentEncode(secret)));
    ASSIGN_OR_RETURN(const std::string body, Do(call, url, std::move(request)));
    return ReadGrant(body);
  }

  Result<std::string> Do(const Call& call, const std::string& url, net::HttpRequest request) {
    ASSIGN_OR_RETURN(const net::Url target, TrustedUrl(url));
    net::HttpClientOptions http;
    http.endpoint.host = target.host;
    http.endpoint.port = target.port;
    if (target.scheme == "https") http.endpoint.tls = tls_;
    http.max_idle = 0;
    http.max_response = kMostAnswer;
    request.target = target.target;
    request.headers.Set("Accept", "application/json");
    net::HttpClient client(io_, std::move(http));
    ASSIGN_OR_RETURN(net::HttpResponse answer, client.Do(call, std::move(request), false));
    RETURN_IF_ERROR(CheckIssuerAnswer(answer));
    return std::move(answer.body);
  }

  // How long to rest.
  Duration Settle(Result<Grant> grant, SteadyTime asked) {
    const std::string from = options_.token_url.empty() ? options_.issuer : options_.token_url;
    std::string news;
    Duration rest{};
    bool fresh = false;
    {
      MutexLock lock(mutex_);
      call_.reset();
      if (grant.ok()) {
        fresh = token_.empty() || !trouble_.empty();
        token_ = std::move(grant->token);
        ends_ = asked + grant->life;
        trouble_.clear();
        pause_ = Duration::zero();
        rest = grant->life * 4 / 5 - Part(grant->life / 10);
      } else {
        const std::string why = grant.status().message();
        if (why != trouble_) news = why;
        trouble_ = why;
        why_not_ = Unavailable("no token of " + from + ": " + why);
        pause_ = std::clamp<Duration>(2 * pause_, options_.shortest_pause, options_.longest_pause);
        rest = pause_ - Part(pause_ / 4);
      }
      wake_.NotifyAll();
    }
    if (fresh) log_.Info("there is a token of the issuer", {{"issuer", from}});
    if (!news.empty() && !Stopping()) {
      log_.Error("there is no new token of the issuer, an older one is used until it ends",
                 {{"issuer", from}, {"reason", news}});
    }
    return rest;
  }

  // A random part, so that nodes do not all come at once.
  Duration Part(Duration most) REQUIRES_LOCK(mutex_) {
    std::uniform_int_distribution<int64_t> choose(0, std::max<int64_t>(most.count(), 0));
    return Duration(choose(random_));
  }

  bool Stopping() const {
    MutexLock lock(mutex_);
    return stopping_;
  }

  // False: it ends.
  bool Rest(SteadyTime asked, Duration rest) {
    const SteadyTime until =
        std::chrono::steady_clock::now() + std::min<Duration>(rest, kIdleLimit);
    const SteadyTime not_before = asked + options_.after_refusal;
    MutexLock lock(mutex_);
    while (!stopping_ && std::chrono::steady_clock::now() < until) {
      if (refused_ && std::chrono::steady_clock::now() >= not_before) break;
      const SteadyTime limit = refused_ ? std::min(until, not_before) : until;
      const bool was_refused = refused_;
      wake_.WaitUntil(mutex_, limit,
                      [&]() NO_LOCK_ANALYSIS { return stopping_ || refused_ != was_refused; });
    }
    return !stopping_;
  }

  const ClientCredentialsOptions options_;
  const std::shared_ptr<const net::TlsContext> tls_;
  net::Io& io_;
  Log& log_;
  mutable Mutex mutex_;
  CondVar wake_;
  std::mt19937_64 random_ GUARDED_BY(mutex_);
  std::string token_ GUARDED_BY(mutex_);
  SteadyTime ends_ GUARDED_BY(mutex_){};
  Status why_not_ GUARDED_BY(mutex_) = Unavailable("the issuer of tokens is being asked");
  std::string trouble_ GUARDED_BY(mutex_);
  Duration pause_ GUARDED_BY(mutex_) = Duration::zero();
  bool refused_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::optional<Call> call_ GUARDED_BY(mutex_);  // while it asks
  std::jthread thread_;                          // the last one: it uses all of the above
};

}  // namespace

Result<std::unique_ptr<ClientCredentials>> ClientCredentials::Create(
    ClientCredentialsOptions options, net::Io& io, Log& log) {
  const std::string& url = options.token_url.empty() ? options.issuer : options.token_url;
  RETURN_IF_ERROR(TrustedUrl(url).status().WithContext("the issuer of tokens"));
  ASSIGN_OR_RETURN(const auto tls, net::TlsContext::Client({"", "", options.ca_file}));
  return std::unique_ptr<ClientCredentials>(new Renewing(std::move(options), tls, io, log));
}

}  // namespace interlink::auth
