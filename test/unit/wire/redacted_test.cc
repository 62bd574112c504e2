#include "wire/redacted.h"

#include <catch2/catch.hpp>
#include <string>

#include "interlink/v1/link.pb.h"
#include "runtime/v1/api.pb.h"
#include "unit/wire/populate.h"

namespace interlink::wire {
namespace {

TEST_CASE("values of environment variables are never shown, their names and annotations are") {
  runtime::v1::CreateContainerRequest request;
  auto* env = request.mutable_config()->add_envs();
  env->set_key("TOKEN");
  env->set_value("hunter2");
  (*request.mutable_config()->mutable_annotations())["a"] = "b";

  CHECK(Redacted(request) ==
        "CreateContainerRequest{config{envs{key:\"TOKEN\" value:<redacted>} "
        "annotations{key:\"a\" value:\"b\"}}}");
}

TEST_CASE("credentials are never shown, the registry's address is") {
  runtime::v1::PullImageRequest request;
  request.mutable_image()->set_image("busybox");
  auto* auth = request.mutable_auth();
  auth->set_username("hunter2");
  auth->set_password("hunter2");
  auth->set_auth("hunter2");
  auth->set_identity_token("hunter2");
  auth->set_registry_token("hunter2");
  auth->set_server_address("registry");

  const std::string text = Redacted(request);

  CHECK(text.find("hunter2") == std::string::npos);
  CHECK(text.find("server_address:\"registry\"") != std::string::npos);
}

TEST_CASE("link secrets, verbose information and bytes are never shown") {
  interlink::v1::LinkRequest link;
  link.set_secret("hunter2");
  interlink::v1::LinkResponse answer;
  answer.set_next_secret("hunter2");
  runtime::v1::ContainerStatusResponse status;
  (*status.mutable_info())["info"] = "{\"env\":\"hunter2\"}";
  interlink::v1::InspectResponse inspect;
  inspect.set_info("hunter2");
  interlink::v1::ExecSyncResponse exec;
  exec.set_stdout("hunter2");

  CHECK(Redacted(link) == "LinkRequest{secret:<redacted>}");
  CHECK(Redacted(answer) == "LinkResponse{next_secret:<redacted>}");
  CHECK(Redacted(status) == "ContainerStatusResponse{info:<redacted>}");
  CHECK(Redacted(inspect) == "InspectResponse{info:<redacted>}");
  CHECK(Redacted(exec) == "ExecSyncResponse{stdout:<7 bytes>}");
}

TEST_CASE("a log line stays one bounded line") {
  runtime::v1::ContainerStatusRequest request;
  request.set_container_id("a\n\"b\"\x1B" + std::string(1000, 'x'));
  CHECK(Redacted(request).starts_with(
      "ContainerStatusRequest{container_id:\"a\\x0a\\\"b\\\"\\x1bxxx"));
  CHECK(Redacted(request).size() < 400);

  runtime::v1::ContainerConfig config;
  for (int i = 0; i < 1000; ++i) config.add_args("\xC3\xA4rgument");
  const std::string text = Redacted(config, 100);
  CHECK(text.size() <= 103);
  CHECK(text.ends_with("..."));
}

TEST_CASE("every field of a config can be printed") {
  runtime::v1::ContainerConfig config;
  Populate(&config);
  CHECK(Redacted(config, 100000).find('?') == std::string::npos);
}

}  // namespace
}  // namespace interlink::wire
