#include <catch2/catch.hpp>
#include <future>
#include <thread>

#include "fixture.h"
#include "interlink/v1/volume.pb.h"
#include "support/eventually.h"
#include "wire/volume_digest.h"

namespace interlink::test {
namespace {

const EdgeFixture::Fields kJson = {{"Content-Type", "application/json"},
                                   {"Accept", "application/json"}};
const EdgeFixture::Fields kProtobuf = {{"Content-Type", "application/x-protobuf"},
                                       {"Accept", "application/x-protobuf"}};

TEST_CASE("every changing route reaches its use case with caller, link, ids and body") {
  interlink::v1::StopContainerRequest stop;
  stop.set_handler("h");
  stop.set_grace_seconds(5);
  const std::string pod = "/v1/sandboxes/" + kId;
  const std::string unit = pod + "/containers/" + kOther;
  struct Row {
    std::string method;
    std::string target;
    std::string body;
    std::string what;
    std::string id;
    std::string seen;
  };
  const Row rows[] = {
      {"PUT", pod, R"({"handler":"h"})", "RunSandbox", kId, "\n\x01h"},
      {"POST", pod + "/stop", R"({"handler":"h"})", "StopSandbox", kId, "h"},
      {"DELETE", pod + "?handler=h", "", "RemoveSandbox", kId, "h"},
      {"POST", pod + "/update", R"({"handler":"h"})", "UpdateSandbox", kId, "h"},
      {"PUT", unit, R"({"handler":"h"})", "CreateContainer", kId + "/" + kOther, "\n\x01h"},
      {"POST", unit + "/start", R"({"handler":"h"})", "StartContainer", kId + "/" + kOther, "h"},
      {"POST", unit + "/stop", R"({"handler":"h","graceSeconds":"5"})", "StopContainer",
       kId + "/" + kOther, "h 5"},
      {"DELETE", unit + "?handler=h", "", "RemoveContainer", kId + "/" + kOther, "h"},
      {"POST", unit + "/update", R"({"handler":"h","sequence":"9"})", "UpdateContainer",
       kId + "/" + kOther, "h 9"},
      {"POST", unit + "/exec-sync", R"({"cmd":["ls"]})", "ExecSync", kId + "/" + kOther, "ls"},
      {"PUT", "/v1/images", R"({"image":{"image":"busybox"}})", "PullImage", "", "busybox"},
      {"DELETE", "/v1/images?image=busybox%3A1", "", "RemoveImage", "", "busybox:1"},
      {"DELETE", "/v1/pulls/" + kId, "", "CancelPull", kId, ""},
  };
  EdgeFixture fixture;
  for (const Row& row : rows) {
    const auto response = fixture.Ask(row.method, row.target, kJson, row.body);

    INFO(row.method << " " << row.target << " -> " << response.body);
    CHECK(response.status == 200);
    const auto asked = fixture.site.asked().back();
    CHECK(asked.what == row.what);
    CHECK(asked.id == row.id);
    CHECK(asked.body == row.seen);
    CHECK(asked.caller.node == NodeId("node-1"));
    CHECK(asked.caller.link == 7);
  }
}

TEST_CASE("protobuf bodies reach the domain byte for byte") {
  EdgeFixture fixture;
  interlink::v1::RunSandboxRequest request;
  request.set_handler("h");
  auto* labels = request.mutable_config()->mutable_labels();
  for (int i = 0; i < 50; ++i) (*labels)["label-" + std::to_string(i)] = "x";
  const std::string bytes = request.SerializeAsString();

  const auto response = fixture.Ask("PUT", "/v1/sandboxes/" + kId, kProtobuf, bytes);

  REQUIRE(response.status == 200);
  CHECK(fixture.site.asked().back().body == bytes);
  SandboxRecord record;
  CHECK(record.ParseFromString(response.body));
  CHECK(record.id() == kId);
}

TEST_CASE("what the token says of its bearer reaches the domain, what a header says does not") {
  EdgeFixture fixture;

  const auto response = fixture.Ask(
      "POST", "/v1/sandboxes/" + kId + "/stop",
      {{"X-Remote-User", "admin"}, {"X-Remote-Group", "admins"}, {"Interlink-Node", "n"}});

  REQUIRE(response.status == 200);
  const auto caller = fixture.site.asked().back().caller;
  CHECK(caller.node == NodeId("node-1"));
  REQUIRE(caller.token);
  CHECK(caller.token->issuer == "https://issuer");
  CHECK(caller.token->subject == "subject of node-1");
  CHECK(caller.token->tenant == "tenant");
  CHECK(caller.token->groups == std::vector<std::string>{"one", "two"});
}

TEST_CASE("what goes on by itself is 202") {
  EdgeFixture fixture;
  fixture.site.settled = false;

  CHECK(fixture.Ask("PUT", "/v1/sandboxes/" + kId, kJson, R"({"handler":"h"})").status == 202);
}

TEST_CASE("deadline, preference and request id travel") {
  EdgeFixture fixture;

  const auto response = fixture.Ask(
      "POST", "/v1/sandboxes/" + kId + "/stop",
      {{"Interlink-Timeout", "1500"}, {"Prefer", "wait=1"}, {"X-Request-Id", "my-request"}});

  const auto asked = fixture.site.asked().back();
  CHECK(asked.wait == std::chrono::seconds(1));
  CHECK(asked.remaining <= std::chrono::milliseconds(1500));
  CHECK(asked.remaining > std::chrono::milliseconds(500));
  CHECK(asked.request == RequestId("my-request"));
  CHECK(response.headers.Get("X-Request-Id").value_or("") == "my-request");
}

TEST_CASE("the caller's own records are shown in the form that it accepts") {
  EdgeFixture fixture;

  CHECK_THAT(fixture.Ask("GET", "/v1/sandboxes", {{"Accept", "*/*"}}).body,
             Catch::Contains("of node-1"));
  CHECK_THAT(fixture.Ask("GET", "/status").body, Catch::Contains("node-1"));
  CHECK_THAT(fixture.Ask("GET", "/v1/info").body, Catch::Contains("\"here\""));
  CHECK_THAT(fixture.Ask("GET", "/v1/images").body, Catch::Contains("of-node-1"));
  CHECK_THAT(fixture.Ask("GET", "/v1/images?image=x").body, Catch::Contains("found-x"));
  CHECK(fixture.Ask("GET", "/v1/image-filesystems").status == 200);
  CHECK(fixture.Ask("GET", "/v1/stats").status == 200);
  CHECK_THAT(fixture.Ask("GET", "/v1/pod-metrics").body, Catch::Contains("node-1"));
  CHECK_THAT(fixture.Ask("GET", "/v1/sandboxes/" + kId + "?verbose=true").body,
             Catch::Contains("info"));
  CHECK_THAT(fixture.Ask("POST", "/v1/link", kJson, R"({"nodeLineage":"l"})").body,
             Catch::Contains("\"link\":\"7\""));
}

TEST_CASE("another node's ids are 404") {
  EdgeFixture fixture;

  CheckProblem(fixture.Ask("GET", "/v1/sandboxes/" + kId, {{"Authorization", "Bearer token-2"}}),
               404, "NOT_FOUND");
}

TEST_CASE("health checks need no identity, all else does") {
  EdgeFixture fixture;
  for (const char* open : {"/healthz", "/readyz", "/pinglink"}) {
    const auto response = fixture.Ask("GET", open, {{"Authorization", "Bearer nonsense"}});
    CHECK(response.status == 200);
    CHECK(response.body == "ok\n");
    CHECK(fixture.Ask("HEAD", open).body.empty());
  }
  for (const char* closed : {"/status", "/metrics", "/v1/info", "/v1/events", "/v1/sandboxes"}) {
    const auto response = fixture.Ask("GET", closed, {{"Authorization", "Bearer nonsense"}});
    INFO(closed);
    CheckProblem(response, 401, "UNAUTHENTICATED");
    CHECK(response.headers.Get("WWW-Authenticate").has_value());
  }
  fixture.site.ready = false;
  CHECK(fixture.Ask("GET", "/readyz").status == 503);
}

TEST_CASE("metrics need no identity on the operator's listener") {
  EdgeFixture fixture({}, rest::Face::kOperator);

  const auto response = fixture.Ask("GET", "/metrics", {{"Authorization", "Bearer nonsense"}});

  CHECK(response.status == 200);
  CHECK(response.body == "up 1\n");
  CheckProblem(fixture.Ask("GET", "/status", {{"Authorization", "x"}}), 401, "UNAUTHENTICATED");
}

TEST_CASE("the control socket serves control and nothing else, the site's port the reverse") {
  EdgeFixture control({}, rest::Face::kControl);
  EdgeFixture site;

  CHECK_THAT(control.Ask("GET", "/control/v1/nodes").body, Catch::Contains("node-1"));
  CHECK(control.Ask("POST", "/control/v1/nodes/node-1/takeover").body == "taken over\n");
  CHECK(control.Ask("DELETE", "/control/v1/nodes/node-1").body == "dropped\n");
  CHECK(control.Ask("POST", "/control/v1/dead/" + kId).body == "forgotten\n");
  CheckProblem(control.Ask("GET", "/v1/info"), 404, "NOT_FOUND");
  CheckProblem(site.Ask("GET", "/control/v1/nodes"), 404, "NOT_FOUND");
}

TEST_CASE("unknown paths, methods and queries are refused by name") {
  EdgeFixture fixture;

  CheckProblem(fixture.Ask("GET", "/v2/info"), 404, "NOT_FOUND");
  CheckProblem(fixture.Ask("GET", "/v1/info/"), 404, "NOT_FOUND");
  CheckProblem(fixture.Ask("GET", "/v1/sandboxes/../info"), 404, "NOT_FOUND");
  const auto method = fixture.Ask("DELETE", "/v1/info");
  CHECK(method.status == 405);
  CHECK_THAT(method.headers.Get("Allow").value_or(""), Catch::Contains("GET"));
  CheckProblem(fixture.Ask("GET", "/v1/info?x=1"), 400, "INVALID_ARGUMENT");
  CheckProblem(fixture.Ask("GET", "/v1/sandboxes/short"), 400, "INVALID_ARGUMENT");
  CHECK(fixture.Ask("HEAD", "/v1/events").status == 405);
}

TEST_CASE("a volume is kept under the digest of exactly its bytes") {
  EdgeFixture fixture;
  interlink::v1::VolumeSnapshot volume;
  volume.add_entries()->set_file("hosts");
  const std::string bytes = volume.SerializeAsString();
  const std::string target = "/v1/volumes/" + wire::VolumeDigest(bytes);

  REQUIRE(fixture.Ask("PUT", target, kProtobuf, bytes).status == 200);
  const auto asked = fixture.site.asked().back();
  CHECK(asked.what == "PutVolume");
  CHECK(asked.id == wire::VolumeDigest(bytes));
  CHECK(asked.body == bytes);
  CheckProblem(fixture.Ask("PUT", "/v1/volumes/sha256:" + kId, kProtobuf, bytes), 400,
               "INVALID_ARGUMENT");
  CheckProblem(fixture.Ask("PUT", target, kJson, "{}"), 400, "INVALID_ARGUMENT");
  const std::string large(wire::kMaxVolumeBytes + 1, 'x');
  CheckProblem(fixture.Ask("PUT", "/v1/volumes/" + wire::VolumeDigest(large), kProtobuf, large),
               429, "RESOURCE_EXHAUSTED");
  CHECK(fixture.site.asked().size() == 1);
}

TEST_CASE("changed volumes are asked for by the container, and what is missing is answered") {
  EdgeFixture fixture;
  const std::string target = "/v1/sandboxes/" + kId + "/containers/" + kOther + "/volumes";

  const auto answer =
      fixture.Ask("PUT", target, kJson, R"({"sequence":"7","snapshots":{"/k/hosts":"sha256:ab"}})");

  REQUIRE(answer.status == 200);
  CHECK(answer.body == R"({"missing":["sha256:ab"]})");
  const auto asked = fixture.site.asked().back();
  CHECK(asked.what == "RefreshVolumes");
  CHECK(asked.id == kId + "/" + kOther);
  CHECK(asked.body == "7");
  CheckProblem(fixture.Ask("PUT", target, kJson, R"({"nonsense":1})"), 400, "INVALID_ARGUMENT");
  CHECK(fixture.Ask("POST", target, kJson, "{}").status == 405);
}

TEST_CASE("a session's address says that it speaks WebSocket") {
  EdgeFixture fixture;
  const std::string sandbox = "/v1/sandboxes/" + kId;
  const std::string unit = sandbox + "/containers/" + kOther;
  for (const std::string& target : {unit + "/exec", unit + "/attach", sandbox + "/port-forward"})
    CheckProblem(fixture.Ask("GET", target), 400, "INVALID_ARGUMENT");
}

TEST_CASE("bodies that are not strict are refused before the domain sees them") {
  EdgeFixture fixture;
  const std::string target = "/v1/sandboxes/" + kId;
  for (const char* body :
       {"", "{", "[]", "null", R"({"handler":1})", R"({"handler":"a","handler":"b"})",
        R"({"nonsense":1})", "{\"handler\":\"a\"} x", "{'handler':'a'}",
        R"({"config":{"metadata":{"nonsense":1}}})"}) {
    INFO(body);
    CheckProblem(fixture.Ask("PUT", target, kJson, body), 400, "INVALID_ARGUMENT");
  }
  CheckProblem(fixture.Ask("PUT", target, kProtobuf, "\xff\xff"), 400, "INVALID_ARGUMENT");
  // Field 99 of the sandbox's config: nothing that a pod asks for is dropped silently.
  CheckProblem(fixture.Ask("PUT", target, kProtobuf, std::string("\x12\x03\x98\x06\x01", 5)), 400,
               "INVALID_ARGUMENT");
  CHECK(fixture.site.asked().empty());
}

TEST_CASE("media types that are not ours are 415 and 406") {
  EdgeFixture fixture;
  const std::string target = "/v1/sandboxes/" + kId;

  CheckProblem(fixture.Ask("PUT", target, {{"Content-Type", "text/plain"}}, "x"), 415,
               "INVALID_ARGUMENT");
  CheckProblem(fixture.Ask("PUT", target, {}, "x"), 415, "INVALID_ARGUMENT");
  CheckProblem(fixture.Ask("GET", target, {{"Accept", "text/html"}}), 406, "INVALID_ARGUMENT");
  CHECK(fixture.site.asked().empty());
}

TEST_CASE("headers that are nonsense are refused") {
  EdgeFixture fixture;
  for (const EdgeFixture::Fields& fields :
       {EdgeFixture::Fields{{"Interlink-Timeout", "soon"}},
        EdgeFixture::Fields{{"Interlink-Link", "x"}}, EdgeFixture::Fields{{"Interlink-Link", "0"}}})
    CheckProblem(fixture.Ask("GET", "/v1/info", fields), 400, "INVALID_ARGUMENT");
  CheckProblem(fixture.Ask("GET", "/v1/info", {{"Interlink-Timeout", "0"}}), 504,
               "DEADLINE_EXCEEDED");
  CheckProblem(fixture.Ask("GET", "/v1/info", {}, "a body"), 400, "INVALID_ARGUMENT");
}

TEST_CASE("a request id that could forge a log line is replaced") {
  EdgeFixture fixture;

  const auto response = fixture.Ask("GET", "/v1/info", {{"X-Request-Id", "a b\"c"}});

  CHECK(response.headers.Get("X-Request-Id").value_or("").size() == 16);
}

TEST_CASE("the domain's refusals keep their code") {
  struct Row {
    Status status;
    int http_status;
    const char* code;
  };
  const Row rows[] = {{Aborted("stale-link: x"), 409, "ABORTED"},
                      {AlreadyExists("copied-node: x"), 409, "ALREADY_EXISTS"},
                      {FailedPrecondition("removed"), 409, "FAILED_PRECONDITION"},
                      {Unavailable("later"), 503, "UNAVAILABLE"},
                      {PermissionDenied("no"), 403, "PERMISSION_DENIED"},
                      {ResourceExhausted("full"), 429, "RESOURCE_EXHAUSTED"}};
  EdgeFixture fixture;
  for (const Row& row : rows) {
    fixture.site.FailWith(row.status);
    const auto response = fixture.Ask("POST", "/v1/sandboxes/" + kId + "/stop");
    CheckProblem(response, row.http_status, row.code);
    CHECK_THAT(response.body, Catch::Contains(row.status.message()));
  }
}

TEST_CASE("errors before there is a request are problems too") {
  EdgeFixture fixture;
  net::HttpRequest request = fixture.Request("GET", "/v1/info");
  request.headers.Set("Transfer-Encoding", "nonsense");

  const auto response =
      fixture.client->Do(Call::WithTimeout(std::chrono::seconds(20)), request, false);

  REQUIRE(response.ok());
  CheckProblem(*response, 400, "INVALID_ARGUMENT");
}

TEST_CASE("the end of an exec-sync's caller cancels its call") {
  EdgeFixture fixture;
  fixture.site.park = true;
  const Call call = Call::WithTimeout(std::chrono::seconds(60));
  auto answered = std::async(std::launch::async, [&] {
    return fixture.client
        ->Do(
            call,
            fixture.Request("POST", "/v1/sandboxes/" + kId + "/containers/" + kOther + "/exec-sync",
                            kJson, R"({"cmd":["sleep"]})"),
            false)
        .status();
  });
  REQUIRE(Eventually([&] { return fixture.site.parked() == 1; }));

  call.Cancel();

  CHECK(Eventually([&] { return fixture.site.cancelled == 1; }));
  fixture.site.AnswerParked();
  CHECK_FALSE(answered.get().ok());
}

TEST_CASE("a node with too many requests is refused more, but its stops are not") {
  rest::Options options;
  options.max_requests_per_node = 2;
  EdgeFixture fixture(std::move(options));
  fixture.site.park = true;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 2; ++i) {
    fixture.client->DoAsync(Call::WithTimeout(std::chrono::seconds(30)),
                            fixture.Request("GET", "/v1/stats"), false,
                            [&](const Result<net::HttpResponse>& response) {
                              if (response.ok() && response->status == 200) ++answered;
                            });
  }
  REQUIRE(Eventually([&] { return fixture.site.parked() == 2; }));

