// Wipe: a refused wipe touches nothing.
#include "node_lab.h"

namespace interlink::test {
namespace {

Result<std::string> Wipe(NodeLab& lab, const std::string& forget = "") {
  return NodeLab::Get(
      lab.Begin<std::string>([&](auto reply) { lab.node->Wipe(NodeLab::call(), forget, reply); }));
}

TEST_CASE("Wipe refuses while work lives, and the work goes on living") {
  // A refused wipe once had raised `wanted` of all records in memory: the next Drive removed them.
  NodeLab lab;
  const SandboxId id = lab.Ready("a");

  const auto refused = Wipe(lab);

  CHECK(refused.status().code() == Code::kFailedPrecondition);
  lab.Relink();
  CHECK(lab.Shown(id) == runtime::v1::SANDBOX_READY);
  CHECK(lab.site.Calls("RemoveSandbox") == 0);
}

TEST_CASE("Wipe refuses a site that is not this node's, and nothing is forgotten") {
  NodeLab lab;
  const SandboxId id = lab.Ready("a");

  CHECK(Wipe(lab, "other").status().code() == Code::kInvalidArgument);

  lab.Relink();
  CHECK(lab.Shown(id) == runtime::v1::SANDBOX_READY);
}

TEST_CASE("Wipe removes what has ended, here and at the site") {
  NodeLab lab;
  const SandboxId id = lab.Ready("a");
  REQUIRE(lab.StopPod(id).ok());

  REQUIRE(Wipe(lab).ok());

  CHECK(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
  CHECK(lab.site.Calls("RemoveSandbox", id.str()) == 1);
  // The site keeps an image for as long as a node refers to it.
  CHECK(Eventually([&] { return lab.site.Calls("RemoveImage", "sha256:busybox") == 1; }));
  CHECK(Eventually([&] { return lab.node->images().List({})->empty(); }));
}

TEST_CASE("Wipe refuses while the site cannot be asked, and forgets it when it is named") {
  NodeLab lab;
  const SandboxId id = lab.Ready("a");
  lab.site.SetDown(true);
  REQUIRE(Eventually([&] { return !lab.node->Summary().reachable.ok(); }));
  CHECK(Wipe(lab).status().code() == Code::kUnavailable);

  REQUIRE(Wipe(lab, "fake:443").ok());

  CHECK_FALSE(lab.Shown(id));
  // Should it return, it is told to remove the work.
  lab.site.SetDown(false);
  CHECK(Eventually([&] { return lab.site.Calls("RemoveSandbox", id.str()) > 0; }));
  CHECK(Eventually([&] { return lab.node->Summary().sandboxes == 0; }));
}

}  // namespace
}  // namespace interlink::test
