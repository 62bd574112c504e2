// Pulls of images.
#include "node_lab.h"

namespace interlink::test {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

auto BeginPull(NodeLab& lab, const std::string& image) {
  runtime::v1::PullImageRequest request;
  request.mutable_image()->set_image(image);
  return lab.Begin<runtime::v1::PullImageResponse>(
      [&](auto reply) { lab.node->images().Pull(NodeLab::call(), request, reply); });
}

TEST_CASE("A pull ends when the image is in the list") {
  NodeLab lab;
  auto pull = BeginPull(lab, "nginx");
  REQUIRE(Eventually([&] { return lab.site.Calls("PullImage") > 0; }));
  CHECK(pull.wait_for(200ms) == std::future_status::timeout);

  lab.site.TellImage("sha256:nginx", "docker.io/library/nginx:latest");

  const auto answer = NodeLab::Get(std::move(pull));
  REQUIRE(answer.ok());
  CHECK(answer->image_ref() == "sha256:nginx");
  runtime::v1::ImageStatusRequest status;
  status.mutable_image()->set_image("nginx");
  CHECK(lab.node->images().GetStatus(status)->image().id() == "sha256:nginx");
}

// Story: critest pulled one image from two registries. The answer of the second pull came before
// the event with the second name, the image was known by the first, and whoever pulled did not find
// it in the list.
TEST_CASE("A pull of an image that is known by another name ends when it is known by this one") {
  NodeLab lab;
  lab.site.TellImage("sha256:nginx", "registry.test/nginx:latest");
  runtime::v1::ImageStatusRequest status;
  status.mutable_image()->set_image("registry.test/nginx");
  REQUIRE(Eventually([&] { return lab.node->images().GetStatus(status)->has_image(); }));
  auto pull = BeginPull(lab, "nginx");
  REQUIRE(Eventually([&] { return lab.site.Calls("PullImage") > 0; }));
  CHECK(pull.wait_for(200ms) == std::future_status::timeout);

  lab.site.TellImage("sha256:nginx", "docker.io/library/nginx:latest");

  CHECK(NodeLab::Get(std::move(pull)).ok());
}

// Story: a site was started again, a step had learnt that its link was another's, and a pull of
// that moment was refused: "not linked yet". Kubelet's back-off after a failed pull begins with ten
// seconds.
TEST_CASE("A pull that comes while the link is renewed waits for it") {
  NodeLab lab;
  const SandboxId pod = lab.Ready("a");
  lab.site.TellImage("sha256:nginx", "docker.io/library/nginx:latest");
  lab.site.HoldLinks(true);
  lab.site.BreakLink();
  auto stop = lab.BeginStopPod(pod);  // its step learns it
  REQUIRE(Eventually([&] { return lab.node->Summary().link == 0; }));
  REQUIRE(lab.node->Summary().reachable.ok());
  auto pull = BeginPull(lab, "nginx");
  CHECK(pull.wait_for(200ms) == std::future_status::timeout);

  lab.site.HoldLinks(false);

  const auto answer = NodeLab::Get(std::move(pull));
  REQUIRE(answer.status() == Status());
  CHECK(answer->image_ref() == "sha256:nginx");
  CHECK(NodeLab::Get(std::move(stop)).ok());
}

}  // namespace
}  // namespace interlink::test
