#include "images/reference.h"

#include <catch2/catch.hpp>

namespace interlink::images {
namespace {

const std::string kHex = std::string(64, 'a');

TEST_CASE("Names are normalised as docker does") {
  const auto [text, host, path, tag] =
      GENERATE(table<std::string, std::string, std::string, std::string>({
          {"busybox", "docker.io", "library/busybox", "latest"},
          {"busybox:1.36", "docker.io", "library/busybox", "1.36"},
          {"user/app", "docker.io", "user/app", "latest"},
          {"index.docker.io/busybox", "docker.io", "library/busybox", "latest"},
          {"docker.io/user/app:v1", "docker.io", "user/app", "v1"},
          {"localhost/app", "localhost", "app", "latest"},
          {"localhost:5000/app:x", "localhost:5000", "app", "x"},
          {"127.0.0.1:5000/a/b/c", "127.0.0.1:5000", "a/b/c", "latest"},
          {"[::1]:5000/app", "[::1]:5000", "app", "latest"},
          {"registry.k8s.io/pause:3.9", "registry.k8s.io", "pause", "3.9"},
          {"gcr.io/a/b__c/d-e---f.g:A_b.c-D", "gcr.io", "a/b__c/d-e---f.g", "A_b.c-D"},
          {"Host/app", "Host", "app", "latest"},
      }));
  INFO(text);

  const auto parsed = ParseReference(text);

  REQUIRE(parsed.ok());
  CHECK(parsed->host == host);
  CHECK(parsed->path == path);
  CHECK(parsed->tag == tag);
  CHECK_FALSE(parsed->digest);
}

TEST_CASE("A digest is what is asked for, with or without a tag") {
  const auto plain = ParseReference("registry.k8s.io/pause@sha256:" + kHex);
  const auto tagged = ParseReference("registry.k8s.io/pause:3.9@sha256:" + kHex);

  REQUIRE(plain.ok());
  REQUIRE(tagged.ok());
  CHECK(plain->tag.empty());
  CHECK(plain->Wanted() == "sha256:" + kHex);
  CHECK(tagged->Wanted() == "sha256:" + kHex);
  CHECK(tagged->Digested(*tagged->digest) == "registry.k8s.io/pause@sha256:" + kHex);
}

TEST_CASE("Names without a host go to the default registry, with its path") {
  const auto plain = ParseReference("app:1", "registry.example:5000");
  const auto below = ParseReference("team/app", "registry.example/lab");

  REQUIRE(plain.ok());
  REQUIRE(below.ok());
  CHECK(plain->Tagged() == "registry.example:5000/app:1");
  CHECK(below->Tagged() == "registry.example/lab/team/app:latest");
}

TEST_CASE("Hostile and broken names are refused") {
  const std::string text =
      GENERATE_COPY(as<std::string>(), "", " ", "Busybox", "a//b", "/a", "a/", "a:", "a:-x", "a:.x",
                    "a b", "a\nb", "../a", "a/../b", "a/./b", "registry.io/UPPER", "a@sha256:abc",
                    "a@md5:" + std::string(32, 'a'), "a@sha256:" + std::string(64, 'A'),
                    "host:99999/a", "host:/a", "-host.io/a", "ho..st/a", "[::1/a", "[zz]/a",
                    "a___b", "a_-b", ".a", "a.", "a:" + std::string(129, 'x'), std::string(64, 'f'),
                    "x.io/" + std::string(256, 'a'), std::string(5000, 'a'), std::string("a\0b", 3),
                    "a?x=1", "a#b", "user:pw@host/a", "http://host/a");
  INFO(text);

  const auto parsed = ParseReference(text);

  REQUIRE_FALSE(parsed.ok());
  CHECK(parsed.status().code() == Code::kInvalidArgument);
  CHECK(parsed.status().message().size() < 600);
  CHECK(parsed.status().message().find('\n') == std::string::npos);
}

TEST_CASE("Ids are recognised whole, short and with their algorithm") {
  CHECK(IdPrefix("sha256:" + kHex) == kHex);
  CHECK(IdPrefix(kHex) == kHex);
  CHECK(IdPrefix("abc1") == "abc1");
  CHECK_FALSE(IdPrefix("xyz"));
  CHECK_FALSE(IdPrefix(""));
  CHECK_FALSE(IdPrefix(kHex + "a"));
  CHECK_FALSE(IdPrefix("sha512:abc"));
}

}  // namespace
}  // namespace interlink::images
