// Our proto/runtime/v1/api.proto, as it is linked into the daemons, is the published CRI v1:
// k8s.io/cri-api v0.37.2.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/util/message_differencer.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include "runtime/v1/api.pb.h"

namespace {

using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorProto;
using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;

// Everything that protobuf knows about the two files: messages, fields (name, number, type, label,
// type name, oneof, JSON name, options), enums, services, reserved numbers and names, file options.
// Only their order, the file's own name and comments do not count. "" when there is no difference.
std::string Differences(const FileDescriptorProto& published, const FileDescriptorProto& ours) {
  std::string report;
  MessageDifferencer differencer;
  const auto by_name = [&differencer](const Message& type, const char* list) {
    const auto* field = type.GetDescriptor()->FindFieldByName(list);
    differencer.TreatAsMap(field, field->message_type()->FindFieldByName("name"));
  };
  for (const char* list : {"message_type", "enum_type", "service"})
    by_name(FileDescriptorProto::default_instance(), list);
  for (const char* list : {"field", "nested_type", "enum_type"})
    by_name(DescriptorProto::default_instance(), list);
  by_name(google::protobuf::EnumDescriptorProto::default_instance(), "value");
  by_name(google::protobuf::ServiceDescriptorProto::default_instance(), "method");
  for (const char* list : {"reserved_range", "reserved_name"})
    differencer.TreatAsSet(DescriptorProto::descriptor()->FindFieldByName(list));
  differencer.IgnoreField(FileDescriptorProto::descriptor()->FindFieldByName("name"));
  differencer.IgnoreField(FileDescriptorProto::descriptor()->FindFieldByName("source_code_info"));
  differencer.ReportDifferencesToString(&report);
  const bool equal = differencer.Compare(published, ours);
  return equal ? "" : report.empty() ? "different" : report;
}

FileDescriptorProto Ours() {
  FileDescriptorProto file;
  runtime::v1::VersionRequest::descriptor()->file()->CopyTo(&file);
  runtime::v1::VersionRequest::descriptor()->file()->CopyJsonNameTo(&file);
  return file;
}

DescriptorProto* MessageNamed(FileDescriptorProto* file, const std::string& name) {
  for (auto& message : *file->mutable_message_type())
    if (message.name() == name) return &message;
  FAIL("no message " << name);
  return nullptr;
}

FieldDescriptorProto* FieldNamed(DescriptorProto* message, const std::string& name) {
  for (auto& field : *message->mutable_field())
    if (field.name() == name) return &field;
  FAIL("no field " << name);
  return nullptr;
}

TEST_CASE("our CRI definition has no difference from the published one") {
  const char* path = std::getenv("INTERLINK_PUBLISHED_DESCRIPTOR");
  INFO("run it through ctest: the test published_cri_descriptor makes the file");
  REQUIRE(path != nullptr);
  std::ifstream stream(path, std::ios::binary);
  google::protobuf::FileDescriptorSet published;
  REQUIRE(published.ParseFromIstream(&stream));
  REQUIRE(published.file_size() == 1);
  const FileDescriptorProto ours = Ours();

  REQUIRE(published.file(0).message_type_size() > 150);
  CHECK(Differences(published.file(0), ours) == "");
  CHECK(published.file(0).message_type_size() == ours.message_type_size());
  int methods = 0;
  for (const auto& service : ours.service()) methods += service.method_size();
  CHECK(methods == 43);
}

TEST_CASE("the comparison finds every kind of difference") {
  const FileDescriptorProto original = Ours();
  const auto config = [](FileDescriptorProto* f) { return MessageNamed(f, "ContainerConfig"); };
  using Change = std::function<void(FileDescriptorProto*)>;
  const auto change = GENERATE_COPY(values<Change>({
      [&](auto* f) { FieldNamed(config(f), "working_dir")->set_number(99); },
      [&](auto* f) { FieldNamed(config(f), "working_dir")->set_name("work_dir"); },
      [&](auto* f) {
        FieldNamed(config(f), "working_dir")->set_type(FieldDescriptorProto::TYPE_BYTES);
      },
      [&](auto* f) { FieldNamed(config(f), "working_dir")->set_json_name("working_dir"); },
      [&](auto* f) {
        FieldNamed(config(f), "args")->set_label(FieldDescriptorProto::LABEL_OPTIONAL);
      },
      [&](auto* f) { FieldNamed(config(f), "image")->set_type_name(".runtime.v1.Image"); },
      [&](auto* f) { FieldNamed(config(f), "image")->set_oneof_index(0); },
      [&](auto* f) { config(f)->mutable_field()->RemoveLast(); },
      [&](auto* f) { config(f)->add_reserved_range()->set_start(1000); },
      [&](auto* f) { config(f)->mutable_nested_type()->RemoveLast(); },
      [&](auto* f) { f->mutable_message_type()->RemoveLast(); },
      [&](auto* f) { f->add_message_type()->set_name("Extra"); },
      [&](auto* f) { f->mutable_enum_type(0)->mutable_value(0)->set_name("OTHER"); },
      [&](auto* f) { f->mutable_enum_type(0)->mutable_value(1)->set_number(77); },
      [&](auto* f) { f->mutable_service(0)->mutable_method()->RemoveLast(); },
      [&](auto* f) { f->mutable_service(0)->mutable_method(0)->set_server_streaming(true); },
      [&](auto* f) {
        f->mutable_service(1)->mutable_method(0)->set_input_type(".runtime.v1.Image");
      },
      [&](auto* f) { f->set_package("runtime.v2"); },
      [&](auto* f) { f->mutable_options()->set_go_package("other"); },
  }));

  FileDescriptorProto changed = original;
  change(&changed);

  CHECK(Differences(original, original) == "");
  CHECK(Differences(original, changed) != "");
  CHECK(Differences(changed, original) != "");
}

TEST_CASE("the order of declarations is no difference") {
  FileDescriptorProto changed = Ours();
  changed.mutable_message_type()->SwapElements(0, 5);
  changed.mutable_service()->SwapElements(0, 1);
  MessageNamed(&changed, "ContainerConfig")->mutable_field()->SwapElements(0, 1);

  CHECK(Differences(Ours(), changed) == "");
}

}  // namespace
