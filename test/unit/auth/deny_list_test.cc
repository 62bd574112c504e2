#include "auth/deny_list.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "support/eventually.h"
#include "support/temporary_folder.h"

namespace interlink::auth {
namespace {

Identity Of(const std::string& node, const std::string& issuer = "",
            const std::string& subject = "", const std::string& tenant = "") {
  Identity identity;
  identity.node = NodeId(node);
  identity.by_token = !issuer.empty();
  identity.token = {NodeId(node), issuer, subject, {}, tenant};
  return identity;
}

struct DenyLab {
  void Write(const std::string& text, mode_t mode = 0644) const {
    std::ofstream(path) << text;
    REQUIRE(chmod(path.c_str(), mode) == 0);
  }
  Result<std::unique_ptr<DenyList>> Open() { return DenyList::Open(path, timer, log); }

  const test::TemporaryFolder folder;
  const std::string path = folder.File("denied");
  NullLog log;
  Timer timer;
};

TEST_CASE("nodes, subjects and tenants on the list are denied by name, and nobody else") {
  DenyLab lab;
  lab.Write("# lost\n\nnode node-2\nsubject https://issuer a subject\ntenant\tchemistry \n");
  const auto list = lab.Open();
  REQUIRE(list.ok());

  CHECK((*list)->Check(Of("node-2")).code() == Code::kPermissionDenied);
  CHECK((*list)->Check(Of("node-2")).message() ==
        "node \"node-2\" is on this site's deny list (Auth.DenyFile)");
  CHECK((*list)->Check(Of("n", "https://issuer", "a subject")).code() == Code::kPermissionDenied);
  CHECK((*list)->Check(Of("n", "https://issuer", "s", "chemistry")).code() ==
        Code::kPermissionDenied);

  CHECK((*list)->Check(Of("node-22")).ok());
  CHECK((*list)->Check(Of("n", "https://other", "a subject")).ok());
  CHECK((*list)->Check(Of("n", "https://issuer", "a")).ok());
  CHECK((*list)->Check(Of("n", "https://issuer", "s", "Chemistry")).ok());
}

TEST_CASE("a changed list holds soon; one that is wrong changes nothing") {
  DenyLab lab;
  lab.Write("node node-2\n");
  const auto list = lab.Open();
  REQUIRE(list.ok());
  const auto denied = [&list](const std::string& node) { return !(*list)->Check(Of(node)).ok(); };

  lab.Write("node node-3\n");
  CHECK(test::Eventually([&] { return denied("node-3") && !denied("node-2"); }));
  lab.Write("nobody\n");
  CHECK((*list)->Prepare().status().code() == Code::kInvalidArgument);
  lab.Write("node node-3\nnode node-4\n");
  CHECK(test::Eventually([&] { return denied("node-4"); }));
  CHECK(denied("node-3"));
}

// What was prepared is older than what the next look took: it was put in force in its place, and
// the file was not looked into again until it changed once more.
TEST_CASE("a list that changes between the halves of a reload holds soon") {
  DenyLab lab;
  lab.Write("node node-2\n");
  const auto list = lab.Open();
  REQUIRE(list.ok());
  const auto denied = [&list](const std::string& node) { return !(*list)->Check(Of(node)).ok(); };

  const auto take = (*list)->Prepare();
  REQUIRE(take.ok());
  lab.Write("node node-2\nnode node-3\n");
  REQUIRE(test::Eventually([&] { return denied("node-3"); }));
  (*take)();

  CHECK(test::Eventually([&] { return denied("node-3"); }));
}

TEST_CASE("a list that cannot be used is refused with its line") {
  DenyLab lab;

  CHECK(lab.Open().status().code() == Code::kNotFound);
  lab.Write("node a\nnodes b\n");
  CHECK(lab.Open().status().message().find("\":2: a line begins with") != std::string::npos);
  for (const char* text : {"node", "tenant ", "subject https://issuer", "node a/b"}) {
    lab.Write(text);
    INFO(text);
    CHECK(lab.Open().status().code() == Code::kInvalidArgument);
  }
  lab.Write("node a\n", 0666);
  CHECK(lab.Open().status().code() == Code::kPermissionDenied);
}

TEST_CASE(
    "whoever is on the list is refused, whatever is presented, and so is a revoked certificate") {
  DenyLab lab;
  lab.Write("node node-2\n");
  const auto list = lab.Open();
  REQUIRE(list.ok());
  AuthenticatorOptions options;
  options.revoked = [](const net::Peer& peer) { return peer.certificate_id == "lost"; };
  const auto authenticator = Authenticator::Create(options, nullptr, list->get());
  REQUIRE(authenticator.ok());
  net::Peer peer;
  peer.verified = true;
  peer.common_name = "node-1";

  const auto known = authenticator->Authenticate(peer, std::nullopt);
  REQUIRE(known.ok());
  CHECK(authenticator->CheckDenied(*known).ok());
  peer.certificate_id = "lost";
  CHECK(authenticator->Authenticate(peer, std::nullopt).status().code() == Code::kUnauthenticated);
  peer.certificate_id = "good";
  peer.common_name = "node-2";
  const auto listed = authenticator->Authenticate(peer, std::nullopt);
  REQUIRE(listed.ok());
  CHECK(authenticator->CheckDenied(*listed).code() == Code::kPermissionDenied);
}

}  // namespace
}  // namespace interlink::auth
