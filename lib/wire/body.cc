#include "wire/body.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include "wire/fields.h"
#include "wire/strict_json.h"

namespace interlink::wire {
namespace {

using google::protobuf::Message;

Status DecodeJson(std::string_view bytes, Message* message) {
  RETURN_IF_ERROR(CheckStrictJson(bytes, message->GetDescriptor()));
  const auto parsed =
      google::protobuf::util::JsonStringToMessage({bytes.data(), bytes.size()}, message);
  // What is left after the check above: numbers out of range, base64, two fields of one oneof.
  if (!parsed.ok()) return InvalidArgument(parsed.message().ToString());
  return {};
}

Status DecodeProtobuf(std::string_view bytes, Message* message) {
  if (bytes.size() > static_cast<size_t>(INT32_MAX) ||
      !message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return InvalidArgument(
        "the body is not a valid " + message->GetTypeName() +
        " in protobuf (truncated, of another type, or a text that is not UTF-8)");
  }
  return {};
}

}  // namespace

Status Decode(Encoding encoding, std::string_view bytes, Message* message) {
  message->Clear();
  RETURN_IF_ERROR(encoding == Encoding::kJson ? DecodeJson(bytes, message)
                                              : DecodeProtobuf(bytes, message));
  return RefuseUnknownEnumValues(*message);
}

Status DecodeRequest(Encoding encoding, std::string_view bytes, Message* message) {
  RETURN_IF_ERROR(Decode(encoding, bytes, message));
  return RefuseUnknownFieldsInConfigs(*message);
}

Result<std::string> Encode(Encoding encoding, const Message& message) {
  std::string bytes;
  if (encoding == Encoding::kProtobuf) {
    if (!message.SerializeToString(&bytes))
      return InternalError("a " + message.GetTypeName() + " cannot be serialised");
    return bytes;
  }
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  const auto printed = google::protobuf::util::MessageToJsonString(message, &bytes, options);
  if (!printed.ok())
    return InternalError("a " + message.GetTypeName() +
                         " cannot be written as JSON: " + printed.message().ToString());
  return bytes;
}

std::string EncodeDeterministic(const Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream output(&stream);
    output.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&output);  // proto3 has no required fields
  }                                                  // flushes into `bytes`
  return bytes;
}

}  // namespace interlink::wire
