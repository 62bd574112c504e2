// What a container's status says of its image. Story: kubelet showed
// docker.io/library/busybox@sha256:... for a pod of registry.k8s.io/e2e-test-images/busybox,
// because both names were pulled and the first digest was told.
#include <catch2/catch.hpp>
#include <vector>

#include "node/records.h"

namespace interlink::node {
namespace {

TEST_CASE("A container's image_ref is the digest in the repository that its image was named by") {
  struct Row {
    std::string asked, written;  // image, user_specified_image
    std::vector<std::string> digests;
    std::string expected;
  };
  const std::string hub = "docker.io/library/busybox@sha256:1";
  const std::string e2e = "registry.k8s.io/e2e/busybox@sha256:1";
  const std::string port = "localhost:5000/busybox@sha256:1";
  const auto row = GENERATE_COPY(values<Row>({
      {"registry.k8s.io/e2e/busybox:1.29", "", {hub, e2e}, e2e},
      {"registry.k8s.io/e2e/busybox", "", {hub, e2e}, e2e},
      {"registry.k8s.io/e2e/busybox@sha256:1", "", {hub, e2e}, e2e},
      {"registry.k8s.io/e2e/busybox:1.29@sha256:1", "", {hub, e2e}, e2e},
      {"localhost:5000/busybox", "", {hub, port}, port},
      {"busybox", "", {e2e, hub}, hub},
      {"busybox:latest", "", {e2e, hub}, hub},
      {"sha256:abc", "registry.k8s.io/e2e/busybox:1.29", {hub, e2e}, e2e},
      {"docker.io/library/busybox", "registry.k8s.io/e2e/busybox:1.29", {hub, e2e}, e2e},
      {"sha256:abc", "", {hub, e2e}, hub},
      {"quay.io/other", "", {hub, e2e}, hub},
      {"", "", {hub, e2e}, hub},
      {"busybox", "", {}, "sha256:abc"},
  }));
  CAPTURE(row.asked, row.written);
  runtime::v1::Image image;
  image.set_id("sha256:abc");
  for (const std::string& digest : row.digests) image.add_repo_digests(digest);
  runtime::v1::ImageSpec spec;
  spec.set_image(row.asked);
  spec.set_user_specified_image(row.written);

  CHECK(ImageRefFor(image, spec) == row.expected);
}

}  // namespace
}  // namespace interlink::node
