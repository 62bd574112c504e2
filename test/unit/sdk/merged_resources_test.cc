// An update says what changes; what is not said stays.
#include "sdk/merged_resources.h"

#include <google/protobuf/text_format.h>

#include <catch2/catch.hpp>

#include "runtime/v1/api.pb.h"

namespace interlink::sdk {
namespace {

runtime::v1::LinuxContainerResources Resources(const std::string& text) {
  runtime::v1::LinuxContainerResources resources;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &resources));
  return resources;
}

}  // namespace

TEST_CASE("What an update does not say stays as it was") {
  const auto [before, change, after] = GENERATE(table<std::string, std::string, std::string>({
      {"cpu_quota: 800000 cpu_period: 100000", "cpu_period: 1000",
       "cpu_quota: 800000 cpu_period: 1000"},
      {"cpu_quota: 8000 cpu_period: 1000", "cpu_quota: 800000",
       "cpu_quota: 800000 cpu_period: 1000"},
      {"cpu_quota: 8000 cpu_period: 1000", "cpu_quota: 800000 cpu_period: -1",
       "cpu_quota: 800000 cpu_period: 1000"},
      {"cpu_quota: 8000 cpu_period: -1", "", "cpu_quota: 8000 cpu_period: 100000"},
      {"memory_limit_in_bytes: 5", "memory_limit_in_bytes: -1", "memory_limit_in_bytes: -1"},
      {"cpu_quota: 5000", "cpu_quota: -1", "cpu_quota: -1"},
      {"cpu_quota: 5000", "cpu_shares: 2", "cpu_quota: 5000 cpu_period: 100000 cpu_shares: 2"},
      {"cpuset_cpus: '0'", "cpuset_mems: '1'", "cpuset_cpus: '0' cpuset_mems: '1'"},
      {"hugepage_limits { page_size: '2MB' limit: 1 }",
       "hugepage_limits { page_size: '1GB' limit: 2 }",
       "hugepage_limits { page_size: '1GB' limit: 2 }"},
      {"hugepage_limits { page_size: '2MB' limit: 1 }", "",
       "hugepage_limits { page_size: '2MB' limit: 1 }"},
      {"unified { key: 'memory.max' value: '1' }", "unified { key: 'memory.max' value: 'max' }",
       "unified { key: 'memory.max' value: 'max' }"},
  }));
  const auto merged = MergedResources(Resources(before), Resources(change));
  CHECK(merged.ShortDebugString() == Resources(after).ShortDebugString());
  CHECK(MergedResources(merged, merged).ShortDebugString() == merged.ShortDebugString());
}

TEST_CASE("A file of cgroup v2 stays beside another one") {
  const auto merged = MergedResources(Resources("unified { key: 'memory.high' value: '1' }"),
                                      Resources("unified { key: 'memory.oom.group' value: '1' }"));
  CHECK(merged.unified().size() == 2);
}

TEST_CASE("A config has the resources of the last update and all else as it was") {
  runtime::v1::ContainerConfig config;
  config.mutable_metadata()->set_name("c");
  const std::string created = config.SerializeAsString();
  CHECK(ConfigWithResources(created, {}) == created);
  CHECK(ConfigWithResources("\x01", Resources("cpu_quota: 1")) == "\x01");

  *config.mutable_linux()->mutable_resources() = Resources("cpu_quota: 1");
  const std::string updated = ConfigWithResources(created, config.linux().resources());
  CHECK(updated == config.SerializeAsString());
  config.mutable_linux()->mutable_resources()->set_cpu_quota(2);
  CHECK(ConfigWithResources(updated, config.linux().resources()) == config.SerializeAsString());
}

}  // namespace interlink::sdk
