// An issuer that answers over HTTP on loopback: each path what a test says. Thread-safe.
#ifndef INTERLINK_TEST_UNIT_AUTH_ISSUER_SERVER_H_
#define INTERLINK_TEST_UNIT_AUTH_ISSUER_SERVER_H_

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "net/http_server.h"
#include "net/io.h"

namespace interlink::auth {

class IssuerServer {
 public:
  IssuerServer() {
    auto listener = net::Listener::Tcp(io_, "127.0.0.1", 0, nullptr);
    REQUIRE(listener.ok());
    url_ = "http://127.0.0.1:" + std::to_string((*listener)->port());
    Answer("/.well-known/openid-configuration", 200,
           nlohmann::json{
               {"issuer", url_}, {"jwks_uri", url_ + "/keys"}, {"token_endpoint", url_ + "/token"}}
               .dump());
    server_ = std::make_unique<net::HttpServer>(
        io_, *std::move(listener), net::HttpServerOptions{},
        [this](net::HttpRequest request, net::Responder& responder) {
          return Serve(std::move(request), responder);
        });
    server_->Start();
  }

  const std::string& url() const { return url_; }
  net::Io& io() { return io_; }

  void Answer(const std::string& path, int status, std::string body) {
    const MutexLock lock(mutex_);
    pages_[path] = {status, std::move(body)};
  }
  void AnswerKeys(const std::vector<nlohmann::json>& keys) {
    Answer("/keys", 200, nlohmann::json{{"keys", keys}}.dump());
  }
  int Asked(const std::string& path) {
    const MutexLock lock(mutex_);
    return asked_[path];
  }
  net::HttpRequest Last(const std::string& path) {
    const MutexLock lock(mutex_);
    return last_[path];
  }
  void Stop() { server_->Stop(Duration::zero()); }

 private:
  net::Awaitable<void> Serve(net::HttpRequest request, net::Responder& responder) {
    net::HttpResponse answer;
    {
      const MutexLock lock(mutex_);
      ++asked_[request.target];
      last_[request.target] = request;
      const auto page = pages_.find(request.target);
      answer.status = page == pages_.end() ? 404 : page->second.first;
      if (page != pages_.end()) answer.body = page->second.second;
    }
    // As Kubernetes' API server: its keys come as what RFC 7517 names them, or not at all.
    const std::string accepted = request.headers.Get("Accept").value_or("*/*");
    if (request.target == "/keys" && accepted.find("application/jwk-set+json") == std::string::npos)
      answer.status = 406;
    if (answer.status == 302) answer.headers.Set("Location", "/keys");
    static_cast<void>(co_await responder.Send(std::move(answer)));
  }

  std::string url_;
  Mutex mutex_;
  std::map<std::string, std::pair<int, std::string>> pages_ GUARDED_BY(mutex_);
  std::map<std::string, int> asked_ GUARDED_BY(mutex_);
  std::map<std::string, net::HttpRequest> last_ GUARDED_BY(mutex_);
  net::Io io_;  // ends before what its requests use
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace interlink::auth

#endif  // INTERLINK_TEST_UNIT_AUTH_ISSUER_SERVER_H_
