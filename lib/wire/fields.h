// What a message holds that its descriptor does not know, found by reflection. Pure.
#ifndef INTERLINK_WIRE_FIELDS_H_
#define INTERLINK_WIRE_FIELDS_H_

#include <string>

#include "base/status.h"

namespace google::protobuf {
class Message;
}

namespace interlink::wire {

// kInvalidArgument for the first unknown field in `message` or below: "unknown field number 99 in
// \"config.linux\": ...". `path` is where `message` stands, "" for the top. Paths are proto names
// joined by dots, with
// "[2]" for list items and "[key]" for map values.
Status RefuseUnknownFields(const google::protobuf::Message& message, const std::string& path);

// RefuseUnknownFields for what a pod can ask for with, at any depth of `message`: each
// runtime.v1.PodSandboxConfig, ContainerConfig and LinuxContainerResources (of an update).
Status RefuseUnknownFieldsInConfigs(const google::protobuf::Message& message);

// kInvalidArgument for the first enum field with a number that its enum does not have:
// "\"config.linux.x\": 77 is not a value of runtime.v1.NamespaceMode".
Status RefuseUnknownEnumValues(const google::protobuf::Message& message);

}  // namespace interlink::wire

#endif  // INTERLINK_WIRE_FIELDS_H_
