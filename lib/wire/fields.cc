#include "wire/fields.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <functional>
#include <vector>

namespace interlink::wire {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string MapKeyText(const Message& entry) {
  const FieldDescriptor* key = entry.GetDescriptor()->map_key();
  const Reflection* reflection = entry.GetReflection();
  switch (key->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->GetString(entry, key);
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(reflection->GetInt32(entry, key));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(reflection->GetInt64(entry, key));
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(reflection->GetUInt32(entry, key));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(reflection->GetUInt64(entry, key));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(entry, key) ? "true" : "false";
    default:
      return "?";
  }
}

// Visits `message` and every message below it, parents first, with their paths; stops at the first
// error.
class MessageWalker {
 public:
  using Visit = std::function<Status(const Message&, const std::string& path)>;
  explicit MessageWalker(Visit visit) : visit_(std::move(visit)) {}

  Status Walk(const Message& message, const std::string& path) {
    RETURN_IF_ERROR(visit_(message, path));
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
        RETURN_IF_ERROR(
            WalkField(message, *field, path.empty() ? field->name() : path + "." + field->name()));
    }
    return {};
  }

 private:
  Status WalkField(const Message& message, const FieldDescriptor& field, const std::string& path) {
    const Reflection* reflection = message.GetReflection();
    if (!field.is_repeated()) return Walk(reflection->GetMessage(message, &field), path);
    for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
      const Message& item = reflection->GetRepeatedMessage(message, &field, i);
      RETURN_IF_ERROR(
          Walk(item, path + "[" + (field.is_map() ? MapKeyText(item) : std::to_string(i)) + "]"));
    }
    return {};
  }

  Visit visit_;
};

Status CheckEnums(const Message& message, const std::string& path) {
  const Reflection* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_ENUM) continue;
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const int value = field->is_repeated() ? reflection->GetRepeatedEnumValue(message, field, i)
                                             : reflection->GetEnumValue(message, field);
      if (field->enum_type()->FindValueByNumber(value) != nullptr) continue;
      return InvalidArgument("\"" + (path.empty() ? "" : path + ".") + field->name() +
                             (field->is_repeated() ? "[" + std::to_string(i) + "]" : "") +
                             "\": " + std::to_string(value) + " is not a value of " +
                             field->enum_type()->full_name());
    }
  }
  return {};
}

Status CheckUnknown(const Message& message, const std::string& path) {
  const auto& unknown = message.GetReflection()->GetUnknownFields(message);
  if (unknown.empty()) return {};
  return InvalidArgument("unknown field number " + std::to_string(unknown.field(0).number()) +
                         " in \"" + (path.empty() ? message.GetTypeName() : path) +
                         "\": this build does not know it");
}

}  // namespace

Status RefuseUnknownFields(const Message& message, const std::string& path) {
  return MessageWalker(CheckUnknown).Walk(message, path);
}

Status RefuseUnknownFieldsInConfigs(const Message& message) {
  return MessageWalker([](const Message& part, const std::string& path) -> Status {
           const std::string& type = part.GetDescriptor()->full_name();
           if (type != "runtime.v1.PodSandboxConfig" && type != "runtime.v1.ContainerConfig" &&
               type != "runtime.v1.LinuxContainerResources")
             return {};
           return RefuseUnknownFields(part, path);
         })
      .Walk(message, "");
}

Status RefuseUnknownEnumValues(const Message& message) {
  return MessageWalker(CheckEnums).Walk(message, "");
}

}  // namespace interlink::wire
