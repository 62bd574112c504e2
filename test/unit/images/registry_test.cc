#include "images/registry.h"

#include <catch2/catch.hpp>

#include "images/challenge.h"
#include "unit/images/fake_registry.h"

namespace interlink::images {
namespace {

const std::string kRegistry = "r.io:443";
const std::string kManifestType = "application/vnd.oci.image.manifest.v1+json";

struct RegistryBench {
  FakeRegistry fake;
  std::unique_ptr<RegistryTransport> transport = fake.Transport();
  Mirrors mirrors;
  Call call = Call::WithTimeout(std::chrono::minutes(1));

  Registry Make(Credentials credentials = {}, const std::string& host = "r.io") {
    auto endpoints = Endpoints(mirrors, host, "app");
    REQUIRE(endpoints.ok());
    return Registry(*transport, *endpoints, "app", std::move(credentials));
  }
  void PutManifest(const std::string& place, const std::string& bytes) {
    fake.Put(place, {200, {{"content-type", kManifestType}}, bytes});
  }
  Result<std::string> Blob(Registry& registry, const Descriptor& blob) {
    std::string out;
    BlobSink sink{[&out]() -> Status {
                    out.clear();
                    return {};
                  },
                  [&out](std::string_view bytes) -> Status {
                    out += bytes;
                    return {};
                  }};
    RETURN_IF_ERROR(registry.GetBlob(call, blob, sink));
    return out;
  }
};

Descriptor DescriptorOf(const std::string& bytes) {
  return {"", Digest::Of(bytes), bytes.size(), {}};
}

// Answers 401 until the right Authorization comes.
std::function<std::unique_ptr<FakeAnswer>(const TransportRequest&)> Guard(
    const std::string& place, const std::string& wanted, const std::string& challenge) {
  return [=](const TransportRequest& request) -> std::unique_ptr<FakeAnswer> {
    if (FakeRegistry::KeyOf(request.url).find(place) != 0) return nullptr;
    if (HeaderOf(request, "Authorization") == wanted) return nullptr;
    return std::make_unique<FakeAnswer>(FakeAnswer{401, {{"www-authenticate", challenge}}, ""});
  };
}

TEST_CASE("Mirrors are asked in their order, then the registry itself") {
  RegistryBench bench;
  bench.mirrors["r.io"] = {"https://one.example", "http://127.0.0.1:5000/proxy"};
  bench.PutManifest(kRegistry + "/v2/app/manifests/1", "origin");
  Registry registry = bench.Make();

  const auto got = registry.GetManifest(bench.call, "1");

  REQUIRE(got.ok());
  CHECK(got->bytes == "origin");
  const auto requests = bench.fake.requests();
  REQUIRE(requests.size() == 3);
  CHECK(FakeRegistry::KeyOf(requests[0].url) == "one.example:443/v2/app/manifests/1");
  CHECK(FakeRegistry::KeyOf(requests[1].url) == "127.0.0.1:5000/proxy/v2/app/manifests/1");
  CHECK(FakeRegistry::KeyOf(requests[2].url) == kRegistry + "/v2/app/manifests/1");
}

TEST_CASE("Plain http is for loopback addresses only") {
  CHECK_FALSE(Endpoints({{"r.io", {"http://mirror.example"}}}, "r.io", "app").ok());
  CHECK(Endpoints({}, "127.0.0.1:5000", "app")->front().url.scheme == "http");
  CHECK(Endpoints({}, "r.io:5000", "app")->front().url.scheme == "https");
  CHECK(Endpoints({}, "docker.io", "app")->front().url.host == "registry-1.docker.io");
}

TEST_CASE("A lying mirror is passed over") {
  RegistryBench bench;
  bench.mirrors["r.io"] = {"https://liar.example"};
  const Descriptor blob = DescriptorOf("the truth");
  bench.fake.Put("liar.example:443/v2/app/blobs/" + blob.digest.str(), {200, {}, "the trick"});
  bench.fake.Put(kRegistry + "/v2/app/blobs/" + blob.digest.str(), {200, {}, "the truth"});
  Registry registry = bench.Make();

  CHECK(bench.Blob(registry, blob).value_or("?") == "the truth");
}

TEST_CASE("Bytes that are not those of the digest are an error that names it") {
  RegistryBench bench;
  const Descriptor blob = DescriptorOf("the truth");
  const std::string lie = GENERATE(as<std::string>(), "the trick", "the truth and more", "the tru");
  bench.fake.Put(kRegistry + "/v2/app/blobs/" + blob.digest.str(), {200, {}, lie});
  bench.PutManifest(kRegistry + "/v2/app/manifests/" + blob.digest.str(), lie);
  Registry registry = bench.Make();

  const auto got = bench.Blob(registry, blob);
  const auto manifest = registry.GetManifest(bench.call, blob.digest.str());

  CHECK(got.status().code() == Code::kDataLoss);
  CHECK_THAT(got.status().message(), Catch::Contains(blob.digest.str()));
  CHECK(manifest.status().code() == Code::kDataLoss);
}

TEST_CASE("The registry's errors become what the caller must do") {
  const auto [status, code] = GENERATE(table<int, Code>({{404, Code::kNotFound},
                                                         {401, Code::kUnauthenticated},
                                                         {403, Code::kPermissionDenied},
                                                         {429, Code::kUnavailable},
                                                         {500, Code::kUnavailable},
                                                         {503, Code::kUnavailable},
                                                         {418, Code::kUnknown}}));
  RegistryBench bench;
  bench.fake.Put(kRegistry + "/v2/app/manifests/1",
                 {status, {}, R"({"errors":[{"code":"X","message":"because \n of this"}]})"});
  Registry registry = bench.Make();

  const auto got = registry.GetManifest(bench.call, "1");

  CHECK(got.status().code() == code);
  CHECK_THAT(got.status().message(), Catch::Contains("because ? of this"));
}

TEST_CASE("A bearer challenge is answered with a token for the pull's credentials") {
  RegistryBench bench;
  bench.PutManifest(kRegistry + "/v2/app/manifests/1", "m");
  bench.fake.Put("auth.io:443/token", {200, {}, R"({"token":"T1"})"});
  bench.fake.instead =
      Guard(kRegistry, "Bearer T1",
            R"(Bearer realm="https://auth.io/token",service="r.io",scope="repository:app:pull")");
  Registry registry = bench.Make({"user", "secret", "", ""});

  REQUIRE(registry.GetManifest(bench.call, "1").ok());
  REQUIRE(registry.GetManifest(bench.call, "1").ok());

  const auto requests = bench.fake.requests();
  REQUIRE(requests.size() == 4);  // 401, token, manifest, manifest with the same token
  CHECK(HeaderOf(requests[0], "Authorization").empty());
  CHECK(HeaderOf(requests[1], "Authorization") == "Basic dXNlcjpzZWNyZXQ=");
  CHECK(requests[1].url.target == "/token?scope=repository%3Aapp%3Apull&service=r.io");
}

TEST_CASE("An identity token is posted, a registry token used as it is") {
  RegistryBench bench;
  bench.PutManifest(kRegistry + "/v2/app/manifests/1", "m");
  bench.fake.Put("auth.io:443/token", {200, {}, R"({"access_token":"T2"})"});
  bench.fake.instead = Guard(kRegistry, "Bearer T2", R"(Bearer realm="https://auth.io/token")");

  SECTION("identity") {
    Registry registry = bench.Make({"", "", "refresh/me", ""});
    REQUIRE(registry.GetManifest(bench.call, "1").ok());
    const TransportRequest token = bench.fake.requests()[1];
    CHECK(token.method == "POST");
    CHECK_THAT(token.body, Catch::Contains("refresh_token=refresh%2Fme"));
    CHECK(token.url.target == "/token");
  }
  SECTION("registry") {
    Registry registry = bench.Make({"", "", "", "T2"});
    REQUIRE(registry.GetManifest(bench.call, "1").ok());
    CHECK(bench.fake.requests().size() == 1);
  }
}

TEST_CASE("Credentials go to no mirror") {
  RegistryBench bench;
  bench.mirrors["r.io"] = {"https://mirror.example"};
  bench.PutManifest(kRegistry + "/v2/app/manifests/1", "m");
  const auto guard_mirror = Guard("mirror.example", "never",
                                  R"(Basic realm="x", Bearer realm="https://mirror.example/t")");
  const auto guard_origin = Guard(kRegistry, "Basic dXNlcjpzZWNyZXQ=", R"(Basic realm="x")");
  bench.fake.instead = [&](const TransportRequest& request) {
    auto answer = guard_mirror(request);
    return answer ? std::move(answer) : guard_origin(request);
  };
  Registry registry = bench.Make({"user", "secret", "", "tok"});

  REQUIRE(registry.GetManifest(bench.call, "1").ok());

  for (const TransportRequest& request : bench.fake.requests())
    if (request.url.host == "mirror.example") CHECK(HeaderOf(request, "Authorization").empty());
}

TEST_CASE("Redirects are followed without credentials, and not too often") {
  RegistryBench bench;
  const Descriptor blob = DescriptorOf("bytes");
  const std::string place = kRegistry + "/v2/app/blobs/" + blob.digest.str();
  Registry registry = bench.Make({"", "", "", "token"});

  SECTION("to another host") {
    bench.fake.Put(place, {307, {{"location", "https://cdn.io/x?signature=s"}}, ""});
    bench.fake.Put("cdn.io:443/x", {200, {}, "bytes"});
    CHECK(bench.Blob(registry, blob).value_or("?") == "bytes");
    const auto requests = bench.fake.requests();
    REQUIRE(requests.size() == 2);
    CHECK(HeaderOf(requests[0], "Authorization") == "Bearer token");
    CHECK(HeaderOf(requests[1], "Authorization").empty());
    CHECK(requests[1].url.target == "/x?signature=s");
  }
  SECTION("for ever") {
    bench.fake.Put(place, {302, {{"location", "/v2/app/blobs/" + blob.digest.str()}}, ""});
    CHECK(bench.Blob(registry, blob).status().code() == Code::kUnavailable);
    CHECK(bench.fake.requests().size() == 6);
  }
  SECTION("to where they must not go") {
    const std::string where = GENERATE(as<std::string>(), "http://cdn.io/x", "http://127.0.0.1/x",
                                       "https://localhost/x", "ftp://cdn.io/x", "x", "");
    bench.fake.Put(place, {302, {{"location", where}}, ""});
    CHECK_FALSE(bench.Blob(registry, blob).ok());
    CHECK(bench.fake.requests().size() == 1);
  }
}

TEST_CASE("A token server that must not be asked is not") {
  RegistryBench bench;
  const std::string realm = GENERATE(as<std::string>(), "http://auth.io/token",
                                     "http://127.0.0.1:9/token", "file:///etc/passwd", "");
  bench.fake.instead = Guard(kRegistry, "x", "Bearer realm=\"" + realm + "\"");
  Registry registry = bench.Make({"user", "secret", "", ""});

  CHECK_FALSE(registry.GetManifest(bench.call, "1").ok());
  CHECK(bench.fake.requests().size() == 1);
}

TEST_CASE("Whether credentials may read a blob is asked without its bytes") {
  RegistryBench bench;
  const Descriptor blob = DescriptorOf("bytes");
  bench.fake.Put(kRegistry + "/v2/app/blobs/" + blob.digest.str(), {200, {}, "bytes"});
  Registry registry = bench.Make();

  CHECK(registry.CheckBlob(bench.call, blob).ok());
  CHECK(registry.CheckBlob(bench.call, DescriptorOf("other")).code() == Code::kNotFound);
}

TEST_CASE("Challenges are read as RFC 9110 writes them") {
  const auto challenges =
      ParseChallenges(R"(Basic realm="a, b" , Bearer realm="https://x/t?a=\"b\"", Service=r.io)");

  REQUIRE(challenges.size() == 2);
  CHECK(challenges[0].scheme == "basic");
  CHECK(challenges[0].parameters.at("realm") == "a, b");
  CHECK(challenges[1].parameters.at("realm") == "https://x/t?a=\"b\"");
  CHECK(challenges[1].parameters.at("service") == "r.io");
  CHECK(ParseChallenges("").empty());
  CHECK(ParseChallenges("=,;").empty());
  CHECK(ParseChallenges("Bearer realm=\"unfinished").size() == 1);
}

TEST_CASE("Credentials come from each form of AuthConfig, for their own server only") {
  runtime::v1::AuthConfig auth;

  SECTION("user and password") {
    auth.set_username("u");
    auth.set_password("p");
    CHECK(ParseAuth(auth, "r.io")->BasicHeader() == "Basic dTpw");
  }
  SECTION("base64, padded with NULs as docker login does") {
    auth.set_auth("dTpwAAA=");
    CHECK(ParseAuth(auth, "r.io")->password == "p");
  }
  SECTION("not base64") {
    auth.set_auth(GENERATE(as<std::string>(), "!!!!", "dXNlcg==", "d"));
    CHECK(ParseAuth(auth, "r.io").status().code() == Code::kInvalidArgument);
  }
  SECTION("another server's") {
    auth.set_username("u");
    auth.set_server_address("https://other.io/v1/");
    CHECK(ParseAuth(auth, "r.io")->empty());
  }
  SECTION("Docker Hub's own names") {
    auth.set_username("u");
    auth.set_server_address("https://index.docker.io/v1/");
    CHECK(ParseAuth(auth, "docker.io")->user == "u");
  }
  SECTION("a token that would end the header") {
    auth.set_registry_token("a\r\nEvil: b");
    CHECK_FALSE(ParseAuth(auth, "r.io").ok());
  }
}

}  // namespace
}  // namespace interlink::images
