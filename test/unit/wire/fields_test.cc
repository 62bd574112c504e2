#include "wire/fields.h"

#include <catch2/catch.hpp>
#include <string>

#include "interlink/v1/link.pb.h"
#include "runtime/v1/api.pb.h"

namespace interlink::wire {
namespace {

const std::string kUnknown("\xA2\x06\x01x", 4);  // field number 100

TEST_CASE("unknown fields are found at any depth, with the path of their message") {
  runtime::v1::ContainerConfig config;
  config.add_mounts();
  CHECK(RefuseUnknownFields(config, "config").ok());

  REQUIRE(config.add_mounts()->ParseFromString(kUnknown));
  CHECK(RefuseUnknownFields(config, "config").message() ==
        "unknown field number 100 in \"config.mounts[1]\": this build does not know it");

  REQUIRE(config.ParseFromString(kUnknown));
  CHECK(RefuseUnknownFields(config, "").message() ==
        "unknown field number 100 in \"runtime.v1.ContainerConfig\": this build does not know it");
}

TEST_CASE("configs are found wherever they are embedded, and only there") {
  interlink::v1::Event event;
  REQUIRE(event.mutable_record()->ParseFromString(kUnknown));
  CHECK(RefuseUnknownFieldsInConfigs(event).ok());

  auto* config = event.mutable_record()->mutable_container()->mutable_request()->mutable_config();
  REQUIRE(config->mutable_linux()->mutable_resources()->ParseFromString(kUnknown));
  CHECK(RefuseUnknownFieldsInConfigs(event).message() ==
        "unknown field number 100 in \"record.container.request.config.linux.resources\": this "
        "build does not know it");
}

TEST_CASE("the resources of an update are a config too") {
  interlink::v1::UpdateContainerRequest update;
  REQUIRE(update.mutable_linux()->ParseFromString(kUnknown));

  CHECK(RefuseUnknownFieldsInConfigs(update).message() ==
        "unknown field number 100 in \"linux\": this build does not know it");
}

TEST_CASE("an unknown enum value is found by its path") {
  runtime::v1::ContainerFilter filter;
  filter.mutable_state()->set_state(static_cast<runtime::v1::ContainerState>(9));

  CHECK(RefuseUnknownEnumValues(filter).message() ==
        "\"state.state\": 9 is not a value of runtime.v1.ContainerState");
}

}  // namespace
}  // namespace interlink::wire
