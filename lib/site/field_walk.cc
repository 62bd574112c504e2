#include "site/field_walk.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <functional>
#include <string_view>

namespace interlink::site {
namespace {

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
    for (const FieldDescriptor* field : fields) {
      const std::string path = prefix.empty() ? field->name() : prefix + "." + field->name();
      RETURN_IF_ERROR(WalkField(message, *field, path));
    }
    return {};
  }

 private:
  Status WalkField(const Message& message, const FieldDescriptor& field, const std::string& path) {
    if (field.is_map() || field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return visit_(path);
    const Reflection* reflection = message.GetReflection();
    if (!field.is_repeated()) return Walk(reflection->GetMessage(message, &field), path);
    for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
      RETURN_IF_ERROR(Walk(reflection->GetRepeatedMessage(message, &field, i), path));
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
    if (AnyCovers(lists.bounded, path) && (bounded.empty() || bounded.back() != path))
      bounded.push_back(path);
    return {};
  });
  // Unknown fields were refused when the config came in.
  return walker.Walk(config, "").ok() ? bounded : std::vector<std::string>{};
}

}  // namespace interlink::site
