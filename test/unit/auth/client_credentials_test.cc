#include "auth/client_credentials.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "issuer_server.h"
#include "net/base64.h"
#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::auth {
namespace {

using test::Eventually;

struct GrantLab {
  GrantLab() {
    Secret("s");
    options.issuer = issuer.url();
    options.client_id = "node 1";
    options.secret_file = folder.File("secret");
    options.shortest_pause = std::chrono::milliseconds(10);
    options.longest_pause = std::chrono::milliseconds(20);
    options.after_refusal = std::chrono::milliseconds(10);
  }
  void Secret(const std::string& text, mode_t mode = 0600) {
    std::ofstream(folder.File("secret")) << text << "\n";
    REQUIRE(chmod(folder.File("secret").c_str(), mode) == 0);
  }
  void Grant(const std::string& token, int life = 3600) {
    issuer.Answer(
        "/token", 200,
        nlohmann::json{{"access_token", token}, {"token_type", "bearer"}, {"expires_in", life}}
            .dump());
  }
  std::unique_ptr<ClientCredentials> Open() {
    auto made = ClientCredentials::Create(options, issuer.io(), log);
    INFO(made.status().ToString());
    REQUIRE(made.ok());
    return *std::move(made);
  }
  static SteadyTime Soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }

  test::TemporaryFolder folder;
  NullLog log;
  IssuerServer issuer;
  ClientCredentialsOptions options;
};

TEST_CASE("a token is fetched as RFC 6749 says it") {
  GrantLab lab;
  lab.Secret("secret+sign");
  lab.options.scopes = {"openid", "pods"};
  lab.options.audience = "interlink site";
  lab.Grant("first");

  const auto tokens = lab.Open();

  CHECK(tokens->Wait(GrantLab::Soon()).value() == "first");
  const net::HttpRequest asked = lab.issuer.Last("/token");
  CHECK(asked.method == "POST");
  CHECK(asked.body ==
        "grant_type=client_credentials&scope=openid%20pods&audience=interlink%20site");
  CHECK(asked.headers.Get("Content-Type") == "application/x-www-form-urlencoded");
  CHECK(asked.headers.Get("Authorization") ==
        "Basic " + net::EncodeBase64("node%201:secret%2Bsign"));
}

TEST_CASE("a token is renewed before it ends, and at once when the site refuses it") {
  GrantLab lab;
  lab.Grant("short", 1);
  const auto tokens = lab.Open();
  REQUIRE(Eventually([&] { return tokens->Token().value_or("") == "short"; }));

  lab.Grant("long");
  CHECK(Eventually([&] { return tokens->Token().value_or("") == "long"; }));

  lab.Grant("next");
  tokens->Refused();
  CHECK(Eventually([&] { return tokens->Token().value_or("") == "next"; }));
}

TEST_CASE("an issuer that gives none is asked again, and what it said is told") {
  GrantLab lab;
  const auto says = [&lab](int status, const std::string& body, const std::string& text) {
    lab.issuer.Answer("/token", status, body);
    const auto tokens = lab.Open();
    const auto token = tokens->Wait(GrantLab::Soon());
    INFO(token.status().ToString());
    CHECK(token.status().code() == Code::kUnavailable);
    CHECK(token.status().message().find(text) != std::string::npos);
  };
  says(401, R"({"error":"invalid_client","error_description":"a\nb"})",
       "it answers 401: invalid_client");
  says(400, R"({"error":"line\nbreak"})", "it answers 400");
  says(302, "", "redirects are not followed");
  says(200, "<html>sign in</html>", "its answer");
  says(200, "{}", "has no access_token");
  says(200, R"({"access_token":"t","token_type":"mac"})", "no bearer token");
  says(200, R"({"access_token":"t\nt","token_type":"Bearer"})", "visible ASCII");
  says(200, R"({"access_token":"t","token_type":"Bearer","expires_in":-1})", "is no time");

  const auto tokens = lab.Open();
  REQUIRE_FALSE(tokens->Wait(GrantLab::Soon()).ok());
  lab.Grant("at-last");
  CHECK(Eventually([&] { return tokens->Token().value_or("") == "at-last"; }));
}

TEST_CASE("a token that has ended is not used, though there is no other") {
  GrantLab lab;
  lab.Grant("short", 1);
  const auto tokens = lab.Open();
  REQUIRE(Eventually([&] { return tokens->Token().ok(); }));

  lab.issuer.Answer("/token", 500, "");

  CHECK(Eventually([&] {
    const auto token = tokens->Token();
    return !token.ok() && token.status().message().find("it answers 500") != std::string::npos;
  }));
}

TEST_CASE("a secret that others may read, or that is not there, is not sent") {
  GrantLab lab;
  lab.Grant("t");
  lab.Secret("s", 0644);
  CHECK(lab.Open()->Wait(GrantLab::Soon()).status().message().find("chmod 600") !=
        std::string::npos);
  lab.Secret("two\nlines");
  CHECK(lab.Open()->Wait(GrantLab::Soon()).status().message().find("in one line") !=
        std::string::npos);
  CHECK(lab.issuer.Asked("/token") == 0);
}

TEST_CASE("a discovery document of another issuer, and plain http elsewhere, are not believed") {
  GrantLab lab;
  lab.issuer.Answer(
      "/.well-known/openid-configuration", 200,
      nlohmann::json{{"issuer", "https://other"}, {"token_endpoint", lab.issuer.url() + "/token"}}
          .dump());
  CHECK(lab.Open()->Wait(GrantLab::Soon()).status().message().find("another issuer's") !=
        std::string::npos);
  lab.options.token_url = "http://login.example.org/token";
  CHECK(ClientCredentials::Create(lab.options, lab.issuer.io(), lab.log).status().code() ==
        Code::kInvalidArgument);
  CHECK(lab.issuer.Asked("/token") == 0);
}

TEST_CASE("an end does not wait for an issuer that is silent") {
  GrantLab lab;
  net::Io io;
  auto silent = net::Listener::Tcp(io, "127.0.0.1", 0, nullptr);
  REQUIRE(silent.ok());
  lab.options.token_url = "http://127.0.0.1:" + std::to_string((*silent)->port()) + "/token";
  lab.options.ask_within = std::chrono::minutes(5);
  auto tokens = lab.Open();

  const auto begun = std::chrono::steady_clock::now();
  tokens.reset();
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(30));
}

}  // namespace
}  // namespace interlink::auth
