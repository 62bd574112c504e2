#include "site/field_walk.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <functional>
#include <string_view>

#include "runtime/v1/api.pb.h"

namespace interlink::site {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// `entry` is `path` or a parent of it, by components.
bool Covers(std::string_view entry, std::string_view path) {
  return path.starts_with(entry) && (path.size() == entry.size() || path[entry.size()] == '.');
}

bool AnyCovers(const std::vector<std::string>& entries, const std::string& path) {
  return std::any_of(entries.begin(), entries.end(),
                     [&path](const std::string& entry) { return Covers(entry, path); });
}

// Their presence asks for something, also when every field is zero: the number 0 (uid 0), the
// profile RuntimeDefault, a user namespace of the pod.
bool AsksByPresence(const Descriptor& type) {
  return &type == runtime::v1::Int64Value::descriptor() ||
         &type == runtime::v1::UInt64Value::descriptor() ||
         &type == runtime::v1::SecurityProfile::descriptor() ||
         &type == runtime::v1::UserNamespace::descriptor();
}

// Calls `visit` for each set leaf (scalar, map, or repeated scalar) with its path; stops at the
// first error.
class Walker {
 public:
  explicit Walker(std::function<Status(const std::string&)> visit) : visit_(std::move(visit)) {}

  Status Walk(const Message& message, const std::string& prefix) {
    const Reflection* reflection = message.GetReflection();
    const auto& unknown = reflection->GetUnknownFields(message);
    if (!unknown.empty()) {
      return InvalidArgument("unknown field number " + std::to_string(unknown.field(0).number()) +
                             " in \"" + (prefix.empty() ? message.GetTypeName() : prefix) +
                             "\": this build does not know it, nothing was started");
    }
    std::vector<const FieldDescriptor*> fields;
    reflection->ListFields(message, &fields);
    if (const Descriptor& type = *message.GetDescriptor(); AsksByPresence(type)) {
      const bool is_set = !fields.empty() && fields.front() == type.field(0);
      if (!is_set) fields.push_back(type.field(0));
    }
    for (const FieldDescriptor* field : fields) {
      const std::string path = prefix.empty() ? field->name() : prefix + "." + field->name();
      RETURN_IF_ERROR(WalkField(message, *field, path));
    }
    return {};
  }

 private:
  Status WalkField(const Message& message, const FieldDescriptor& field, const std::string& path) {
    if (field.is_map() || field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      RETURN_IF_ERROR(visit_(path));
      return CheckValue(message, field, path);
    }
    const Reflection* reflection = message.GetReflection();
    if (!field.is_repeated()) return Walk(reflection->GetMessage(message, &field), path);
    for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
      RETURN_IF_ERROR(Walk(reflection->GetRepeatedMessage(message, &field, i), path));
    }
    return {};
  }

  // proto3 keeps numbers that an enum does not have; nobody below could do what they ask for.
  static Status CheckValue(const Message& message, const FieldDescriptor& field,
                           const std::string& path) {
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_ENUM) return {};
    const Reflection* reflection = message.GetReflection();
    const int count = field.is_repeated() ? reflection->FieldSize(message, &field) : 1;
    for (int i = 0; i < count; ++i) {
      const int value = field.is_repeated() ? reflection->GetRepeatedEnumValue(message, &field, i)
                                            : reflection->GetEnumValue(message, &field);
      if (field.enum_type()->FindValueByNumber(value) != nullptr) continue;
      return InvalidArgument("\"" + path + "\" has the value " + std::to_string(value) +
                             ": this build does not know it, nothing was started");
    }
    return {};
  }

  std::function<Status(const std::string&)> visit_;
};

}  // namespace

Status RefuseUnsupported(const Message& config, const sdk::FieldLists& lists,
                         const std::string& handler) {
  Walker walker([&](const std::string& path) -> Status {
    if (AnyCovers(lists.honoured, path) || AnyCovers(lists.bounded, path) ||
        AnyCovers(lists.advisory, path))
      return {};
    return Unimplemented("\"" + path + "\" is not supported by handler \"" + handler +
                         "\", nothing was started");
  });
  return walker.Walk(config, "");
}

std::vector<std::string> BoundedFields(const Message& config, const sdk::FieldLists& lists) {
  std::vector<std::string> bounded;
  Walker walker([&](const std::string& path) -> Status {
    const bool is_new = std::find(bounded.begin(), bounded.end(), path) == bounded.end();
    if (is_new && AnyCovers(lists.bounded, path)) bounded.push_back(path);
    return {};
  });
  // Unknown fields were refused when the config came in.
  return walker.Walk(config, "").ok() ? bounded : std::vector<std::string>{};
}

}  // namespace interlink::site
