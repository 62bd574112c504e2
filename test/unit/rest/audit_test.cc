// What the audit log gets of requests.
#include <catch2/catch.hpp>

#include "auth/deny_list.h"
#include "base/file.h"
#include "fixture.h"
#include "interlink/v1/record.pb.h"
#include "support/memory_audit.h"
#include "support/temporary_folder.h"

namespace interlink::test {
namespace {

const std::string kSandboxPath = "/v1/sandboxes/" + kId;
const std::string kContainerPath = kSandboxPath + "/containers/" + kOther;
const EdgeFixture::Fields kAsProtobuf = {{"Content-Type", "application/x-protobuf"}};

struct AuditFixture {
  MemoryAudit audit;
  EdgeFixture edge{{}, rest::Face::kSite, &audit};
};

std::string Bytes(const google::protobuf::Message& message) { return message.SerializeAsString(); }

TEST_CASE("each changing request is one record: who, from where, what, and how it ended") {
  AuditFixture lab;
  interlink::v1::RunSandboxRequest run;
  run.set_handler("hpc");
  run.mutable_config()->mutable_metadata()->set_name("p");
  run.mutable_config()->mutable_metadata()->set_namespace_("physics");
  run.mutable_config()->mutable_metadata()->set_uid("u-1");

  EdgeFixture::Fields fields = kAsProtobuf;
  fields.emplace_back("Interlink-Request-Id", "0123456789abcdef");
  CHECK(lab.edge.Ask("PUT", kSandboxPath, fields, Bytes(run)).status == 200);

  const auto records = lab.audit.records();
  REQUIRE(records.size() == 1);
  CHECK(records[0].event == "call");
  CHECK(records[0].call == "RunSandbox");
  CHECK(records[0].node == "node-1");
  CHECK(records[0].issuer == "https://issuer");
  CHECK(records[0].subject == "subject of node-1");
  CHECK(records[0].tenant == "tenant");
  CHECK(records[0].from.starts_with("127.0.0.1:"));
  CHECK(records[0].http_status == 200);
  CHECK(records[0].code == "OK");
  CHECK(lab.audit.Lines()[0] ==
        "RunSandbox ok sandbox=" + kId + " pod=physics/p pod-uid=u-1 handler=hpc");
}

TEST_CASE("every route that changes something is recorded, and none that only looks") {
  AuditFixture lab;
  struct {
    const char* method;
    std::string target;
    const char* call;  // "": not recorded
  } const asked[] = {
      {"POST", kSandboxPath + "/stop", "StopSandbox"},
      {"POST", kSandboxPath + "/update", "UpdateSandbox"},
      {"DELETE", kSandboxPath, "RemoveSandbox"},
      {"PUT", kContainerPath, "CreateContainer"},
      {"POST", kContainerPath + "/start", "StartContainer"},
      {"POST", kContainerPath + "/stop", "StopContainer"},
      {"POST", kContainerPath + "/update", "UpdateContainer"},
      {"POST", kContainerPath + "/exec-sync", "ExecSync"},
      {"DELETE", kContainerPath, "RemoveContainer"},
      {"PUT", "/v1/images", "PullImage"},
      {"DELETE", "/v1/images?image=busybox", "RemoveImage"},
      {"POST", "/v1/link", "Link"},
      {"GET", "/v1/sandboxes", ""},
      {"GET", kSandboxPath, ""},
      {"GET", "/v1/images", ""},
      {"GET", "/v1/info", ""},
      {"GET", "/healthz", ""},
  };
  interlink::v1::ExecSyncRequest exec;
  exec.add_cmd("true");
  for (const auto& one : asked) {
    const size_t before = lab.audit.records().size();
    const bool body = std::string(one.method) == "PUT" || std::string(one.method) == "POST";
    const bool is_exec = one.target.ends_with("exec-sync");
    lab.edge.Ask(one.method, one.target, body ? kAsProtobuf : EdgeFixture::Fields(),
                 is_exec ? Bytes(exec) : "");
    const auto records = lab.audit.records();
    INFO(one.method << " " << one.target);
    REQUIRE(records.size() == before + (*one.call == '\0' ? 0 : 1));
    if (*one.call != '\0') CHECK(records.back().call == one.call);
  }
}

TEST_CASE("what is denied is recorded whatever it is, with the reason") {
  AuditFixture lab;

  lab.edge.Ask("GET", "/v1/sandboxes", {{"Authorization", "Bearer nonsense"}});
  lab.edge.site.FailWith(PermissionDenied("the site's policy: no rule lets it through"));
  lab.edge.Ask("PUT", kSandboxPath, kAsProtobuf);
  lab.edge.site.FailWith(FailedPrecondition("it is not READY"));
  lab.edge.Ask("POST", kContainerPath + "/start", kAsProtobuf);

  const auto records = lab.audit.records();
  REQUIRE(records.size() == 3);
  CHECK(records[0].result == auth::AuditResult::kDenied);
  CHECK(records[0].call == "ListSandboxes");
  CHECK(records[0].node.empty());
  CHECK(records[0].http_status == 401);
  CHECK(records[0].why == "the bearer token is not known here");
  CHECK(records[1].result == auth::AuditResult::kDenied);
  CHECK(records[1].http_status == 403);
  CHECK(records[1].why == "the site's policy: no rule lets it through");
  CHECK(records[2].result == auth::AuditResult::kFailed);
  CHECK(records[2].code == "FAILED_PRECONDITION");
  CHECK(records[2].why.empty());
}

// The record had only the reason: which node of a denied tenant had tried was not to be found.
TEST_CASE("who is refused by the deny list is named") {
  const TemporaryFolder folder;
  REQUIRE(WriteFileAtomically(folder.File("denied"), "tenant tenant\n", 0600).ok());
  NullLog log;
  Timer timer;
  const auto denied = auth::DenyList::Open(folder.File("denied"), timer, log);
  REQUIRE(denied.ok());
  MemoryAudit audit;
  EdgeFixture edge({}, rest::Face::kSite, &audit, denied->get());

  CheckProblem(edge.Ask("GET", "/v1/sandboxes"), 403, "PERMISSION_DENIED");

  const auto records = audit.records();
  REQUIRE(records.size() == 1);
  CHECK(records[0].result == auth::AuditResult::kDenied);
  CHECK(records[0].why.find("deny list") != std::string::npos);
  CHECK(records[0].node == "node-1");
  CHECK(records[0].issuer == "https://issuer");
  CHECK(records[0].subject == "subject of node-1");
  CHECK(records[0].tenant == "tenant");
}

TEST_CASE("no secret of a body gets into a record") {
  AuditFixture lab;
  const std::string canary = "canary-4711";
  interlink::v1::CreateContainerRequest create;
  create.mutable_config()->mutable_metadata()->set_name("c");
  create.mutable_config()->mutable_image()->set_image("busybox");
  auto* variable = create.mutable_config()->add_envs();
  variable->set_key("PASSWORD");
  variable->set_value(canary);
  create.mutable_config()->add_args(canary);
  (*create.mutable_config()->mutable_annotations())["a"] = canary;
  interlink::v1::ExecSyncRequest exec;
  for (const std::string& word : {std::string("/bin/login"), canary}) exec.add_cmd(word);
  interlink::v1::PullImageRequest pull;
  pull.mutable_image()->set_image("busybox");
  pull.mutable_auth()->set_password(canary);

  lab.edge.Ask("PUT", kContainerPath, kAsProtobuf, Bytes(create));
  lab.edge.Ask("POST", kContainerPath + "/exec-sync", kAsProtobuf, Bytes(exec));
  lab.edge.Ask("PUT", "/v1/images", kAsProtobuf, Bytes(pull));

  const auto records = lab.audit.records();
  REQUIRE(records.size() == 3);
  for (const auto& record : records)
    CHECK(auth::EncodeAuditRecord(record).find(canary) == std::string::npos);
  CHECK(lab.audit.Lines()[1].ends_with(" program=/bin/login"));
  CHECK(lab.audit.Lines()[2].ends_with(" image=busybox"));
}

TEST_CASE("while records cannot be written nothing new begins, and what ends or looks goes on") {
  AuditFixture lab;
  lab.audit.Refuse(Unavailable("the audit log cannot be written"));

  const auto refused = lab.edge.Ask("PUT", kSandboxPath, kAsProtobuf);
  CheckProblem(refused, 503, "UNAVAILABLE");
  CHECK(lab.edge.site.asked().empty());
  for (const char* target : {"/start", "/update", "/exec-sync"})
    CHECK(lab.edge.Ask("POST", kContainerPath + target, kAsProtobuf).status == 503);
  CHECK(lab.edge.site.asked().empty());

  CHECK(lab.edge.Ask("POST", kContainerPath + "/stop", kAsProtobuf).status == 200);
  CHECK(lab.edge.Ask("POST", kSandboxPath + "/stop", kAsProtobuf).status == 200);
  CHECK(lab.edge.Ask("DELETE", kSandboxPath).status == 200);
  CHECK(lab.edge.Ask("POST", "/v1/link", kAsProtobuf).status == 200);
  CHECK(lab.edge.Ask("GET", "/v1/sandboxes").status == 200);
}

}  // namespace
}  // namespace interlink::test
