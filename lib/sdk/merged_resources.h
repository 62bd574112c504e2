// What a container has after an update of its resources. Pure; the one reading of it: the site
// judges the result and asks a backend for it, the engine makes it and tells it.
#ifndef INTERLINK_SDK_MERGED_RESOURCES_H_
#define INTERLINK_SDK_MERGED_RESOURCES_H_

#include <string>

namespace runtime::v1 {
class LinuxContainerResources;
}  // namespace runtime::v1

namespace interlink::sdk {

// `before` with what `change` says. CRI: zero and empty mean "as it is" in every field; a list is
// replaced, a map by its keys. A period below zero is none. A quota without a period gets the
// kernel's own, so that the result means the same wherever it is merged again.
runtime::v1::LinuxContainerResources MergedResources(
    const runtime::v1::LinuxContainerResources& before,
    const runtime::v1::LinuxContainerResources& change);

// A serialised runtime.v1.ContainerConfig with these as its linux.resources: Observation::config of
// a container that was updated. As it is where it has them already or cannot be read.
std::string ConfigWithResources(const std::string& config,
                                const runtime::v1::LinuxContainerResources& resources);

}  // namespace interlink::sdk

#endif  // INTERLINK_SDK_MERGED_RESOURCES_H_
