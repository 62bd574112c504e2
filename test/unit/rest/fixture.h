// An edge over a fake site, and a client of it.
#ifndef INTERLINK_TEST_UNIT_REST_FIXTURE_H_
#define INTERLINK_TEST_UNIT_REST_FIXTURE_H_

#include <catch2/catch.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "fake_site.h"
#include "net/http_client.h"
#include "rest/rest.h"
#include "wire/body.h"

namespace interlink::test {

inline const std::string kId(64, 'a');
inline const std::string kOther(64, 'b');

// "token-1" is of node-1, and so on.
class NumberedTokens final : public auth::TokenVerifier {
 public:
  Result<auth::TokenIdentity> Verify(std::string_view token) const override {
    if (!token.starts_with("token-")) return Unauthenticated("the bearer token is not known here");
    auth::TokenIdentity identity;
    identity.node = NodeId("node-" + std::string(token.substr(6)));
    identity.issuer = "https://issuer";
    identity.subject = "subject of " + identity.node.str();
    identity.tenant = "tenant";
    identity.groups = {"one", "two"};
    return identity;
  }
};

struct EdgeFixture {
  explicit EdgeFixture(rest::Options options = {}, rest::Face face = rest::Face::kSite,
                       auth::AuditLog* audit = nullptr, const auth::DenyList* denied = nullptr) {
    options.site = "here";
    auto made =
        auth::Authenticator::Create({.client_auth = net::ClientAuth::kNone}, &tokens, denied);
    REQUIRE(made.ok());
    authenticator = std::make_unique<auth::Authenticator>(*made);
    auto listener = net::Listener::Tcp(io, "127.0.0.1", 0, nullptr);
    REQUIRE(listener.ok());
    port = (*listener)->port();
    edge = std::make_unique<rest::Edge>(
        std::move(options),
        rest::Ports{
            site, *authenticator, io, log, metrics, [] { return std::string("up 1\n"); }, audit,
            [this](const site::Caller& caller, size_t bytes) { return throttle(caller, bytes); }});
    edge->Serve(*std::move(listener), face);
    net::HttpClientOptions client_options;
    client_options.endpoint = {"127.0.0.1", port, "", nullptr};
    client = std::make_unique<net::HttpClient>(io, std::move(client_options));
  }
  ~EdgeFixture() {
    client.reset();
    edge->Stop(std::chrono::seconds(5));
    site.AnswerParked();
    io.Stop();
  }

  using Fields = std::vector<std::pair<std::string, std::string>>;
  // As node-1 with link 7, unless `fields` say otherwise.
  net::HttpRequest Request(const std::string& method, const std::string& target,
                           const Fields& fields = {}, std::string body = "") const {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    request.headers.Set("Authorization", "Bearer token-1");
    request.headers.Set("Interlink-Link", "7");
    for (const auto& [name, value] : fields) request.headers.Set(name, value);
    request.body = std::move(body);
    return request;
  }
  net::HttpResponse Ask(const std::string& method, const std::string& target,
                        const Fields& fields = {}, std::string body = "") {
    const auto response = client->Do(Call::WithTimeout(std::chrono::seconds(20)),
                                     Request(method, target, fields, std::move(body)), false);
    INFO(response.status().ToString());
    REQUIRE(response.ok());
    return *response;
  }

  // Of requests that begin something.
  std::function<std::optional<rest::Throttled>(const site::Caller&, size_t)> throttle =
      [](const site::Caller&, size_t) { return std::nullopt; };
  net::Io io;  // first: the site may keep what wakes a stream, and that has a timer of it
  FakeSite site;
  NumberedTokens tokens;
  std::unique_ptr<auth::Authenticator> authenticator;
  NullLog log;
  NullMetrics metrics;
  uint16_t port = 0;
  std::unique_ptr<rest::Edge> edge;
  std::unique_ptr<net::HttpClient> client;
};

// A problem body of these, or the test fails.
inline void CheckProblem(const net::HttpResponse& response, int status, const std::string& code) {
  INFO(response.body);
  CHECK(response.status == status);
  CHECK(response.headers.Get("Content-Type").value_or("") == "application/problem+json");
  const auto body = nlohmann::json::parse(response.body, nullptr, false);
  REQUIRE(body.is_object());
  CHECK(body.value("code", "") == code);
  CHECK(body.value("site", "") == "here");
  CHECK_FALSE(body.value("detail", "").empty());
  CHECK_FALSE(body.value("requestId", "").empty());
}

}  // namespace interlink::test

#endif  // INTERLINK_TEST_UNIT_REST_FIXTURE_H_