  CheckProblem(fixture.Ask("GET", "/v1/info"), 429, "UNAVAILABLE");
  CHECK(fixture.Ask("GET", "/v1/info", {{"Authorization", "Bearer token-2"}}).status == 200);
  fixture.site.park = false;
  CHECK(fixture.Ask("POST", "/v1/sandboxes/" + kId + "/stop").status == 200);

  fixture.site.AnswerParked();
  CHECK(Eventually([&] { return answered == 2; }));
  CHECK(fixture.Ask("GET", "/v1/info").status == 200);
}

TEST_CASE(
    "a request that comes too soon is told when to come again; ends and reads are not asked") {
  EdgeFixture fixture;
  std::atomic<size_t> bytes = 0;
  fixture.throttle = [&bytes](const site::Caller& caller, size_t body) {
    bytes = body;
    return caller.node == NodeId("node-1")
               ? std::optional(rest::Throttled{"too soon", std::chrono::milliseconds(2001)})
               : std::nullopt;
  };
  interlink::v1::RunSandboxRequest request;
  request.set_handler("hpc");
  const std::string body = request.SerializeAsString();
  const auto refused = fixture.Ask("PUT", "/v1/sandboxes/" + kId, kProtobuf, body);
  // Not a refusal of the work itself: a node that repeats what the site may have must not give it
  // up.
  CheckProblem(refused, 429, "UNAVAILABLE");
  CHECK(refused.headers.Get("Retry-After") == "3");
  CHECK(bytes == body.size());
  CHECK(fixture.site.asked().empty());
  CHECK(fixture.Ask("POST", "/v1/sandboxes/" + kId + "/stop").status == 200);
  CHECK(fixture.Ask("GET", "/v1/sandboxes").status == 200);
  auto fields = kProtobuf;
  fields.emplace_back("Authorization", "Bearer token-2");
  CHECK(fixture.Ask("PUT", "/v1/sandboxes/" + kId, fields, body).status == 200);
}

TEST_CASE("a stop answers what still waits") {
  EdgeFixture fixture;
  fixture.site.park = true;
  std::atomic<int> status = 0;
  fixture.client->DoAsync(Call::WithTimeout(std::chrono::seconds(30)),
                          fixture.Request("GET", "/v1/stats"), false,
                          [&](const Result<net::HttpResponse>& response) {
                            status = response.ok() ? response->status : -1;
                          });
  REQUIRE(Eventually([&] { return fixture.site.parked() == 1; }));
  const auto begun = std::chrono::steady_clock::now();

  fixture.edge->Stop(std::chrono::milliseconds(100));

  CHECK(Eventually([&] { return status != 0; }));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
  fixture.site.AnswerParked();  // too late, and harmless
}

}  // namespace
}  // namespace interlink::test
