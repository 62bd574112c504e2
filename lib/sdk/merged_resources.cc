#include "sdk/merged_resources.h"

#include <google/protobuf/util/message_differencer.h>

#include "runtime/v1/api.pb.h"

namespace interlink::sdk {

runtime::v1::LinuxContainerResources MergedResources(
    const runtime::v1::LinuxContainerResources& before,
    const runtime::v1::LinuxContainerResources& change) {
  constexpr int64_t kUsualPeriod = 100'000;
  runtime::v1::LinuxContainerResources after = before;
  if (change.hugepage_limits_size() > 0) after.clear_hugepage_limits();
  after.MergeFrom(change);
  if (change.cpu_period() < 0) after.set_cpu_period(before.cpu_period());
  if (after.cpu_quota() > 0 && after.cpu_period() <= 0) after.set_cpu_period(kUsualPeriod);
  return after;
}

std::string ConfigWithResources(const std::string& config,
                                const runtime::v1::LinuxContainerResources& resources) {
  runtime::v1::ContainerConfig changed;
  if (!changed.ParseFromString(config)) return config;
  if (google::protobuf::util::MessageDifferencer::Equals(changed.linux().resources(), resources))
    return config;
  *changed.mutable_linux()->mutable_resources() = resources;
  return changed.SerializeAsString();
}

}  // namespace interlink::sdk
